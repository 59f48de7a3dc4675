"""The facts of a layer as bytes, for the cache and for the way from a worker process: small, and quick to read.

JSON for everything but the kept contents, which follow it as they are; all of it one zstd frame with a checksum.
"""

import json
import struct
from typing import Any, Final

import zstandard

from formation.contents.elf import Elf
from formation.contents.layer import LayerContents, LayerEntry, Match, Problem
from formation.errors import MalformedError

FORMAT: Final = 4
"""Part of a cached record's name. Raise it whenever the scanner finds something else, or this module writes it
differently."""

_LARGEST = 1 << 30
_LEVEL = 1
_LENGTH = struct.Struct("<Q")


def encode(contents: LayerContents) -> bytes:
    """`contents` as bytes."""
    value = {
        "digest": contents.digest,
        "diff_id": contents.diff_id,
        "stored_size": contents.stored_size,
        "size": contents.size,
        "entries": [_entry_row(entry) for entry in contents.entries],
        "elf": [(path, *elf) for path, elf in contents.elf.items()],
        "kept": [(path, len(data)) for path, data in contents.kept.items()],
        "matches": contents.matches,
        "problems": contents.problems,
        "weight": contents.weight,
    }
    text = json.dumps(value, separators=(",", ":")).encode()
    parts = (_LENGTH.pack(len(text)), text, *contents.kept.values())
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return compressor.compress(b"".join(parts))


def decode(data: bytes) -> LayerContents:
    """What `encode` made bytes of. Raises MalformedError when they are damaged."""
    try:
        # A frame that tells its size is given all of that, whatever the limit.
        if zstandard.frame_content_size(data) > _LARGEST:
            raise ValueError("it tells a size that no record has")
        content = zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST)
        (length,) = _LENGTH.unpack_from(content)
        end = _LENGTH.size + length
        value = json.loads(content[_LENGTH.size : end])
        kept = {}
        for path, size in value["kept"]:
            kept[path] = content[end : end + size]
            end += size
        return LayerContents(
            digest=value["digest"],
            diff_id=value["diff_id"],
            stored_size=value["stored_size"],
            size=value["size"],
            entries=tuple(map(_entry, value["entries"])),
            elf={row[0]: _elf(row[1:]) for row in value["elf"]},
            kept=kept,
            matches=tuple(map(Match._make, value["matches"])),
            problems=tuple(map(Problem._make, value["problems"])),
            weight=value["weight"],
        )
    except (zstandard.ZstdError, struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise MalformedError(f"the record of a layer's contents is damaged: {error}") from None


def _entry_row(entry: LayerEntry) -> tuple[Any, ...]:
    xattrs = [(name, value.decode("latin-1")) for name, value in entry.xattrs]
    return (*entry[:8], xattrs or 0, entry.device if any(entry.device) else 0, *entry[10:])


def _entry(row: list[Any]) -> LayerEntry:
    # Nearly all have neither, and ten thousands are read at every start.
    row[8] = tuple((name, value.encode("latin-1")) for name, value in row[8]) if row[8] else ()
    row[9] = tuple(row[9]) if row[9] else (0, 0)
    return LayerEntry._make(row)


def _elf(row: list[Any]) -> Elf:
    elf = Elf._make(row)
    return elf._replace(
        needed=tuple(elf.needed),
        provides=tuple(elf.provides),
        requires=tuple((name, tuple(versions)) for name, versions in elf.requires),
        run_path=tuple(elf.run_path),
    )
