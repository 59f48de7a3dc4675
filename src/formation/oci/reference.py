"""References, such as `registry.example.com:5000/formation/base:1.0.0` (grammar: github.com/distribution/reference)."""

import re

from formation.dataclass import dataclass
from formation.errors import UsageError
from formation.logins import blotted_reference, host_after_login

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
# A first part without a dot and port is no host but a namespace of Docker Hub, and those are in lower case.
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})+(?::[0-9]+)?|{_LABEL}:[0-9]+|\[[0-9a-fA-F:]+\](?::[0-9]+)?)"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""A tag alone."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAXIMUM_REPOSITORY = 255
_LONGEST = 1000
"""More than a host, a repository, a tag and a digest can have."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which image of which repository."""

    repository: str
    """With the registry's host where one is written: `formation/base`, `registry.example.com/formation/base`."""
    tag: str | None
    digest: str | None
    """`sha256:…`."""

    def __str__(self) -> str:
        tag = "" if self.tag is None else f":{self.tag}"
        return self.repository + tag + ("" if self.digest is None else f"@{self.digest}")

    @property
    def host(self) -> str | None:
        """The registry's host, with its port; None where none is written."""
        first, _, rest = self.repository.partition("/")
        return first if rest and ("." in first or ":" in first or first == "localhost") else None

    @property
    def canonical(self) -> str:
        """As containerd writes it in annotations: with a host, docker.io where none is written."""
        if self.host is not None:
            return str(self)
        return f"docker.io/{self}" if "/" in self.repository else f"docker.io/library/{self}"


def parse_reference(text: str, *, default_tag: str | None = "latest") -> Reference:
    """The reference that `text` is; without a tag and digest it gets `default_tag`. Raises UsageError."""
    if len(text) > _LONGEST:
        raise _wrong(text, f"it has {len(text)} characters")
    if (host := host_after_login(text)) is not None:
        hint = f"write it without, and log in: podman login {host} (or docker login {host})"
        raise _wrong(text, "a login does not belong into it, where others can read it", hint)
    if "://" in text:
        raise _wrong(text, f"write it without {text.partition('://')[0]}://")
    rest, _, digest = text.partition("@")
    # The last colon separates the tag, unless a slash follows: then it is the port of the host.
    repository, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = rest, ""
        colon = ""
    if digest and not _DIGEST.fullmatch(digest):
        raise _wrong(text, "after @ comes sha256: and 64 hexadecimal digits")
    if "@" in text and not digest:
        raise _wrong(text, "the digest after @ is empty")
    if colon and not TAG.fullmatch(tag):
        raise _wrong(text, f"{tag!r} is not a tag: letters, digits, `_`, `.` and `-`, at most 128")
    if len(repository) > _MAXIMUM_REPOSITORY:
        raise _wrong(text, f"the repository name is longer than {_MAXIMUM_REPOSITORY} characters")
    if not _REPOSITORY.fullmatch(repository):
        reason = "a repository name is in lower case" if repository.lower() != repository else "that is no repository"
        raise _wrong(text, reason)
    return Reference(repository, tag or (None if digest else default_tag), digest or None)


def _wrong(text: str, reason: str, hint: str = "write it as formation/base:1.0.0") -> UsageError:
    return UsageError(f"{blotted_reference(text)[:300]!r} is not an image reference: {reason}", hint=hint)
