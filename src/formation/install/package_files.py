"""The files of one package as the store keeps them: content, owner, mode and time, in one flat directory.

Directories and symlinks are made where packages are merged into one tree, of whose files these are further names. To
make them here as well would cost a build a third of all its inodes, and nobody would look at them.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from formation.entry import Entry, encode_path

_GATHER = 32
"""Chunks that one call writes: of 32 KiB each they stay in the processor's cache until then."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def file_name(path: str) -> str:
    """The name that the file at `path` of the package has in the directory."""
    return hashlib.sha256(encode_path(path)).hexdigest()[:32]


class PackageFiles:
    """Writes the files of a package into an empty directory that nobody else writes to.

    Existing files are never opened, and the umask does not matter. Unless `owned`, neither owners, modes nor times are
    set, which needs no privilege. Calls raise OSError.
    """

    __slots__ = ("_directory", "_gid", "_owned", "_uid")

    def __init__(self, directory: Path, *, owned: bool = True) -> None:
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._owned = owned
        self._uid, self._gid = os.geteuid(), os.getegid()
        if owned:
            # The group of a setgid parent would otherwise be handed down.
            os.fchown(self._directory, self._uid, self._gid)
            os.fchmod(self._directory, 0o700)

    def file(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Writes a file."""
        descriptor = os.open(file_name(entry.path), _CREATE, 0o600, dir_fd=self._directory)
        try:
            write_chunks(descriptor, content)
            if self._owned:
                set_facts(descriptor, entry, self._uid, self._gid)
        finally:
            os.close(descriptor)

    def hard_link(self, entry: Entry) -> None:
        """Gives a file that was written before a further name."""
        os.link(
            file_name(entry.target),
            file_name(entry.path),
            src_dir_fd=self._directory,
            dst_dir_fd=self._directory,
            follow_symlinks=False,
        )

    def remove(self, path: str) -> None:
        """Takes one name of a file away."""
        os.unlink(file_name(path), dir_fd=self._directory)

    def own(self, entry: Entry) -> None:
        """Gives a file that was written before, and all its names, the owner and mode of `entry`."""
        if self._owned:
            name = file_name(entry.path)
            os.chown(name, entry.uid, entry.gid, dir_fd=self._directory, follow_symlinks=False)
            # After chown, which clears setuid and setgid.
            os.chmod(name, entry.mode, dir_fd=self._directory)

    def close(self) -> None:
        """Ends the use of the directory."""
        os.close(self._directory)


def set_facts(descriptor: int, entry: Entry, uid: int, gid: int) -> None:
    """Gives an open file, which belongs to `uid` and `gid`, the owner, mode and time of `entry`."""
    if entry.uid != uid or entry.gid != gid:
        os.fchown(descriptor, entry.uid, entry.gid)
    # After chown, which clears setuid and setgid.
    os.fchmod(descriptor, entry.mode)
    os.utime(descriptor, (entry.mtime, entry.mtime))


def write_chunks(descriptor: int, content: Iterable[bytes]) -> None:
    """Writes all of `content`."""
    chunks = iter(content)
    while batch := tuple(itertools.islice(chunks, _GATHER)):
        written, size = os.writev(descriptor, batch), sum(map(len, batch))
        if written < size:
            rest = memoryview(b"".join(batch))
            while written < size:
                written += os.write(descriptor, rest[written:])
