"""Decompressing layers as streams. Several gzip members or zstd frames in a row are one stream, as their RFCs say."""

import io
import zlib
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard
from isal import igzip, isal_zlib

from formation.errors import MalformedError
from formation.oci.media_types import Compression
from formation.oci.verified import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WINDOW = 1 << 27
"""Bytes that a zstd frame may make us hold: what `zstd` itself accepts without --long."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\0"


class _Mapped(io.RawIOBase):
    """A decompressor whose errors are ours."""

    def __init__(self, decompressor: BinaryIO, source: BinaryIO, what: str) -> None:
        self._decompressor = decompressor
        self._source = source
        self._what = what

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        try:
            data = self._decompressor.read(memoryview(buffer).nbytes)
        except (igzip.BadGzipFile, zlib.error, isal_zlib.IsalError, EOFError, zstandard.ZstdError) as error:  # type: ignore[misc]
            raise MalformedError(f"{self._what} cannot be decompressed: {error}") from None
        memoryview(buffer)[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def decompressed(stream: BinaryIO, compression: Compression, what: str) -> BinaryIO:
    """The content of `stream`, in bounded memory however much it is. Reads raise MalformedError.

    A zstd stream that is cut between two blocks just ends; the diffID of a layer tells. Closing it closes `stream`.
    """
    if compression == "none":
        return stream
    if compression == "gzip":
        decompressor: BinaryIO = igzip.open(stream, "rb")  # type: ignore[no-untyped-call]
    else:
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(stream, read_across_frames=True)
        decompressor = cast(BinaryIO, reader)
    return cast(BinaryIO, io.BufferedReader(_Mapped(decompressor, stream, what), CHUNK))


def is_compressed(start: bytes) -> bool:
    """Whether data that begins with `start` (6 bytes or more) is compressed, also in ways that no layer is."""
    return detect_compression(start) != "none" or start.startswith((_BZIP2, _XZ))


def detect_compression(start: bytes) -> Compression:
    """How data that begins with `start` (4 bytes or more) is compressed."""
    if start.startswith(_GZIP):
        return "gzip"
    return "zstd" if start.startswith(_ZSTD) else "none"
