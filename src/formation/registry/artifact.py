"""Manifests that only tell something: the leases of publishers, and the history of a repository's tags."""

from collections.abc import Mapping
from typing import Any, Final

from formation.digest import sha256
from formation.files import json_bytes
from formation.oci.descriptor import Descriptor, descriptor_json
from formation.oci.media_types import OCI_MANIFEST
from formation.registry.session import Session
from formation.registry.small_blob import upload_bytes

_EMPTY: Final = b"{}"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"


def upload_content(session: Session) -> None:
    """Gives the repository the blob that stands for no content, which every artifact names. Idempotent."""
    upload_bytes(session, _EMPTY)


def artifact(kind: str, annotations: Mapping[str, str]) -> bytes:
    """A manifest without content: all it says is in `annotations`. `kind` is a media type.

    Source: OCI image-spec 1.1, "Guidelines for Artifact Usage".
    """
    empty = descriptor_json(Descriptor(_EMPTY_TYPE, sha256(_EMPTY), len(_EMPTY)))
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": empty,
        "layers": [empty],
        "annotations": dict(annotations),
    }
    return json_bytes(value)
