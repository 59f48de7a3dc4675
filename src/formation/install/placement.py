"""Where each path of a package goes: dpkg's path filters, diversions, merged /usr, and what others replace."""

from collections.abc import Iterable
from typing import Final

from formation.dataclass import dataclass, replace
from formation.debian.path_filters import any_of, literal_prefix
from formation.entry import Entry, decode_lines
from formation.oci.media_types import Compression

USR_ALIASES: Final = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32"})
"""The top-level directories that are symlinks into /usr on a merged system."""

Override = tuple[str, int, int, int]
"""A path as a package ships it, without leading slash, and the mode, uid and gid that dpkg gives it."""


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
    overrides: tuple[Override, ...] = ()
    """dpkg's overrides that are in force when the package is unpacked."""
    modes: tuple[tuple[str, int], ...] = ()
    """Files that have another mode than dpkg would give them, as they would be in the tree without diversions."""
    maintained: bool = True
    """Whether dpkg's database gets the package's scripts, and all else that only dpkg reads."""
    usr_merged: bool = True
    """/bin, /lib and the like are symlinks into /usr, and what packages ship below them goes to /usr."""


class Placement:
    """A SegmentSpec made ready to be asked about many entries."""

    __slots__ = (
        "_covered",
        "_excluded",
        "_included",
        "_modes",
        "_omit",
        "_overrides",
        "_prefixes",
        "_renames",
        "_usr_merged",
    )

    def __init__(self, spec: SegmentSpec) -> None:
        self._excluded = any_of(spec.path_excludes)
        self._included = any_of(spec.path_includes)
        self._prefixes = tuple(map(literal_prefix, spec.path_includes))
        self._renames = dict(spec.renames)
        self._omit = spec.omit
        self._covered = spec.covered
        self._modes = dict(spec.modes)
        self._overrides = {path: (mode, uid, gid) for path, mode, uid, gid in spec.overrides}
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

    def overridden(self, shipped: Entry) -> Entry:
        """`shipped`, an entry of the package, with the owner and mode that dpkg gives it.

        Diversions are not followed, owners by name do not count, and a symlink has no mode (dpkg, src/main/archives.c,
        `tarobject_set_perms`).
        """
        if shipped.path not in self._overrides:
            return shipped
        mode, uid, gid = self._overrides[shipped.path]
        mode = shipped.mode if shipped.type == "symlink" else mode
        return replace(shipped, mode=mode, uid=uid, gid=gid, names=("", ""))

    def plain_mode(self, path: str) -> int | None:
        """The mode that `path` of the package shall have whatever dpkg would give it; None when it is dpkg's."""
        return self._modes.get(merged_path(path) if self._usr_merged else path)


def listed_places(lists: Iterable[bytes]) -> frozenset[str]:
    """Where in the tree is what dpkg's file lists name."""
    return frozenset(merged_path(line[1:]) for content in lists for line in decode_lines(content))


def merged_path(path: str) -> str:
    """Where `path` is when /bin, /lib and the like are symlinks into /usr."""
    return "usr/" + path if path.partition("/")[0] in USR_ALIASES else path
