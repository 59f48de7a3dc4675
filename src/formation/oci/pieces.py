"""A tar stream that is compressed piece by piece, as `compression` says."""

import os
from typing import Protocol

from formation.oci.compression import PIECE, compress_piece
from formation.oci.media_types import Compression


class Hash(Protocol):
    """What hashlib's objects are."""

    def update(self, data: bytes | memoryview, /) -> None: ...


class Sink(Protocol):
    """Where compressed bytes go."""

    def write(self, data: bytes, /) -> object: ...


class Pieces:
    """Gathers what is added into pieces of `PIECE` bytes, and writes each compressed."""

    def __init__(self, sink: Sink, compression: Compression, uncompressed: Hash | None = None) -> None:
        """`uncompressed` is fed with the bytes before compression."""
        self._sink = sink
        self._compression = compression
        self._hash = uncompressed
        self._buffer = memoryview(bytearray(PIECE))
        self._used = 0
        self.size = 0
        """Bytes written."""
        self.uncompressed_size = 0

    def add(self, data: bytes) -> None:
        """Appends `data`."""
        start = 0
        while start < len(data):
            part = data[start : start + PIECE - self._used] if start or len(data) > PIECE - self._used else data
            self._buffer[self._used : self._used + len(part)] = part
            start += len(part)
            self._advance(len(part))

    def add_file(self, descriptor: int, size: int) -> None:
        """Appends the `size` bytes of an open file."""
        while size:
            count = os.readv(descriptor, [self._buffer[self._used : self._used + size]])
            if not count:
                raise OSError("a file that was just unpacked has become shorter")
            size -= count
            self._advance(count)

    def flush(self) -> None:
        """Compresses what is left."""
        if not self._used:
            return
        content = self._buffer[: self._used]
        if self._hash is not None:
            self._hash.update(content)
        data = compress_piece(content, self._compression)
        self._sink.write(data)
        self.size += len(data)
        self.uncompressed_size += self._used
        self._used = 0

    def _advance(self, count: int) -> None:
        self._used += count
        if self._used == PIECE:
            self.flush()
