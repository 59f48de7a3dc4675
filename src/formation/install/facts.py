"""Owners, modes and times of what is in the store: a copy of a store, by an ordinary user's tar or `cp -r`, lacks them.

They decide what scripts see and what an image gets, so nothing is built on those of the copy.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from formation.entry import EntryType, encode_path
from formation.install.stacked import walk

CAPABILITY: Final = "security.capability"
_TYPES: Final[dict[int, EntryType]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
}
_ALL_KEEP = 2**31
"""Seconds since 1970: there are file systems that keep no time from here on, and none before 0."""


class Recorded(Protocol):
    """What a record says of something in a tree, as `Entry` does."""

    @property
    def type(self) -> EntryType: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def mtime(self) -> int: ...


def is_as(status: os.stat_result, recorded: Recorded) -> bool:
    """Whether something still has the type, owner, mode and time that were recorded of it.

    A name of a file is a file, whether it was recorded as the first or as a further one. Directories' times do not
    count, which change with what is in them, nor symlinks' modes, which are what the system makes them.
    """
    type_ = _TYPES.get(stat.S_IFMT(status.st_mode))
    if type_ != recorded.type and (type_, recorded.type) != ("file", "hardlink"):
        return False
    if status.st_uid != recorded.uid or status.st_gid != recorded.gid:
        return False
    if type_ != "symlink" and stat.S_IMODE(status.st_mode) != recorded.mode:
        return False
    return type_ == "directory" or int(status.st_mtime) == recorded.mtime or not 0 <= recorded.mtime < _ALL_KEEP


def capabilities(file: Path | str) -> tuple[tuple[str, bytes], ...]:
    """What a program may do beyond its user, as an extended attribute; empty for almost all."""
    try:
        return ((CAPABILITY, os.getxattr(file, CAPABILITY, follow_symlinks=False)),)
    except OSError:
        return ()


def trees_digest(trees: Iterable[Path]) -> str:
    """Of the type, owner, mode, size and time of all that is in `trees`, and of which names are those of one file."""
    digest = hashlib.sha256()
    for tree in trees:
        first: dict[int, str] = {}
        for path, status in walk(tree):
            facts = [status.st_mode, status.st_uid, status.st_gid]
            same = ""
            if stat.S_ISREG(status.st_mode):
                facts += [status.st_size, int(status.st_mtime)]
                if status.st_nlink > 1:
                    same = first.setdefault(status.st_ino, path)
            digest.update(encode_path("\0".join((path, same, *map(str, facts))) + "\n"))
        digest.update(b"\0")
    return digest.hexdigest()
