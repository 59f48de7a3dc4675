"""Members of a .deb, through each decompressor that may be used for xz."""

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable

import pytest

from formation.debian import decompress
from formation.errors import MalformedError

CONTENT = random.Random(1).randbytes(300_000) + bytes(700_000)


@pytest.fixture(params=["lzma", "lzma_mt"], autouse=True)
def liblzma(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own liblzma, and the newer one of the extra `speed`."""
    module = lzma if request.param == "lzma" else pytest.importorskip("lzma_mt")
    monkeypatch.setattr(decompress, "LZMADecompressor", module.LZMADecompressor)


def read(data: bytes, member: str = "data.tar.xz", limit: int = 1 << 30) -> bytes:
    return b"".join(decompress.decompressed(io.BytesIO(data), len(data), member, limit, "a.deb"))


def test_xz_gives_its_content_in_small_chunks() -> None:
    data = lzma.compress(CONTENT)
    chunks = list(decompress.decompressed(io.BytesIO(data), len(data), "data.tar.xz", 1 << 30, "a.deb"))
    assert b"".join(chunks) == CONTENT
    assert max(map(len, chunks)) <= 32 << 10


def test_the_old_lzma_format_is_read() -> None:
    assert read(lzma.compress(CONTENT, lzma.FORMAT_ALONE), "data.tar.lzma") == CONTENT


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-40], "cut off"),
        (lambda data: data + b"more", "data follows the end"),
        (lambda data: data[:5000] + bytes(100) + data[5100:], "cannot be decompressed"),
        (lambda data: b"not xz at all" * 9, "cannot be decompressed"),
        (lambda data: b"", "cut off"),
    ],
    ids=["cut", "followed", "damaged", "foreign", "empty"],
)
def test_a_wrong_xz_is_refused(damage: Callable[[bytes], bytes], told: str) -> None:
    with pytest.raises(MalformedError, match=told):
        read(damage(lzma.compress(CONTENT)))


@pytest.mark.parametrize("member", ["data.tar.xz", "data.tar.gz", "data.tar.bz2"])
def test_streams_in_a_row_and_zeros_behind_them_are_read_as_dpkg_reads_them(member: str) -> None:
    compress = {"xz": lzma.compress, "gz": gzip.compress, "bz2": bz2.compress}[member.rpartition(".")[2]]
    halves = compress(CONTENT[:5000]) + compress(CONTENT[5000:])
    assert read(halves + bytes(40), member) == CONTENT
    with pytest.raises(MalformedError, match="data follows the end"):
        read(halves + bytes(40) + b"more", member)


@pytest.mark.slow
def test_a_bomb_stops_at_the_limit() -> None:
    with pytest.raises(MalformedError, match="grows beyond"):
        read(lzma.compress(bytes(50 << 20)), limit=1 << 20)


def test_a_dictionary_beyond_the_memory_limit_is_refused() -> None:
    block = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}]))
    # The block header's LZMA2 properties are one byte, the dictionary's size: 36 stands for 1 GiB.
    assert block[14:16] == b"\x21\x01"
    block[16] = 36
    block[20:24] = zlib.crc32(block[12:20]).to_bytes(4, "little")
    with pytest.raises(MalformedError, match="cannot be decompressed"):
        read(bytes(block))
