"""Writing a package's files below a directory of our own."""

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from formation.entry import Entry, encode_path

_GATHER = 32
"""Chunks that one call writes: of 32 KiB each they stay in the processor's cache until then."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeWriter:
    """Creates the entries of one package below `root`, an empty directory that nobody else writes to.

    Every directory on the way to an entry was made here, so no path can lead through a symlink. Existing files are
    never opened. The umask does not matter. With `content_only` neither owners, modes nor times are set, which needs no
    privilege.

    Calls raise OSError.
    """

    __slots__ = ("_content_only", "_directories", "_epoch", "_gid", "_made", "_root", "_uid")

    def __init__(self, root: Path, epoch: int, *, content_only: bool = False) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._epoch = epoch
        self._content_only = content_only
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._made = {b""}
        self._directories: dict[bytes, Entry] = {b"": Entry("", "directory", 0o755, mtime=epoch)}
        if not content_only:
            # The group of a setgid parent would otherwise be handed down to everything below.
            os.fchown(self._root, self._uid, self._gid)
            os.fchmod(self._root, 0o700)

    def directory(self, entry: Entry) -> None:
        """Makes a directory. Its owner, mode and time come with `finish`, when nothing more is written into it."""
        path = encode_path(entry.path)
        self._make(path)
        self._directories[path] = entry

    def file(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Writes a file."""
        descriptor = os.open(self._place(entry), _CREATE, 0o600, dir_fd=self._root)
        try:
            _write(descriptor, content)
            if not self._content_only:
                if entry.uid != self._uid or entry.gid != self._gid:
                    os.fchown(descriptor, entry.uid, entry.gid)
                # After chown, which clears setuid and setgid.
                os.fchmod(descriptor, entry.mode)
                os.utime(descriptor, (entry.mtime, entry.mtime))
        finally:
            os.close(descriptor)

    def symlink(self, entry: Entry) -> None:
        """Makes a symlink."""
        path = self._place(entry)
        os.symlink(encode_path(entry.target), path, dir_fd=self._root)
        if not self._content_only:
            if entry.uid != self._uid or entry.gid != self._gid:
                os.chown(path, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
            os.utime(path, (entry.mtime, entry.mtime), dir_fd=self._root, follow_symlinks=False)

    def hard_link(self, entry: Entry) -> None:
        """Links to a file that was written before."""
        os.link(
            encode_path(entry.target),
            self._place(entry),
            src_dir_fd=self._root,
            dst_dir_fd=self._root,
            follow_symlinks=False,
        )

    def finish(self) -> None:
        """Sets the owner, mode and time of each directory. Directories that the package only implies get 0755, root."""
        if self._content_only:
            return
        for path in self._made:
            entry = self._directories.get(path) or Entry("", "directory", 0o755, mtime=self._epoch)
            name = path or b"."
            if entry.uid != self._uid or entry.gid != self._gid:
                os.chown(name, entry.uid, entry.gid, dir_fd=self._root)
            os.chmod(name, entry.mode, dir_fd=self._root)
            os.utime(name, (entry.mtime, entry.mtime), dir_fd=self._root)

    def close(self) -> None:
        """Ends the use of the directory."""
        os.close(self._root)

    def _place(self, entry: Entry) -> bytes:
        path = encode_path(entry.path)
        parent = path.rpartition(b"/")[0]
        if parent not in self._made:
            self._make(parent)
        return path

    def _make(self, path: bytes) -> None:
        missing = []
        while path not in self._made:
            missing.append(path)
            path = path.rpartition(b"/")[0]
        for directory in reversed(missing):
            os.mkdir(directory, 0o700, dir_fd=self._root)
            self._made.add(directory)


def _write(descriptor: int, content: Iterable[bytes]) -> None:
    """Writes all of `content`."""
    chunks = iter(content)
    while batch := tuple(itertools.islice(chunks, _GATHER)):
        written, size = os.writev(descriptor, batch), sum(map(len, batch))
        if written < size:
            rest = memoryview(b"".join(batch))
            while written < size:
                written += os.write(descriptor, rest[written:])
