"""Which tags a version gets, and which it may move. Pure: from names to names.

A version tag, `1.0.1` or `1.0.1-dev` for a variant, is written once. `1.0`, `1` and `latest`, with the variant's
suffix, stand for the greatest version of their line, and move forward only. A pre-release moves nothing.
"""

import re
from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.errors import UsageError

_NUMBER = r"(0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z.-]+))?")
VARIANT = r"^(?!(alpha|beta|rc|pre|preview|snapshot|nightly|test)[0-9]*$)[a-z][a-z0-9]*$"
"""The name of a variant: a tag must tell it from the words of a pre-release. One word, for 1.0.0-a-b may be either."""

_VARIANT = re.compile(VARIANT)


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A version of one variant, without its pre-release part: what orders the versions of a line."""

    major: int
    minor: int
    patch: int


@dataclass(frozen=True, slots=True)
class VersionTag:
    """A version tag, taken apart."""

    text: str
    """`1.0.1-rc.1-dev`."""
    release: Release
    prerelease: str
    """`rc.1`; empty: a final version."""
    variant: str
    """`dev`; empty: the runtime variant, whose tags have no suffix."""

    @property
    def version(self) -> str:
        """Without the variant: `1.0.1-rc.1`."""
        return self.text.removesuffix(f"-{self.variant}") if self.variant else self.text

    @property
    def moving(self) -> tuple[str, ...]:
        """The moving tags of its lines, the narrowest first; none for a pre-release."""
        if self.prerelease:
            return ()
        suffix = f"-{self.variant}" if self.variant else ""
        release = self.release
        return tuple(f"{name}{suffix}" for name in (f"{release.major}.{release.minor}", f"{release.major}", "latest"))


def parse_version_tag(text: str, variant: str | None = None) -> VersionTag | None:
    """`text` as a version tag; None when it is none.

    `variant` says which variant it is of (empty: runtime). None reads it off the end: in `1.0.1-dev` and
    `1.0.1-rc.1-dev` it is dev, in `1.0.1-rc.1` and `1.0.1-beta` there is none.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    release = Release(int(match[1]), int(match[2]), int(match[3]))
    rest = match[4] or ""
    if variant is None:
        last = rest.rpartition("-")[2]
        variant = last if _VARIANT.fullmatch(last) else ""
    if variant:
        if rest != variant and not rest.endswith(f"-{variant}"):
            return None
        rest = rest.removesuffix(variant).removesuffix("-")
    return VersionTag(text, release, rest, variant)


def version_tag(text: str, variant: str | None = None) -> VersionTag:
    """As `parse_version_tag`. Raises UsageError for another tag."""
    found = parse_version_tag(text, variant)
    if found is None:
        raise UsageError(f"{text[:100]!r} is not a version", hint="publish what is tagged 1.0.1, or 1.0.1-dev")
    return found


def moves(tag: VersionTag, published: Iterable[str]) -> tuple[str, ...]:
    """The moving tags that `tag` takes among the tags `published`: those of whose line it is the greatest version."""
    line = [other for other in published if other != tag.text]
    return tuple(name for name in tag.moving if not any(_above(tag, other, name) for other in line))


def holder(name: str, published: Iterable[str]) -> VersionTag | None:
    """The version that the moving tag `name` should stand for; None when no published version has it."""
    variant = name.partition("-")[2]
    found = (parse_version_tag(text, variant) for text in published)
    line = [tag for tag in found if tag is not None and name in tag.moving]
    return max(line, key=lambda tag: tag.release, default=None)


def _above(tag: VersionTag, other: str, name: str) -> bool:
    """Whether the tag `other` is a greater final version of the line that `name` stands for."""
    found = parse_version_tag(other, tag.variant)
    return found is not None and name in found.moving and found.release > tag.release
