"""Image manifests and indexes (OCI image-spec 1.1, manifest.md and image-index.md; Docker image manifest v2.2).

What is parsed here is a view. The bytes that were read decide the digest, so they are kept beside it and never made
again from the view; the `*_bytes` functions are for what Formation itself creates.
"""

from collections.abc import Mapping
from typing import Any

from formation.dataclass import dataclass, field
from formation.errors import MalformedError
from formation.files import json_bytes
from formation.oci.descriptor import Descriptor, descriptor_json, parse_descriptor
from formation.oci.media_types import INDEXES, MANIFESTS, OCI_INDEX, OCI_MANIFEST
from formation.oci.strict_json import JsonObject, parse_object


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform, or an artifact."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    """Base layer first."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    media_type: str = OCI_MANIFEST
    artifact_type: str | None = None
    subject: Descriptor | None = None
    """The manifest that this one says something about; None for an image."""


@dataclass(frozen=True, slots=True)
class Index:
    """Images for several platforms, or the entries of a layout."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    media_type: str = OCI_INDEX


def parse_manifest(data: bytes) -> Manifest:
    """The manifest that `data` is. Raises MalformedError, also for an index or an unknown media type."""
    json = parse_object(data, "image manifest")
    media_type = json.optional_text("mediaType")
    # manifest.md lets mediaType be absent; "manifests" beside "layers" is the confusion of CVE-2021-41190.
    if "manifests" in json.value or (media_type is not None and media_type not in MANIFESTS):
        raise MalformedError(f"image manifest: its media type is {media_type!r}, and it looks like something else")
    _check_schema(json)
    subject = json.optional_object("subject")
    return Manifest(
        config=parse_descriptor(json.object("config")),
        layers=tuple(parse_descriptor(layer) for layer in json.objects("layers")),
        annotations=json.text_map("annotations"),
        media_type=media_type or OCI_MANIFEST,
        artifact_type=json.optional_text("artifactType"),
        subject=None if subject is None else parse_descriptor(subject),
    )


def parse_index(data: bytes) -> Index:
    """The index that `data` is. Raises MalformedError, also for a manifest or an unknown media type."""
    json = parse_object(data, "image index")
    media_type = json.optional_text("mediaType")
    if {"layers", "config"} & json.value.keys() or (media_type is not None and media_type not in INDEXES):
        raise MalformedError(f"image index: its media type is {media_type!r}, and it looks like something else")
    _check_schema(json)
    return Index(
        manifests=tuple(parse_descriptor(manifest) for manifest in json.objects("manifests")),
        annotations=json.text_map("annotations"),
        media_type=media_type or OCI_INDEX,
    )


def media_type_of(data: bytes) -> str:
    """What the manifest or index `data` says it is, else what it looks like in OCI's terms: neither has to say.

    For bytes that came without a descriptor; whether they are what they say, `parse_manifest` and `parse_index` check.
    Raises MalformedError for what says that it is something else.
    """
    json = parse_object(data, "image manifest")
    media_type = json.optional_text("mediaType") or (OCI_INDEX if "manifests" in json.value else OCI_MANIFEST)
    if media_type not in INDEXES | MANIFESTS:
        raise MalformedError(f"{media_type[:100]!r} is the media type of neither an image nor an index")
    return media_type


def manifest_bytes(manifest: Manifest) -> bytes:
    """`manifest` as canonical JSON: the same value always gives the same bytes, hence the same digest."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": manifest.media_type,
        "config": descriptor_json(manifest.config),
        "layers": [descriptor_json(layer) for layer in manifest.layers],
    }
    if manifest.annotations:
        value["annotations"] = dict(manifest.annotations)
    if manifest.artifact_type is not None:
        value["artifactType"] = manifest.artifact_type
    if manifest.subject is not None:
        value["subject"] = descriptor_json(manifest.subject)
    return json_bytes(value)


def index_bytes(index: Index) -> bytes:
    """`index` as canonical JSON."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": index.media_type,
        "manifests": [descriptor_json(manifest) for manifest in index.manifests],
    }
    if index.annotations:
        value["annotations"] = dict(index.annotations)
    return json_bytes(value)


def _check_schema(json: JsonObject) -> None:
    if json.value.get("schemaVersion") != 2:
        raise MalformedError(f"{json.what}: schemaVersion is not 2")
