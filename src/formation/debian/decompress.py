"""The members of a .deb, decompressed in bounded memory."""

import bz2
import lzma
from collections.abc import Callable, Iterator
from typing import IO, Final, Protocol, cast

import zstandard
from isal import igzip_lib

from formation.errors import MalformedError

try:
    # The extra `speed`: the same interface over a newer liblzma, which needs a quarter less time (ADR 0007).
    from lzma_mt import LZMADecompressor
except ImportError:
    from lzma import LZMADecompressor  # type: ignore[assignment]

_INPUT: Final = 1 << 16
_OUTPUT: Final = 1 << 15
"""The first block that the standard library allocates for output: more would be gathered and copied once again. Small
chunks also stay in the processor's cache on their way to the file and the compressor: together a fifth of xz's time."""
_MEMORY: Final = 256 << 20
"""What liblzma may use; `xz -9` needs 65 MiB."""
_WINDOW: Final = 128 << 20
"""What zstd may use; `zstd --ultra -22` needs 128 MiB."""

_ERRORS = (lzma.LZMAError, cast(type[Exception], igzip_lib.IsalError), zstandard.ZstdError, OSError, EOFError)


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Section:
    """The next `size` bytes of a file, as a file."""

    __slots__ = ("_file", "_left", "_name")

    def __init__(self, file: IO[bytes], size: int, name: str) -> None:
        self._file, self._left, self._name = file, size, name

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self._left) if size >= 0 else self._left)
        if self._left and not data:
            raise MalformedError(f"{self._name} is cut off")
        self._left -= len(data)
        return data


def decompressed(file: IO[bytes], size: int, member: str, limit: int, name: str) -> Iterator[bytes]:
    """The content of an ar member of `size` bytes that begins at the position of `file`, in chunks of up to 32 KiB.

    `member` is its name, whose extension tells the compression; `name` is the package's file, for messages.

    Raises MalformedError when the member is cut off, damaged, in an unknown compression, followed by other data, or
    when its content exceeds `limit` bytes.
    """
    total = 0
    try:
        for chunk in _chunks(_Section(file, size, name), member, name):
            total += len(chunk)
            if total > limit:
                raise MalformedError(f"{name}: {member} grows beyond {limit} bytes, which its size does not explain")
            yield chunk
    except _ERRORS as error:
        raise MalformedError(f"{name}: {member} cannot be decompressed: {error}") from None


def _chunks(source: _Section, member: str, name: str) -> Iterator[bytes]:
    extension = member.partition(".tar")[2]
    if extension == "":
        return iter(lambda: source.read(_OUTPUT), b"")
    if extension == ".zst":
        reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(
            cast(IO[bytes], source), read_size=_INPUT, read_across_frames=True
        )
        return iter(lambda: reader.read(_OUTPUT), b"")
    makers: dict[str, tuple[Callable[[], _Decompressor], bytes]] = {
        ".xz": (lambda: LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY), b"\xfd7zXZ\0"),
        ".lzma": (lambda: LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY), b""),
        ".gz": (lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), b"\x1f\x8b"),
        ".bz2": (bz2.BZ2Decompressor, b"BZh"),
    }
    if extension not in makers:
        raise MalformedError(f"{name}: {member} is compressed in a way that deb(5) does not know")
    return _streams(source, *makers[extension], f"{name}: {member}")


def _streams(source: _Section, make: Callable[[], _Decompressor], magic: bytes, what: str) -> Iterator[bytes]:
    """Decompresses one stream, or several in a row, each of which begins with `magic`; empty: only one."""
    decompressor, data = make(), source.read(_INPUT)
    while True:
        if chunk := decompressor.decompress(data, _OUTPUT):
            yield chunk
        if decompressor.eof:
            # Zeros after a stream are padding, as gzip(1) and xz(1) take it.
            data = decompressor.unused_data.lstrip(b"\0")
            while len(data) <= len(magic) and (more := source.read(_INPUT)):
                data = (data + more).lstrip(b"\0")
            if not data:
                return
            if not magic or not data.startswith(magic):
                raise MalformedError(f"{what}: data follows the end of the compressed stream")
            decompressor = make()
        elif decompressor.needs_input:
            data = source.read(_INPUT)
            if not data:
                raise MalformedError(f"{what} is cut off")
        else:
            data = b""
