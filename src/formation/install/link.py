"""Merging unpacked packages into one root, without copying their files."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from formation.entry import Entry, encode_path
from formation.errors import FormationError, IntegrityError
from formation.install.facts import is_as
from formation.install.package_files import file_name

_LINK_IMPOSSIBLE = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP})
_MAX_SYMLINKS = 40
_REMEDY = "formation cache prune --all"


def link_tree(
    kept: Path, root: Path, entries: Iterable[Entry], moved: Mapping[str, str] | None = None, *, anew: bool = False
) -> None:
    """Adds a package to `root`: its `entries`, with directories before their content. Its files are in `kept`.

    `moved` are diversions: where a path of the package is in the root instead.

    Files become further names of those in `kept`, so whoever changes one in `root` changes it there; where links cannot
    be made, they are copied. Directories behave as with dpkg: an existing one keeps its owner and mode, and a symlink
    to one is kept and followed, within `root`. A new directory gets the entry's owner and mode, but the time of its
    last change. A symlink that is there already, or a directory in its place, is kept.

    With `anew`, files are copied, for somebody who will change them, and so may be what is in their place and goes.

    Raises FormationError when something else is in the way, or the system refuses.
    """
    merge = _Merge(kept, root, moved or {}, anew)
    entry = None
    try:
        for entry in entries:
            if entry.type == "directory":
                merge.directory(entry)
            elif entry.type == "symlink":
                merge.symlink(entry)
            else:
                merge.file(entry)
    except OSError as error:
        path = f"/{entry.path}" if entry else str(root)
        raise FormationError(f"cannot add {path} to the file tree: {error.strerror or error}") from None
    finally:
        merge.close()


class _Merge:
    """A package and the root it goes to. A path in there is used only after its directory is known to be a real one."""

    __slots__ = ("_anew", "_kept", "_moved", "_name", "_real", "_root")

    def __init__(self, kept: Path, root: Path, moved: Mapping[str, str], anew: bool) -> None:
        self._anew = anew
        self._moved = moved
        self._name = kept
        self._kept = os.open(kept, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._real: dict[str, bytes] = {"": b""}
        """Directory of the package → where it is in the root, without symlinks."""

    def close(self) -> None:
        """Ends the use of both."""
        os.close(self._kept)
        os.close(self._root)

    def directory(self, entry: Entry) -> None:
        """Makes a directory unless it exists."""
        if not entry.path:
            return
        place = self._place(entry.path)
        try:
            os.mkdir(place, 0o700, dir_fd=self._root)
        except FileExistsError:
            self._real[entry.path] = self._resolve(place)
            return
        os.chown(place, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
        os.chmod(place, entry.mode, dir_fd=self._root)
        self._real[entry.path] = place

    def symlink(self, entry: Entry) -> None:
        """Makes a symlink."""
        place = self._new_place(entry.path)
        try:
            os.symlink(encode_path(entry.target), place, dir_fd=self._root)
        except FileExistsError:
            found = os.stat(place, dir_fd=self._root, follow_symlinks=False).st_mode
            same = stat.S_ISLNK(found) and os.readlink(place, dir_fd=self._root) == encode_path(entry.target)
            if not (same or stat.S_ISDIR(found)):
                raise _taken(entry) from None
            return
        os.chown(place, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
        os.utime(place, (entry.mtime, entry.mtime), dir_fd=self._root, follow_symlinks=False)

    def file(self, entry: Entry) -> None:
        """Adds a file, or a further name of one."""
        # A copy of the store may have made further names of a file files of their own.
        source = file_name(entry.first_name)
        place = self._new_place(entry.path)
        if self._anew:
            self._copy(entry, source, place)
            return
        try:
            os.link(source, place, src_dir_fd=self._kept, dst_dir_fd=self._root, follow_symlinks=False)
            self._check(entry, place)
        except FileExistsError:
            found = os.stat(place, dir_fd=self._root, follow_symlinks=False)
            ours = os.stat(source, dir_fd=self._kept, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
                raise _taken(entry) from None
        except OSError as error:
            if error.errno not in _LINK_IMPOSSIBLE:
                raise
            self._copy(entry, source, place)

    def _check(self, entry: Entry, place: bytes) -> None:
        """Makes good what a copy of the store has lost: owner, mode and time. Nothing but the right ones is ever set.

        Raises IntegrityError where they cannot be set, or it is not the right file.
        """
        status = os.stat(place, dir_fd=self._root, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or (entry.type == "file" and status.st_size != entry.size):
            raise self._damaged(entry)
        if not is_as(status, entry):
            try:
                self._own(entry, place)
            except OSError:
                raise self._damaged(entry) from None

    def _damaged(self, entry: Entry) -> IntegrityError:
        return IntegrityError(f"the stored files {self._name} are damaged: /{entry.path}", hint=_REMEDY)

    def _own(self, entry: Entry, place: bytes) -> None:
        os.chown(place, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
        # After chown, which clears setuid and setgid.
        os.chmod(place, entry.mode, dir_fd=self._root)
        os.utime(place, (entry.mtime, entry.mtime), dir_fd=self._root)

    def _new_place(self, path: str) -> bytes:
        """`_place` of what is no directory, and with `anew` nothing is there."""
        place = self._place(path)
        if self._anew:
            with suppress(FileNotFoundError):
                os.unlink(place, dir_fd=self._root)
        return place

    def _place(self, path: str) -> bytes:
        """Where `path` of the package is in the root; the last name itself may be anything."""
        parent, _, name = self._moved.get(path, path).rpartition("/")
        real = self._real.get(parent)
        if real is None:
            real = self._imply(parent)
        return b"%b/%b" % (real, encode_path(name)) if real else encode_path(name)

    def _imply(self, path: str) -> bytes:
        """Where the directory `path` is, which no entry of the package has announced. Made when it is missing."""
        names = path.split("/")
        for count in range(1, len(names) + 1):
            directory = "/".join(names[:count])
            if directory not in self._real:
                self.directory(Entry(directory, "directory", 0o755))
        return self._real[path]

    def _resolve(self, place: bytes) -> bytes:
        """The real directory that `place` is or leads to, within the root."""
        resolved: list[bytes] = []
        names = place.split(b"/")
        links = 0
        while names:
            name = names.pop(0)
            if name == b"..":
                resolved = resolved[:-1]
            elif name not in (b"", b"."):
                here = b"/".join([*resolved, name])
                mode = os.stat(here, dir_fd=self._root, follow_symlinks=False).st_mode
                if stat.S_ISLNK(mode) and links < _MAX_SYMLINKS:
                    links += 1
                    target = os.readlink(here, dir_fd=self._root)
                    resolved = [] if target.startswith(b"/") else resolved
                    names = target.split(b"/") + names
                elif stat.S_ISDIR(mode):
                    resolved.append(name)
                else:
                    raise NotADirectoryError(errno.ENOTDIR, "a file is where a directory must be")
        return b"/".join(resolved)

    def _copy(self, entry: Entry, source: str, place: bytes) -> None:
        if entry.type == "hardlink":
            self._copy_hard_link(entry, place)
        else:
            self._copy_file(entry, source, place)

    def _copy_hard_link(self, entry: Entry, place: bytes) -> None:
        """Links to the copy of the first name, which the segment's order puts before."""
        first = self._place(entry.target)
        os.link(first, place, src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False)

    def _copy_file(self, entry: Entry, source: str, place: bytes) -> None:
        read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._kept)
        with os.fdopen(read, "rb") as reader:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            write = os.open(place, flags, 0o600, dir_fd=self._root)
            with os.fdopen(write, "wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
        self._own(entry, place)


def _taken(entry: Entry) -> FormationError:
    return FormationError(f"/{entry.path} is in the file tree already, from another package")
