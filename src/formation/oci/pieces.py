"""A tar stream that is compressed piece by piece, as `compression` says."""

import os
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Protocol, Self

from formation.oci.compression import PIECE, compress_piece
from formation.oci.media_types import Compression

_BUFFERS = 3
"""Pieces that are gathered, waiting or being compressed."""


class Hash(Protocol):
    """What hashlib's objects are, and checksums can be."""

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
        self.uncompressed_size += self._used
        self._used = 0
        self._give(content)

    def _give(self, content: memoryview) -> None:
        """Takes a piece, which is in the buffer."""
        self._compress(content)

    def _compress(self, content: memoryview) -> None:
        data = compress_piece(content, self._compression)
        self._sink.write(data)
        self.size += len(data)

    def _advance(self, count: int) -> None:
        self._used += count
        if self._used == PIECE:
            self.flush()


class PiecesBehind(Pieces):
    """Pieces that a thread of their own compresses and writes while the next ones are gathered. For a `with` block.

    The sink has all of them when the block ends, which raises what writing raised.
    """

    def __init__(self, sink: Sink, compression: Compression, uncompressed: Hash | None = None) -> None:
        super().__init__(sink, compression, uncompressed)
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[memoryview | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _give(self, content: memoryview) -> None:
        if self._thread is None:
            # What fits into one piece is compressed sooner than a thread is there.
            if len(content) < PIECE:
                self._compress(content)
                return
            for _ in range(_BUFFERS - 1):
                self._free.put(memoryview(bytearray(PIECE)))
            self._thread = Thread(target=self._work, daemon=True)
            self._thread.start()
        self._full.put(content)
        self._buffer = self._free.get()

    def _work(self) -> None:
        while (content := self._full.get()) is not None:
            if self._error is None:
                try:
                    self._compress(content)
                except BaseException as error:  # It is raised where the block ends.
                    self._error = error
            self._free.put(memoryview(content.obj))
