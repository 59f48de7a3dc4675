"""Compressing layers in pieces, with compressors whose output is pinned.

A layer is made of pieces that are compressed by themselves: gzip members (RFC 1952, section 2.2) or zstd frames (RFC
8878, section 3), each of at most `PIECE` bytes of content. Their concatenation is one valid stream. So a piece can be
kept, and a layer put together from pieces without compressing again.

The bytes decide image digests. They depend on the compressor's version, which pyproject.toml pins, and its level:

- gzip by ISA-L at level 2: on the packages of the dev variant 420–480 MB/s and 0.35–0.45 of the size, against 0.39–0.52
  at level 0. Levels 0 to 2 give the same bytes on every x86-64 generation tried; level 3 does not, so never level 3.
  On arm64 the bytes are others.
  The first bytes of a piece are flushed by themselves, since its bytes would depend on an address otherwise (ADR 0003).
- zstd at level 1: as fast as that, and 4 % smaller; level 3 is 9 % smaller still, at two thirds of the speed.
"""

import os
from typing import Final

import zstandard
from isal import isal_zlib

from formation.errors import UsageError
from formation.oci.media_types import Compression

PIECE: Final = 1 << 20
"""Bytes of content in one gzip member or zstd frame. Larger ones gain less than 1 %."""

_MACHINE = os.uname().machine
_FAMILY = "" if _MACHINE == "x86_64" else f"-{_MACHINE}"

FORMAT: Final[dict[Compression, str]] = {
    "none": "none",
    "gzip": f"isal-1.9.1-gzip-2-first-16-piece-1M{_FAMILY}",
    "zstd": "zstandard-0.25.0-zstd-1-piece-1M",
}
"""What decides the compressed bytes, by compression: part of every cache key, and recorded in the image."""

_GZIP_LEVEL = 2
_GZIP_CONTAINER = 31
_GZIP_FIRST = 16
"""What ISA-L leaves to its finishing loop, which begins a stream as it should."""
_ZSTD_LEVEL = 1


def compress_piece(data: bytes | bytearray | memoryview, compression: Compression) -> bytes:
    """`data`, of at most `PIECE` bytes, as one gzip member or zstd frame; itself for `none`."""
    if len(data) > PIECE:
        raise ValueError(f"a piece has at most {PIECE} bytes, not {len(data)}")
    if compression == "gzip":
        return _gzip_member(memoryview(data))
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
    if compression == "none":
        return bytes(data)
    raise UsageError(f"layers cannot be compressed with {compression!r}; use gzip or zstd")


def _gzip_member(data: memoryview) -> bytes:
    # ISA-L's main loop begins a stream with the hash of a register that nobody has set, the address of its state on the
    # stack: about one piece in 30,000 would be compressed otherwise in another process.
    compressor = isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_CONTAINER)
    first = compressor.compress(data[:_GZIP_FIRST]) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
    return b"".join((first, compressor.compress(data[_GZIP_FIRST:]), compressor.flush()))
