"""Content digests in the form that OCI uses: `sha256:` and 64 lower-case hexadecimal digits."""

import hashlib
import re
from pathlib import Path

from formation.errors import IntegrityError, MalformedError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def sha256(data: bytes) -> str:
    """The digest of `data`, with its `sha256:` prefix."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The digest of the file at `path`, with its `sha256:` prefix."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path, digest: str) -> None:
    """Raises IntegrityError when the file at `path`, which can be had again, has another digest."""
    if sha256_file(path) != digest:
        raise wrong_digest(path, digest)


def wrong_digest(path: Path, digest: str) -> IntegrityError:
    """The error for a file, which can be had again, that has another digest."""
    return IntegrityError(f"{path} does not have the digest {digest}", hint=f"remove {path} and run again")


def check_digest(text: str) -> str:
    """`text` when it is a well-formed sha256 digest.

    Raises MalformedError otherwise, so that no digest from outside ever becomes a path unchecked.
    """
    if not _DIGEST.fullmatch(text):
        raise MalformedError(f"{text[:100]!r} is not a sha256 digest")
    return text


def hexadecimal(digest: str) -> str:
    """The 64 hexadecimal digits of a digest."""
    return check_digest(digest).removeprefix("sha256:")
