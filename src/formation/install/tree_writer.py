"""Writing a file tree below a directory of our own."""

import os
from collections.abc import Iterable
from pathlib import Path

from formation.entry import Entry, encode_path
from formation.install.package_files import set_facts, write_chunks

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class TreeWriter:
    """Creates entries below `root`, an empty directory that nobody else writes to.

    Every directory on the way to an entry was made here, so no path can lead through a symlink. Existing files are
    never opened. The umask does not matter. Calls raise OSError.
    """

    __slots__ = ("_directories", "_epoch", "_gid", "_made", "_root", "_uid")

    def __init__(self, root: Path, epoch: int) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._epoch = epoch
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._made = {b""}
        self._directories: dict[bytes, Entry] = {b"": Entry("", "directory", 0o755, mtime=epoch)}
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
            write_chunks(descriptor, content)
            set_facts(descriptor, entry, self._uid, self._gid)
        finally:
            os.close(descriptor)

    def symlink(self, entry: Entry) -> None:
        """Makes a symlink."""
        path = self._place(entry)
        os.symlink(encode_path(entry.target), path, dir_fd=self._root)
        if entry.uid != self._uid or entry.gid != self._gid:
            os.chown(path, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
        os.utime(path, (entry.mtime, entry.mtime), dir_fd=self._root, follow_symlinks=False)

    def fifo(self, entry: Entry) -> None:
        """Makes a named pipe."""
        path = self._place(entry)
        os.mkfifo(path, 0o600, dir_fd=self._root)
        os.chown(path, entry.uid, entry.gid, dir_fd=self._root, follow_symlinks=False)
        os.chmod(path, entry.mode, dir_fd=self._root)
        os.utime(path, (entry.mtime, entry.mtime), dir_fd=self._root)

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
        """Sets the owner, mode and time of each directory. Directories that were only implied get 0755, root."""
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
