"""The one writer of tar headers.

Headers are POSIX ustar. A PAX header precedes one only where ustar cannot say it: a name that is long or not ASCII, a
size of 8 GiB or more, a large id, an extended attribute. Owners are numbers; the user and group *names* are left empty,
which Docker, containerd, Podman, skopeo and umoci take as "use the numbers". The bytes are a function of the entry
alone.

Sources: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; the OCI image specification, layer.md.
"""

import struct
from typing import Final

from formation.entry import Entry, EntryType, decode_path, encode_path
from formation.errors import MalformedError
from formation.tarstream import BLOCK, padding, sum_of_bytes

END_OF_ARCHIVE: Final = bytes(2 * BLOCK)

_MAX_EXTENSION = 1 << 20
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
_HEADER = struct.Struct("100s 8s 8s 8s 12s 12s 8s 1s 100s 8s 64s 8s 8s 155s 12x")
_FLAGS: Final[dict[EntryType, bytes]] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "character": b"3",
    "block": b"4",
    "directory": b"5",
    "fifo": b"6",
}


def header(entry: Entry) -> bytes:
    """The header blocks of `entry`; its content and `padding` follow. A multiple of 512 bytes, 512 for most."""
    name = encode_path(entry.path) or b"."
    if entry.type == "directory":
        name += b"/"
    target = encode_path(entry.target)
    if (
        len(name) <= 100
        and len(target) <= 100
        and name.isascii()
        and target.isascii()
        and not entry.xattrs
        and 0 <= entry.mtime <= _OCTAL_11
        and entry.size <= _OCTAL_11
        and max(entry.uid, entry.gid) <= _OCTAL_7
    ):
        return _ustar(entry, name, b"", target)
    split = _split(name)
    return _pax(_extended(entry, name, split, target)) + _ustar(entry, split[1], split[0], target[:100])


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Prefix and rest for ustar's two name fields; the rest is cut when `name` fits neither."""
    if len(name) <= 100:
        return b"", name
    slash = name.find(b"/", max(0, len(name) - 101))
    if 0 < slash <= 155 and slash < len(name) - 1:
        return name[:slash], name[slash + 1 :]
    return b"", name[:100]


def _ustar(entry: Entry, name: bytes, prefix: bytes, target: bytes) -> bytes:
    block = _HEADER.pack(
        name,
        b"%07o" % entry.mode,
        _octal(entry.uid, 7),
        _octal(entry.gid, 7),
        _octal(entry.size, 11),
        _octal(entry.mtime, 11),
        b"        ",
        _FLAGS[entry.type],
        target,
        b"ustar\x0000",
        b"",
        _octal(entry.device[0], 7),
        _octal(entry.device[1], 7),
        prefix,
    )
    return b"%b%06o\0 %b" % (block[:148], sum_of_bytes(block), block[156:])


def _octal(value: int, digits: int) -> bytes:
    """`value` in octal; zeros when it is negative or too large, for then a PAX header carries it."""
    text = b"%0*o" % (digits, value) if value >= 0 else b""
    return text if len(text) == digits else b"0" * digits


def _extended(entry: Entry, name: bytes, split: tuple[bytes, bytes], target: bytes) -> dict[bytes, bytes]:
    """The PAX records of what the ustar header cannot hold."""
    records = {b"SCHILY.xattr." + encode_path(key): value for key, value in entry.xattrs}
    if not name.isascii() or b"/".join(filter(None, split)) != name:
        records[b"path"] = name
    if not target.isascii() or len(target) > 100:
        records[b"linkpath"] = target
    if not _is_utf8(records.get(b"path", b"") + records.get(b"linkpath", b"")):
        records[b"hdrcharset"] = b"BINARY"
    for key, value, largest in (
        (b"size", entry.size, _OCTAL_11),
        (b"mtime", entry.mtime, _OCTAL_11),
        (b"uid", entry.uid, _OCTAL_7),
        (b"gid", entry.gid, _OCTAL_7),
    ):
        if not 0 <= value <= largest:
            records[key] = b"%d" % value
    return records


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pax(records: dict[bytes, bytes]) -> bytes:
    """A PAX header block with `records` sorted by name, or nothing when there are none."""
    if not records:
        return b""
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    if len(data) > _MAX_EXTENSION:
        raise MalformedError(f"the extended attributes of {decode_path(records.get(b'path', b'a file'))} are too large")
    fields = Entry(path="", type="file", mode=0o644, size=len(data))
    block = _ustar(fields, b"././@PaxHeader", b"", b"")
    block = block[:156] + b"x" + block[157:]
    checksum = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
    return block[:148] + checksum + block[156:] + data + bytes(padding(len(data)))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\n`, where LENGTH counts its own digits too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)
