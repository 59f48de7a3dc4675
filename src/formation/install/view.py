"""The files of an image as what is added to it sees them: a stack of trees here, or nothing but facts."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from formation.dataclass import dataclass
from formation.entry import Entry, EntryType
from formation.install.inside import read_file
from formation.install.stacked import lower_path


class View(Protocol):
    """An image, asked path by path: relative, without symlinks on the way to the last name, which are not followed."""

    def find(self, path: str) -> Entry | None:
        """What is at `path`; None for nothing. Size and time mean nothing."""

    def read(self, path: str) -> bytes:
        """The content of the file at `path`; empty for anything else. Raises FormationError when it cannot be had."""


@dataclass(frozen=True, slots=True)
class TreesView:
    """A stack of trees on this machine, top first."""

    trees: Sequence[Path]

    def place(self, path: str) -> Path | None:
        """Where `path` is; None when the image does not have it."""
        return lower_path(path, self.trees)

    def find(self, path: str) -> Entry | None:
        place = self.place(path)
        if place is None:
            return None
        status = place.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return Entry(path, "symlink", mode, status.st_uid, status.st_gid, target=os.readlink(place))
        type_: EntryType = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        if stat.S_ISFIFO(status.st_mode):
            type_ = "fifo"
        return Entry(path, type_, mode, status.st_uid, status.st_gid)

    def read(self, path: str) -> bytes:
        place = self.place(path)
        return (read_file(place) or b"") if place is not None else b""
