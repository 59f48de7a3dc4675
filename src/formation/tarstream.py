"""Reading tar as a stream, trusting nothing.

The reader takes ustar, PAX and the GNU long names. Sparse files, multi-volume archives and unknown types are refused.
Who must see all of a stranger's archive passes a `judge`, and hears of what is odd instead.

Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NoReturn
from zlib import adler32

from formation.entry import Entry, EntryType, decode_path
from formation.errors import MalformedError

BLOCK: Final = 512
MAX_PATH: Final = 4096
"""PATH_MAX of Linux: no longer name can be unpacked."""

_MAX_EXTENSION = 1 << 20
_ZEROS = bytes(BLOCK)
_LARGEST_ID = 2**32 - 2
_LATEST = 2**40
_DECIMAL = re.compile(rb"(-?[0-9]{1,19})(\.[0-9]*)?")
_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
_GNU_TYPES = frozenset({b"S", b"M", b"V", b"N", b"D"})
_XATTR = b"SCHILY.xattr."
_TYPES: Final[dict[bytes, EntryType]] = {
    b"\0": "file",
    b"0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "character",
    b"4": "block",
    b"5": "directory",
    b"6": "fifo",
}


Judge = Callable[[str], None]
"""Hears of an archive that can be read and should not be trusted; the reader goes on when it returns."""


def padding(size: int) -> int:
    """How many zero bytes follow a content of `size` bytes."""
    return -size % BLOCK


def sum_of_bytes(block: bytes) -> int:
    """What a header's checksum is made of: its bytes, added up.

    The low half of Adler-32 counts them, from 1 and modulo 65521, which 256 bytes cannot reach. `sum` takes six times
    as long, and a build has a hundred thousand headers.
    """
    return (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2


class _Input:
    """Bytes from a stream of chunks, in the portions that the reader wants."""

    __slots__ = ("_chunks", "_data", "_position", "what")

    def __init__(self, chunks: Iterable[bytes], what: str) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._position = 0
        self.what = what

    def take(self, size: int) -> bytes:
        """The next `size` bytes. Raises MalformedError when there are fewer."""
        end = self._position + size
        if end <= len(self._data):
            data = self._data[self._position : end]
            self._position = end
            return data
        return b"".join(self.pieces(size))

    def holds(self, size: int) -> bool:
        """Whether the next `size` bytes are in memory already."""
        return self._position + size <= len(self._data)

    def pieces(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes as they come."""
        while size:
            if self._position == len(self._data):
                self._data, self._position = next(self._chunks, b""), 0
                if not self._data:
                    raise MalformedError(f"{self.what}: the tar archive is cut off")
                continue
            piece = self._data[self._position : self._position + size]
            self._position += len(piece)
            size -= len(piece)
            yield piece

    def ended(self) -> bool:
        """Whether there are no more bytes."""
        while self._position == len(self._data):
            self._data, self._position = next(self._chunks, b""), 0
            if not self._data:
                return True
        return False

    def check_end(self, judge: Judge) -> None:
        """Tells `judge` unless only zeros are left."""
        rest = self._data[self._position :]
        while True:
            if rest.strip(b"\0"):
                judge(f"{self.what}: data follows the end of the tar archive")
                return
            rest = next(self._chunks, b"")
            if not rest:
                return


def refuse(message: str) -> NoReturn:
    """The judge who takes nothing odd. Raises MalformedError."""
    raise MalformedError(message)


def read_tar(chunks: Iterable[bytes], what: str, judge: Judge = refuse) -> Iterator[tuple[Entry, Iterable[bytes]]]:
    """Each entry of a tar archive with its content in chunks, in the archive's order.

    A content can be read once, before the next entry is asked for; what is not read is skipped. Paths are relative
    and without `.` and `..`. `what` names the archive in errors. Whether the entries fit together (duplicates, files
    below symlinks, links to nowhere) is for the caller to judge. No more than one chunk is held in memory.

    Raises MalformedError for everything that is not a well-formed tar archive. With a `judge` that returns: absolute
    paths and `..` are taken as in a root of their own, a sparse file as the bytes that are stored of it, an unknown
    type as a file (POSIX says so), global headers are ignored, and so is what follows the end.
    """
    source = _Input(chunks, what)
    records: dict[bytes, bytes] = {}
    while True:
        if judge is not refuse and source.ended():
            judge(f"{what}: the tar archive has no end marker")
            return
        block = source.take(BLOCK)
        if block == _ZEROS:
            if records:
                raise MalformedError(f"{what}: the tar archive ends after an extended header")
            source.check_end(judge)
            return
        flag = _checked(block, what)
        if flag in _EXTENSIONS:
            _extend(records, block, source, judge)
            continue
        entry = _entry(block, records, what, judge)
        records = {}
        if not entry.size:
            yield entry, ()
        elif source.holds(entry.size):
            yield entry, (source.take(entry.size),)
            source.take(padding(entry.size))
        else:
            pieces = source.pieces(entry.size)
            yield entry, pieces
            for _ in pieces:
                pass
            source.take(padding(entry.size))


def _checked(block: bytes, what: str) -> bytes:
    """The type flag of a header whose checksum is right."""
    expected = _number(block[148:156], "checksum", what)
    if sum_of_bytes(block) - sum(block[148:156]) + 8 * ord(" ") != expected:
        raise MalformedError(f"{what}: a tar header has a wrong checksum")
    return block[156:157]


def _number(field: bytes, name: str, what: str) -> int:
    """A numeric field: octal digits, or GNU's base-256 when the top bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        return value + (1 << (8 * len(field) - 1)) if value < 0 and not field[0] & 0x40 else value
    octal = _octal(field)
    if octal is None:
        raise MalformedError(f"{what}: a tar header has {field!r} as its {name}")
    return octal


@lru_cache(maxsize=4096)
def _octal(field: bytes) -> int | None:
    """The number in octal digits, which are few in an archive: its files have owners, modes and times in common."""
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    try:
        return int(digits, 8) if digits.isdigit() else None
    except ValueError:
        return None


def _extend(records: dict[bytes, bytes], block: bytes, source: _Input, judge: Judge) -> None:
    """Adds what an extended header says about the entry that follows it."""
    size = _number(block[124:136], "size", source.what)
    if not 0 <= size <= _MAX_EXTENSION:
        raise MalformedError(f"{source.what}: an extended tar header of {size} bytes")
    data = source.take(size)
    source.take(padding(size))
    flag = block[156:157]
    if flag == b"L":
        records[b"path"] = data.rstrip(b"\0")
    elif flag == b"K":
        records[b"linkpath"] = data.rstrip(b"\0")
    elif flag == b"x":
        records.update(_records(data, source.what))
    elif set(_records(data, source.what)) - {b"comment"}:
        # Readers disagree about them, so the archive would not mean the same everywhere.
        judge(f"{source.what}: a global PAX header sets the fields of entries")


def _records(data: bytes, what: str) -> dict[bytes, bytes]:
    """The `LENGTH KEY=VALUE` lines of a PAX header."""
    records, position = {}, 0
    while position < len(data):
        digits, space, _ = data[position : position + 20].partition(b" ")
        end = position + int(digits) if digits.isdigit() else 0
        key, equals, value = data[position + len(digits) + 1 : max(end - 1, 0)].partition(b"=")
        if not (space and equals and end <= len(data) and data[end - 1 : end] == b"\n"):
            raise MalformedError(f"{what}: a PAX header has a malformed record")
        records[key] = value
        position = end
    return records


def _entry(block: bytes, records: dict[bytes, bytes], what: str, judge: Judge) -> Entry:
    name, target = block[:100].partition(b"\0")[0], block[157:257].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].partition(b"\0")[0] + b"/" + name
    size = _number(block[124:136], "size", what)
    uid, gid = _number(block[108:116], "uid", what), _number(block[116:124], "gid", what)
    mtime = _number(block[136:148], "mtime", what)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    if records:
        if any(key.startswith(b"GNU.sparse.") for key in records):
            judge(f"{what}: {decode_path(name)!r} is a sparse file, which packages and layers cannot have")
        name, target = records.get(b"path", name), records.get(b"linkpath", target)
        size, uid = _decimal(records, b"size", size, what), _decimal(records, b"uid", uid, what)
        gid, mtime = _decimal(records, b"gid", gid, what), _decimal(records, b"mtime", mtime, what)
        xattrs = tuple(
            sorted((decode_path(key[13:]), value) for key, value in records.items() if key.startswith(_XATTR))
        )
    type_ = _type(block, name, what, judge)
    path = _relative(name, what, judge)
    if min(size, uid, gid) < 0 or max(uid, gid) > _LARGEST_ID or abs(mtime) > _LATEST:
        raise MalformedError(f"{what}: {path!r} has a size, an owner or a time that no file has")
    device = (0, 0)
    if type_ in ("character", "block"):
        device = _number(block[329:337], "device", what), _number(block[337:345], "device", what)
    # What is there in older formats is padding.
    names = _names(block[265:329]) if block[257:262] == b"ustar" else ("", "")
    return Entry(
        path=path,
        type=type_,
        mode=_number(block[100:108], "mode", what) & 0o7777,
        uid=uid,
        gid=gid,
        mtime=mtime,
        size=size if type_ == "file" else 0,
        target=_target(type_, target, f"{what}: {path!r}", judge),
        xattrs=xattrs,
        device=device,
        names=names,
    )


@lru_cache(maxsize=256)
def _names(fields: bytes) -> tuple[str, str]:
    """User and group by name, which an archive has few of. What they hold is not judged."""
    user, group = fields[:32].partition(b"\0")[0], fields[32:].partition(b"\0")[0]
    return decode_path(user), decode_path(group)


def _type(block: bytes, name: bytes, what: str, judge: Judge) -> EntryType:
    type_ = _TYPES.get(block[156:157])
    if type_ is None:
        unknown = f"{what}: {decode_path(name)!r} is of the unknown tar type {block[156:157]!r}"
        # More headers follow those of GNU's sparse files, which only who knows them can skip.
        (refuse if block[156:157] in _GNU_TYPES else judge)(unknown)
        type_ = "file"
    # Pre-POSIX archives tell a directory by its slash.
    return "directory" if type_ == "file" and name.endswith(b"/") else type_


def _target(type_: EntryType, target: bytes, what: str, judge: Judge) -> str:
    if type_ == "hardlink":
        return _relative(target, what, judge)
    if type_ != "symlink":
        return ""
    if not target or len(target) >= MAX_PATH or b"\0" in target:
        raise MalformedError(
            f"{what} is a symlink to {decode_path(target[:100])!r}, which is empty, too long, or no path"
        )
    return decode_path(target)


def _decimal(records: dict[bytes, bytes], key: bytes, otherwise: int, what: str) -> int:
    """The whole part of a decimal record."""
    text = records.get(key)
    if text is None:
        return otherwise
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise MalformedError(f"{what}: a PAX header has {text[:40]!r} as its {key.decode()}")
    # Towards minus infinity, as a clock reads: half a second before 1970 is in second -1.
    return int(match[1]) - (1 if match[1].startswith(b"-") and (match[2] or b"").strip(b".0") else 0)


def _relative(name: bytes, what: str, judge: Judge) -> str:
    """`name` without `./`, doubled slashes and the last slash; `judge` hears when it leads elsewhere."""
    path = name.removeprefix(b"./").removesuffix(b"/")
    shown = decode_path(name[:100])
    if len(path) >= MAX_PATH or b"\0" in path:
        raise MalformedError(f"{what}: {shown!r} is too long, or not a file name")
    if not name or name.startswith(b"/"):
        judge(f"{what}: {shown!r} is not a relative path")
    parts = path.split(b"/")
    if b".." in parts:
        judge(f"{what}: {shown!r} leads out of its directory")
        path = posixpath.normpath(b"/" + path).lstrip(b"/")
        parts = path.split(b"/")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in (b"", b".")]
        path = b"/".join(parts)
    if len(path) > 255 and max(map(len, parts)) > 255:
        raise MalformedError(f"{what}: {shown!r} has a name of more than 255 bytes")
    return decode_path(path)
