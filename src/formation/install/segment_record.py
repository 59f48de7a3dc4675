"""What is known of a segment, and how the store keeps it.

Three files, so that a warm build reads no more than the first of each:

    KEY.json        the Segment itself, under a kilobyte
    KEY.seg         the compressed entries
    KEY.contents    dpkg's file list, the entries, named owners, and the control members, one after the other

KEY.json is written last and tells the sizes of the others: where it is and they agree, the segment is complete. Nothing
is synced, since all of it can be made again: after a power cut, sizes or digests may disagree, and then it is.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO
from zlib import crc32

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.entry import Entry, EntryType, decode_path, encode_path
from formation.errors import IntegrityError
from formation.files import json_bytes
from formation.install.named_owners import Names
from formation.install.placement import SegmentSpec
from formation.oci.compression import FORMAT
from formation.oci.media_types import Compression

_VERSION = "segment-12"
"""Changes whenever the same package and spec would give another segment or record."""

_FIELDS = 8
_LETTERS: dict[EntryType, str] = {"file": "f", "directory": "d", "symlink": "s", "hardlink": "h"}
_TYPES = {letter: name for name, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class ControlMember:
    """A file of the package's control archive."""

    name: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A package as part of a layer."""

    key: str
    """Name in the store: 64 hexadecimal digits."""
    deb: str
    """Digest of the .deb."""
    compression: Compression
    size: int
    """Bytes of KEY.seg."""
    checksum: int
    """CRC-32 of KEY.seg: against bits that rot, not against malice. A SHA-256 takes eight times as long."""
    uncompressed_size: int
    """Bytes of tar in it: a multiple of 512."""
    content_checksum: int
    """CRC-32 of these: whether the files that are kept still are what was compressed."""
    newest: int
    """The latest time in the package before it was clamped; seconds since 1970, 0 for an empty package."""
    control: tuple[ControlMember, ...]
    """In the package's order."""
    sections: tuple[int, int, int]
    """Bytes of the file list, the entries and the named owners in KEY.contents; the control members follow."""
    checksums: tuple[int, int, int, int]
    """CRC-32 of each of these sections, and of all control members."""

    @property
    def contents_size(self) -> int:
        """Bytes of KEY.contents."""
        return sum(self.sections) + sum(member.size for member in self.control)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a package, as KEY.contents keeps it."""

    listed: bytes
    """dpkg's info/PACKAGE.list: paths as the package ships them, in its order, excluded ones included."""
    entries: tuple[Entry, ...]
    """What is in the tree, directories included, sorted by the bytes of the path."""
    owners: dict[str, Names]
    """The owners of entries that the package names, by path: those whose number depends on the tree. Not of hard links,
    which share those of their file."""
    control: dict[str, bytes]


def segment_key(deb: str, spec: SegmentSpec) -> str:
    """The name that the segment of the .deb with digest `deb` has in the store: equal keys, equal bytes."""
    paths = {"omit": sorted(spec.omit), "covered": sorted(spec.covered)}
    facts = asdict(spec) | paths | {"deb": deb, "version": _VERSION}
    return sha256(json_bytes(facts | {"format": FORMAT[spec.compression]})).removeprefix("sha256:")


def load_segment(directory: Path, key: str) -> Segment | None:
    """The segment `key` of the store's segment directory, or None when it is missing or incomplete."""
    try:
        with (directory / f"{key}.json").open("rb") as file:
            fields = json.loads(file.read())
        fields["control"] = tuple(ControlMember(*member) for member in fields["control"])
        fields["sections"] = tuple(fields["sections"])
        fields["checksums"] = tuple(fields["checksums"])
        segment = Segment(**fields)
        complete = (
            (directory / f"{key}.seg").stat().st_size == segment.size
            and (directory / f"{key}.contents").stat().st_size == segment.contents_size
            and segment.key == key
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return segment if complete else None


def segment_json(segment: Segment) -> bytes:
    """The content of KEY.json."""
    fields = asdict(segment)
    fields["control"] = [[member.name, member.size, member.mode] for member in segment.control]
    return json_bytes(fields)


def write_contents(file: IO[bytes], contents: Contents) -> tuple[tuple[int, int, int], tuple[int, int, int, int]]:
    """Writes KEY.contents; gives the `sections` and `checksums` of its Segment."""
    entries = _encoded(contents.entries)
    fields = (field for path, names in sorted(contents.owners.items()) for field in (path, *names))
    owners = b"".join(encode_path(field) + b"\0" for field in fields)
    control = b"".join(contents.control.values())
    file.writelines([contents.listed, entries, owners, control])
    sizes = (len(contents.listed), len(entries), len(owners))
    return sizes, (crc32(contents.listed), crc32(entries), crc32(owners), crc32(control))


def read_listed(directory: Path, segment: Segment) -> bytes:
    """dpkg's file list of the package."""
    return _section(directory, segment, 0)


def read_entries(directory: Path, segment: Segment) -> tuple[Entry, ...]:
    """What the package has in the tree, sorted by the bytes of the path; directories included."""
    return _decoded(_section(directory, segment, 1))


def read_owners(directory: Path, segment: Segment) -> dict[str, Names]:
    """The owners that the package names, by path; as in `Contents`."""
    if not segment.sections[2]:
        return {}
    fields = iter(decode_path(_section(directory, segment, 2)).split("\0"))
    return {path: (user, group) for path, user, group in zip(*[fields] * 3, strict=False)}


def read_control(directory: Path, segment: Segment) -> dict[str, bytes]:
    """The control members: `control`, `postinst`, `conffiles`, …"""
    data = _section(directory, segment, 3)
    members, position = {}, 0
    for member in segment.control:
        members[member.name] = data[position : position + member.size]
        position += member.size
    return members


def _section(directory: Path, segment: Segment, number: int) -> bytes:
    """The section of KEY.contents with this number; 3 for the control members."""
    file = directory / f"{segment.key}.contents"
    start = sum(segment.sections[:number])
    size = (*segment.sections, segment.contents_size - start)[number]
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, size, start)
    finally:
        os.close(descriptor)
    if len(data) != size or crc32(data) != segment.checksums[number]:
        raise IntegrityError(f"the stored segment {file} is damaged", hint=f"remove {file} and run again")
    return data


def _encoded(entries: Iterable[Entry]) -> bytes:
    """Fields that end in NUL, which no path contains: type, mode, owner, time, size, path and target."""
    return b"".join(
        b"%b\0%o\0%d\0%d\0%d\0%d\0%b\0%b\0"
        % (
            _LETTERS[entry.type].encode(),
            entry.mode,
            entry.uid,
            entry.gid,
            entry.mtime,
            entry.size,
            encode_path(entry.path),
            encode_path(entry.target),
        )
        for entry in entries
    )


def _decoded(data: bytes) -> tuple[Entry, ...]:
    fields = iter(decode_path(data).split("\0"))
    return tuple(
        Entry(path, _TYPES[letter], int(mode, 8), int(uid), int(gid), int(mtime), int(size), target)
        for letter, mode, uid, gid, mtime, size, path, target in zip(*[fields] * _FIELDS, strict=False)
    )
