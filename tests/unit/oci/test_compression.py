"""What a piece is compressed to depends on nothing but the piece."""

import subprocess
import sys
import zlib

import pytest

from formation.oci.compression import PIECE, compress_piece

EVERY_SLOT = """
import hashlib
from formation.oci.compression import compress_piece
digest = hashlib.sha256()
for number in range(1 << 15):
    digest.update(compress_piece(number.to_bytes(4, "little") * 16, "gzip"))
print(digest.hexdigest())
"""
"""Pieces whose first bytes, which come again, have each hash that ISA-L's match table has a slot for."""


@pytest.mark.slow
def test_the_same_piece_gives_the_same_bytes_in_every_process() -> None:
    """The kernel gives each another stack. ISA-L by itself hashes an address there (ADR 0003)."""
    runs = [subprocess.run([sys.executable, "-c", EVERY_SLOT], capture_output=True, check=True) for _ in range(4)]
    assert len({run.stdout for run in runs}) == 1


@pytest.mark.parametrize("size", [1, 15, 16, 17, 512, 100_000, PIECE])
def test_a_gzip_piece_is_one_member_with_the_content(size: int) -> None:
    content = (b"usr/lib/x86_64-linux-gnu\0" * (size // 24 + 1))[:size]
    reader = zlib.decompressobj(31)
    assert reader.decompress(compress_piece(bytearray(content), "gzip")) == content
    assert reader.eof
    assert reader.unused_data == b""


def test_more_than_a_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        compress_piece(bytes(PIECE + 1), "gzip")
