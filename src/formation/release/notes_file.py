"""CHANGELOG.md beside a definition: an entry for each release, the newest first, among what people write there.

What formation wrote ends in a comment with the digest of it. An entry without one, or with another text than the digest
is of, is somebody's own: it is never replaced.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.errors import FormationError, system_error
from formation.files import rewrite
from formation.oci.regular_file import read_regular
from formation.release.markdown import Heading, before_link_references, headings

NAME: Final = "CHANGELOG.md"
_TITLE = "# Changelog"
_LEVEL: Final = 2
"""Of the heading of a version."""
_DEEPEST: Final = 6
"""The deepest heading that Markdown has."""
_LARGEST: Final = 8 << 20
_PREFIX = r"(?:(?:version|release)\s+)?[\[*_]*v?"
_VERSION = re.compile(_PREFIX + r"[0-9]+\.[0-9]+\.[0-9]", re.IGNORECASE)
_ALONE = re.compile(_VERSION.pattern + r"\S*(?:$|\s+[^\sA-Za-z])", re.IGNORECASE)
"""A version, and at most its date behind it: not `1.0.0 compatibility`."""
_CHANGELOG = re.compile(r"change|release|history|news", re.IGNORECASE)
_UNRELEASED = re.compile(r"[\[*_]*unreleased", re.IGNORECASE)
_MARK = re.compile(r"^<!-- formation release ([0-9a-f]{16}) -->(?=\r?$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Placed:
    """A changelog with an entry in its place."""

    text: str
    """All of it."""
    kept: int | None
    """The line of the entry that somebody wrote or changed: it stays, and `text` is as it was. None: there is none."""


def with_entry(text: str, version: str, new: str) -> Placed:
    """The changelog `text` with the entry `new` for `version`: in the place of the one that it has, or as the newest.

    Only what formation wrote, and nobody changed since, is replaced. What is not released yet stays above. The lines
    end as most lines of `text` do.
    """
    ending = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    if not text.strip():
        return Placed(f"{_TITLE}\n\n{_marked(new, ending, _LEVEL)}\n", None)
    found, end, level = _entries(text)
    marked = _marked(new, ending, level)
    own = next((number for number, heading in enumerate(found) if _is_of(heading, version)), None)
    if own is None:
        return Placed(_inserted(text, _newest(text, found, end), marked, ending), None)
    heading = found[own]
    written = _written(text[heading.start : found[own + 1].start if own + 1 < len(found) else end])
    if written is None:
        return Placed(text, heading.line)
    return Placed(text[: heading.start] + marked + text[heading.start + written :], None)


def read_notes(path: Path) -> str:
    """The changelog at `path`; empty when there is none. Raises FormationError when it cannot be read."""
    if not path.exists():
        return ""
    data = read_regular(Path(os.path.realpath(path)), "the changelog", _LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormationError(f"{path} is not UTF-8 text") from None


def write_notes(path: Path, text: str) -> None:
    """Replaces the changelog in one step. Raises FormationError when it cannot be written."""
    try:
        rewrite(path, text.encode())
    except OSError as error:
        raise system_error(f"cannot write {path}", error) from error


def _marked(new: str, ending: str, level: int) -> str:
    """The entry with its mark; its heading, of the second level, becomes one of `level`, and those below go with it.

    Where they cannot go deeper they become bold, for of the version's own level they would end its entry.
    """

    def moved(match: re.Match[str]) -> str:
        depth = len(match[1]) + level - _LEVEL
        return f"{'#' * depth} {match[2]}" if depth <= _DEEPEST else f"**{match[2]}**"

    deeper = re.sub("^(#+) (.*)$", moved, new, flags=re.MULTILINE)
    return f"{deeper.rstrip()}\n\n<!-- formation release {_digest(deeper)} -->".replace("\n", ending)


def _entries(text: str) -> tuple[Sequence[Heading], int, int]:
    """The headings of the changelog down to those of versions, where it ends, and the level of a new version.

    It ends where another title begins something else. It is below the title that has versions below it, or else calls
    itself a changelog, or else is the first. Versions are of the second level, or above, or deeper where all are;
    below what is not released, those with other words in their titles are parts of it.
    """
    titles: list[str] = [""]
    below: list[list[Heading]] = [[]]
    ends: list[int] = []
    for heading in headings(text):
        if _is_title(heading):
            titles.append(heading.title)
            below.append([])
            ends.append(heading.start)
        else:
            below[-1].append(heading)
    ends.append(len(text))
    parts = range(len(titles))
    high = (part for part in parts if any(_is_release(each) and each.level <= _LEVEL for each in below[part]))
    deep = (part for part in parts if any(_VERSION.match(each.title) for each in below[part]))
    is_called_so = (part for part in parts if _CHANGELOG.search(titles[part]))
    chosen = next(high, next(deep, next(is_called_so, min(1, len(titles) - 1))))
    versions = [each for each in below[chosen] if _VERSION.match(each.title)]
    if any(_UNRELEASED.match(each.title) and each.level <= _LEVEL for each in below[chosen]):
        versions = [each for each in versions if _ALONE.match(each.title)]
    level = max(_LEVEL, min((each.level for each in versions), default=_LEVEL))
    return [each for each in below[chosen] if each.level <= level], ends[chosen], level


def _is_title(heading: Heading) -> bool:
    return heading.level == 1 and not _is_release(heading)


def _is_release(heading: Heading) -> bool:
    return _VERSION.match(heading.title) is not None or _UNRELEASED.match(heading.title) is not None


def _is_of(heading: Heading, version: str) -> bool:
    """Whether `heading` is that of `version`: `1.0.1 - planned`, `[v1.0.1]`, but not 1.0.1-rc.1 or 1.0.10."""
    exact = rf"{_PREFIX}{re.escape(version)}(?![0-9A-Za-z+-]|\.[0-9A-Za-z])"
    return re.match(exact, heading.title, re.IGNORECASE) is not None


def _newest(text: str, entries: Sequence[Heading], end: int) -> int:
    """Where the newest release begins, or would."""
    unreleased = next((heading for heading in entries if _UNRELEASED.match(heading.title)), None)
    if unreleased is not None:
        later = (each for each in entries if each.start > unreleased.start)
        first = next((each for each in later if each.level <= unreleased.level or _VERSION.match(each.title)), None)
    else:
        first = next((each for each in entries if _VERSION.match(each.title)), entries[0] if entries else None)
    return before_link_references(text[:end]) if first is None else first.start


def _inserted(text: str, position: int, marked: str, ending: str) -> str:
    before, after = text[:position], text[position:]
    if before not in ("", "\ufeff") and not before.endswith(ending * 2):
        before = before.rstrip("\r\n") + ending * 2
    return f"{before}{marked}{ending}{ending if after else ''}{after}"


def _written(section: str) -> int | None:
    """How much of `section` is what formation wrote, its mark included; None when that is not what it wrote."""
    mark = _MARK.search(section)
    return mark.end() if mark is not None and mark[1] == _digest(section[: mark.start()]) else None


def _digest(entry: str) -> str:
    """Of an entry's text: how its lines end does not matter, for Git and editors change that."""
    lines = (line.rstrip() for line in entry.rstrip().split("\n"))
    return sha256("\n".join(lines).encode())[7:23]
