"""A binary package file, read without trusting it.

A .deb is an ar archive of `debian-binary`, `control.tar.*` and `data.tar.*`, in this order (deb(5)). Everything is
checked while it streams past: structure, sizes, and that the entries stay within the package's own tree. Nothing is
unpacked here.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from formation.debian.decompress import decompressed
from formation.entry import Entry
from formation.errors import MalformedError
from formation.tarstream import read_tar

CONTROL_LIMIT: Final = 16 << 20
"""Bytes that one control member, and twice that all of them, may have."""

_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_DATA_LIMIT = 16 << 30
_SLACK = 256 << 20
_UNSTATED_LIMIT = 4 << 30
_MAX_ENTRIES = 2_000_000
_INSTALLED_SIZE = re.compile(rb"^Installed-Size:[ \t]*([0-9]{1,12})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_CONTROL_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.+_-]{0,99}")


class Deb:
    """An open package. `entries` can be read once."""

    __slots__ = ("_file", "_member", "_size", "control", "control_modes", "name")

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self.name = name
        """Of the file, for messages."""
        self.control: dict[str, bytes] = {}
        """Content of each control member: `control`, `md5sums`, `conffiles`, `postinst`, …"""
        self.control_modes: dict[str, int] = {}
        """Permission bits of each control member."""
        self._read_control()
        self._member, self._size = self._data_member()

    def entries(self) -> Iterator[tuple[Entry, Iterable[bytes]]]:
        """Each entry of data.tar with its content, in the archive's order.

        A content can be read once, before the next entry is asked for. Nothing but a directory occurs twice or has
        anything below it, hard links point to an earlier file, and there are only files, directories and links.

        Raises MalformedError as soon as something is wrong, so nothing may be used before the iteration has ended.
        """
        chunks = decompressed(self._file, self._size, self._member, self._data_limit(), self.name)
        known = _Known(self.name)
        for entry, content in read_tar(chunks, self.name):
            known.add(entry)
            yield entry, content
        self._check_end()

    def _data_limit(self) -> int:
        """How large data.tar may be. Installed-Size is an estimate in KiB that does not count tar's own blocks."""
        match = _INSTALLED_SIZE.search(self.control["control"])
        stated = int(match[1]) * 1024 if match else 0
        return min(_DATA_LIMIT, 4 * stated + _SLACK) if stated else _UNSTATED_LIMIT

    def _read_control(self) -> None:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise MalformedError(f"{self.name} is not a Debian package: it is not an ar archive")
        member, size = self._next_member()
        if member != "debian-binary" or size > 1000:
            raise MalformedError(f"{self.name} is not a Debian package: its first member is {member!r}")
        version = self._read(size)
        if not re.match(rb"2\.[0-9]+\n", version):
            raise MalformedError(f"{self.name} is in the unknown package format {version[:20]!r}")
        member, size = self._next_significant("control.tar")
        chunks = decompressed(self._file, size, member, 2 * CONTROL_LIMIT, self.name)
        for entry, content in read_tar(chunks, f"{self.name}: {member}"):
            self._add_control(entry, content)
        if "control" not in self.control:
            raise MalformedError(f"{self.name}: {member} has no control file")
        self._skip_padding(size)

    def _add_control(self, entry: Entry, content: Iterable[bytes]) -> None:
        if entry.type == "directory" and not entry.path:
            return
        if entry.type != "file" or not _CONTROL_NAME.fullmatch(entry.path):
            raise MalformedError(f"{self.name}: control member {entry.path!r} is a {entry.type}, or has such a name")
        if entry.path in self.control:
            raise MalformedError(f"{self.name}: control member {entry.path!r} occurs twice")
        if entry.size > CONTROL_LIMIT:
            raise MalformedError(f"{self.name}: control member {entry.path!r} has {entry.size} bytes")
        self.control[entry.path] = b"".join(content)
        self.control_modes[entry.path] = entry.mode

    def _data_member(self) -> tuple[str, int]:
        return self._next_significant("data.tar")

    def _next_significant(self, expected: str) -> tuple[str, int]:
        """Name and size of the next member that readers may not ignore; it must be `expected`, with any compression."""
        member, size = self._next_member()
        while member.startswith("_"):
            self._read(size + size % 2)
            member, size = self._next_member()
        if not member.startswith(expected):
            raise MalformedError(f"{self.name} has the member {member!r} where {expected} must be")
        return member, size

    def _next_member(self) -> tuple[str, int]:
        fields = self._read(_AR_HEADER)
        name, size = fields[:16].rstrip(b" ").removesuffix(b"/"), fields[48:58].strip(b" ")
        if fields[58:] != b"`\n" or not size.isdigit() or not name.isascii():
            raise MalformedError(f"{self.name} has a malformed ar header")
        return name.decode(), int(size)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size) if size <= CONTROL_LIMIT else b""
        if len(data) != size:
            raise MalformedError(f"{self.name} is cut off")
        return data

    def _skip_padding(self, size: int) -> None:
        if size % 2:
            self._file.read(1)

    def _check_end(self) -> None:
        """What follows data.tar must be members that readers may ignore, such as a signature."""
        self._skip_padding(self._size)
        while rest := self._file.read(1):
            self._file.seek(-len(rest), 1)
            member, size = self._next_member()
            if not member.startswith("_"):
                raise MalformedError(f"{self.name} has the member {member!r} after data.tar")
            self._read(size)
            self._skip_padding(size)


class _Known:
    """What a package has shipped so far, to judge the next entry by."""

    __slots__ = ("_name", "_parents", "_types")

    def __init__(self, name: str) -> None:
        self._name = name
        self._types: dict[str, str] = {}
        self._parents: set[str] = {""}
        """Paths that something lies below: they are directories, shipped or implied."""

    def add(self, entry: Entry) -> None:
        """Raises MalformedError when `entry` does not fit to those before it."""
        path, types = entry.path, self._types
        if path in types and not entry.type == types[path] == "directory":
            self._refuse(path, "occurs twice")
        if "\n" in path:
            self._refuse(path, "has a newline in its name, which dpkg refuses")
        if entry.type not in ("file", "directory", "symlink", "hardlink"):
            self._refuse(path, f"is a {entry.type}, which no package ships")
        if entry.type != "directory" and (path in self._parents):
            self._refuse(path, f"is a {entry.type}, and also a directory")
        if entry.type == "hardlink" and types.get(entry.target) not in ("file", "hardlink"):
            self._refuse(path, f"is a hard link to {entry.target!r}, which is not an earlier file of the package")
        self._check_parents(path)
        types[path] = entry.type
        if len(types) > _MAX_ENTRIES:
            self._refuse(path, f"is one of more than {_MAX_ENTRIES} entries")

    def _check_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent not in self._parents:
            if self._types.get(parent, "directory") != "directory":
                self._refuse(path, f"lies below {parent!r}, which is a {self._types[parent]}")
            self._parents.add(parent)
            parent = parent.rpartition("/")[0]

    def _refuse(self, path: str, reason: str) -> None:
        raise MalformedError(f"{self._name}: {path!r} {reason}")


@contextmanager
def open_deb(path: Path, name: str | None = None) -> Iterator[Deb]:
    """The package file at `path`, with its control members read. Messages call it `name`, or by its file name.

    Raises MalformedError when it is not a well-formed package.
    """
    with path.open("rb") as file:
        yield Deb(file, name or path.name)
