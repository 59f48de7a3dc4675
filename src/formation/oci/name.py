"""Image names as skopeo writes them (containers-transports(5)); a bare reference is the local store."""

import re
from enum import Enum
from pathlib import Path

from formation.dataclass import dataclass
from formation.errors import UsageError
from formation.logins import blotted_reference
from formation.oci.reference import TAG, Reference, parse_reference


class Transport(Enum):
    """Where an image is kept; the value is how its names begin."""

    STORE = ""
    LAYOUT = "oci:"
    LAYOUT_ARCHIVE = "oci-archive:"
    DOCKER_ARCHIVE = "docker-archive:"
    DOCKER_DAEMON = "docker-daemon:"
    REGISTRY = "docker://"


ACCEPTED = (
    "formation/base:1.0.0, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker-daemon:REF "
    "or docker://REF"
)
"""For messages and help texts."""

_FOREIGN = frozenset(
    {"containers-storage", "dir", "atomic", "sif", "tarball", "ostree", "podman", "registry", "http", "https"}
)


_ALPHANUMERIC = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_LAYOUT_TAG = re.compile(rf"{_ALPHANUMERIC}(?:/{_ALPHANUMERIC})*")
"""OCI image-spec, annotations.md: the grammar of org.opencontainers.image.ref.name."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """A parsed name."""

    transport: Transport
    path: Path | None
    """Of the layout or archive, as written; None for the store and an engine."""
    tag: str | None
    """The `org.opencontainers.image.ref.name` in a layout; None: the only image there."""
    reference: Reference | None
    """In the store, an engine, a registry or a docker-archive; None: the only image of the docker-archive."""

    def __str__(self) -> str:
        parts = [str(part) for part in (self.path, self.tag, self.reference) if part is not None]
        return self.transport.value + ":".join(parts)


def parse_name(text: str) -> ImageName:
    """The image that `text` names. Raises UsageError, which lists what is accepted."""
    if not text or any(ord(character) < 32 for character in text):
        raise UsageError(f"{_shown(text)} is not an image name", hint=f"accepted: {ACCEPTED}")
    if text.startswith(Transport.REGISTRY.value):
        reference = parse_reference(text.removeprefix(Transport.REGISTRY.value))
        return ImageName(Transport.REGISTRY, None, None, reference)
    prefix, colon, rest = text.partition(":")
    for transport in Transport:
        if transport is not Transport.STORE and prefix + colon == transport.value:
            return _parse_rest(transport, rest, text)
    if prefix in _FOREIGN and (prefix not in ("podman", "registry", "dir") or rest.startswith("/")):
        raise UsageError(
            f"{_shown(text)}: images are neither read from {prefix}: nor written to it", hint=f"accepted: {ACCEPTED}"
        )
    if text.startswith((".", "/")):
        raise UsageError(
            f"{_shown(text)} is a path, not an image name", hint=f"a layout is oci:{blotted_reference(text)[:300]}"
        )
    try:
        return ImageName(Transport.STORE, None, None, parse_reference(text))
    except UsageError as error:
        raise UsageError(error.message, hint=mistyped(text) or error.hint) from None


def check_layout_tag(tag: str) -> None:
    """Raises UsageError for what nothing should write as the tag of an image in a layout: other tools do not read it.

    Names that are there already are read whatever they are.
    """
    if not _LAYOUT_TAG.fullmatch(tag) and not TAG.fullmatch(tag):
        reason = "letters and digits, with one of - . _ : @ + / between them"
        raise UsageError(f"{tag[:300]!r} cannot be a tag in a layout: {reason}", hint="write it as oci:DIR:1.0.0")


def mistyped(text: str) -> str | None:
    """A hint when `text`, of which there is no image, begins nearly as the names of a transport do; None otherwise."""
    import difflib  # for errors only

    prefix, colon, _ = text.partition(":")
    known = {each.value.partition(":")[0]: each.value for each in Transport if each is not Transport.STORE}
    near = difflib.get_close_matches(prefix, known, n=1, cutoff=0.8) if colon else []
    return f"did you mean {known[near[0]]}{blotted_reference(text)[len(prefix) + 1 :][:200]}?" if near else None


def _parse_rest(transport: Transport, rest: str, text: str) -> ImageName:
    if transport is Transport.DOCKER_DAEMON:
        return ImageName(transport, None, None, parse_reference(rest))
    # Like skopeo: the path ends at the first colon, so no path with one can be named.
    path, colon, name = rest.partition(":")
    if not path or (colon and not name):
        missing = "FILE or DIR" if not path else "what follows the last colon"
        raise UsageError(f"{_shown(text)}: {missing} is empty", hint=f"accepted: {ACCEPTED}")
    if transport is Transport.DOCKER_ARCHIVE:
        return ImageName(transport, Path(path), None, parse_reference(name) if colon else None)
    return ImageName(transport, Path(path), name if colon else None, None)


def _shown(text: str) -> str:
    return repr(blotted_reference(text)[:300])
