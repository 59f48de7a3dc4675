"""Where each path of a package goes: dpkg's path filters, diversions, merged /usr, and what others replace."""

import re
from typing import Final

from formation.dataclass import dataclass
from formation.entry import Entry
from formation.oci.media_types import Compression

USR_ALIASES: Final = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"})
"""The top-level directories that are symlinks into /usr on a merged system."""

_WILDCARD = re.compile(r"[*?\[\\]")
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "xdigit": "0-9A-Fa-f",
    "cntrl": r"\x00-\x1f\x7f",
    "graph": r"\x21-\x7e",
    "print": r"\x20-\x7e",
}


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """Everything besides the package itself that decides its segment."""

    epoch: int
    """Later times are set back to it; seconds since 1970."""
    compression: Compression = "gzip"
    path_excludes: tuple[str, ...] = ()
    """dpkg's path-exclude patterns, as in /usr/share/man/*."""
    path_includes: tuple[str, ...] = ()
    """dpkg's path-include patterns. They stand after the excludes; of those that match the last wins."""
    omit: frozenset[str] = frozenset()
    """Paths that another package replaces, as they would be in the tree; they leave the package's file list too."""
    covered: frozenset[str] = frozenset()
    """Paths that something else has, as they would be in the tree; the package's file list names them all the same."""
    renames: tuple[tuple[str, str], ...] = ()
    """Diversions, and what lies beyond symlinks: a path as the package ships it, and where it goes."""
    modes: tuple[tuple[str, int], ...] = ()
    """Files that have another mode than the package says, as they would be in the tree, by path."""
    maintained: bool = True
    """Whether dpkg's database gets the package's scripts, and all else that only dpkg reads."""
    usr_merged: bool = True
    """/bin, /lib and the like are symlinks into /usr, and what packages ship below them goes to /usr."""


class Placement:
    """A SegmentSpec made ready to be asked about many entries."""

    __slots__ = ("_covered", "_excluded", "_included", "_modes", "_omit", "_prefixes", "_renames", "_usr_merged")

    def __init__(self, spec: SegmentSpec) -> None:
        self._excluded = _any_of(spec.path_excludes)
        self._included = _any_of(spec.path_includes)
        self._prefixes = tuple(_WILDCARD.split(pattern)[0].rstrip("/") for pattern in spec.path_includes)
        self._renames = dict(spec.renames)
        self._omit = spec.omit
        self._covered = spec.covered
        self._modes = dict(spec.modes)
        self._usr_merged = spec.usr_merged

    def excludes(self, entry: Entry) -> bool:
        """Whether dpkg's filters keep `entry` out of the tree; it stays in the package's file list.

        A directory or symlink stays when an include may match something below it, judged by the part of the pattern
        before its first wildcard (dpkg, src/main/filters.c).
        """
        path = "/" + entry.path if entry.path else ""
        if not self._excluded or not self._excluded.fullmatch(path):
            return False
        if self._included and self._included.fullmatch(path):
            return False
        return not (entry.type in ("directory", "symlink") and path.startswith(self._prefixes))

    def place(self, path: str, *, through_alias: bool = True) -> str:
        """Where a path of the package is in the tree.

        `through_alias` is False for an entry that makes an alias itself, such as base-files' `bin` → `usr/bin`.
        """
        path = self._renames.get(path, path)
        return merged_path(path) if self._usr_merged and through_alias else path

    def omits(self, path: str) -> bool:
        """Whether another package replaces what would be at `path` of the tree."""
        return path in self._omit

    def covers(self, path: str) -> bool:
        """Whether something that is no file of the package is at `path` of the tree."""
        return path in self._covered

    def mode(self, path: str, shipped: int) -> int:
        """The mode of what is at `path` of the tree and comes with the mode `shipped`."""
        return self._modes.get(path, shipped)


def merged_path(path: str) -> str:
    """Where `path` is when /bin, /lib and the like are symlinks into /usr."""
    return "usr/" + path if path.partition("/")[0] in USR_ALIASES else path


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_regex, patterns)), re.DOTALL) if patterns else None


def _regex(pattern: str) -> str:
    r"""The regular expression of a glob as `fnmatch(3)` without flags reads it: `*` crosses slashes, `\` escapes."""
    result, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            result = result.removesuffix(".*") + ".*"
        elif character == "?":
            result += "."
        elif character == "[" and (end := _bracket_end(pattern, position)):
            result += _bracket(pattern[position:end])
            position = end + 1
        elif character == "\\":
            # fnmatch(3): a backslash at the end matches nothing.
            result += re.escape(pattern[position]) if position < len(pattern) else "(?!)"
            position += 1
        else:
            result += re.escape(character)
    return result


def _bracket_end(pattern: str, start: int) -> int:
    """Position of the `]` that closes the bracket whose content begins at `start`; 0 when none does."""
    position = start + 1 if pattern[start : start + 1] in ("!", "^") else start
    first = position
    while position < len(pattern):
        if pattern[position] == "]" and position > first:
            return position
        if pattern.startswith("[:", position) and (end := pattern.find(":]", position)) > 0:
            position = end + 1
        elif pattern[position] == "\\":
            position += 1
        position += 1
    return 0


def _bracket(content: str) -> str:
    """The character class of a bracket's content."""
    negated = content[0] in "!^"
    content = content[negated:]
    result, position = "", 0
    while position < len(content):
        if content.startswith("[:", position) and (end := content.find(":]", position)) > 0:
            result += _CLASSES.get(content[position + 2 : end], "")
            position = end + 2
            continue
        if content[position] == "\\" and position + 1 < len(content):
            position += 1
        character = content[position]
        result += "-" if character == "-" and 0 < position < len(content) - 1 else re.escape(character)
        position += 1
    return f"[{'^' if negated else ''}{result}]" if result else ("." if negated else "(?!)")
