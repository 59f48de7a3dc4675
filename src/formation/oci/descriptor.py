"""A descriptor: what some content is, which bytes it is, and how many (OCI image-spec 1.1, descriptor.md)."""

from collections.abc import Mapping
from typing import Any

from formation.dataclass import dataclass, field
from formation.digest import check_digest
from formation.errors import UsageError
from formation.oci.strict_json import JsonObject

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""The annotation in a layout's index.json that carries a tag (annotations.md)."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, in Go's names: `linux`, `amd64`."""

    os: str
    architecture: str
    variant: str | None = None
    """Of the CPU: `v8`; None when the architecture has none."""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content by its digest."""

    media_type: str
    digest: str
    """`sha256:…`, well formed."""
    size: int
    """In bytes."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None
    """Set in an index only."""
    artifact_type: str | None = None

    @property
    def is_attestation(self) -> bool:
        """Whether it is no image: BuildKit lists attestations beside the images, for the platform unknown/unknown."""
        return self.platform is not None and self.platform.os == "unknown"


def parse_descriptor(json: JsonObject) -> Descriptor:
    """The descriptor that `json` is. Raises MalformedError."""
    platform = json.optional_object("platform")
    return Descriptor(
        media_type=json.text("mediaType"),
        digest=check_digest(json.text("digest")),
        size=json.size("size"),
        annotations=json.text_map("annotations"),
        platform=None if platform is None else parse_platform(platform),
        artifact_type=json.optional_text("artifactType"),
    )


def parse_platform_name(text: str) -> Platform:
    """The platform that `text` from a command line names: `linux/arm64`, `linux/arm64/v8`. Raises UsageError."""
    parts = text.split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise UsageError(f"{text[:100]!r} is not a platform", hint="write it as linux/amd64")
    return Platform(*parts)


def parse_platform(json: JsonObject) -> Platform:
    """The platform that `json` names. Raises MalformedError."""
    return Platform(json.text("os"), json.text("architecture"), json.optional_text("variant") or None)


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """`descriptor` as a JSON object, without the fields that are not set."""
    value: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.annotations:
        value["annotations"] = dict(sorted(descriptor.annotations.items()))
    if descriptor.platform is not None:
        value["platform"] = platform_json(descriptor.platform)
    if descriptor.artifact_type is not None:
        value["artifactType"] = descriptor.artifact_type
    return value


def platform_json(platform: Platform) -> dict[str, str]:
    """`platform` as a JSON object."""
    value = {"architecture": platform.architecture, "os": platform.os}
    return value if platform.variant is None else value | {"variant": platform.variant}
