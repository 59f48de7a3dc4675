"""Pieces that are compressed behind the back of whoever gathers them are the same as those that are not."""

import hashlib
import io

import pytest

from formation.oci.compression import PIECE
from formation.oci.pieces import Pieces, PiecesBehind


def _content(size: int) -> bytes:
    return hashlib.shake_256(b"pieces").digest(size)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 6 * PIECE + 17])
def test_a_thread_changes_no_byte(size: int) -> None:
    content = _content(size)
    here, behind = io.BytesIO(), io.BytesIO()
    hashes = hashlib.sha256(), hashlib.sha256()
    one = Pieces(here, "gzip", hashes[0])
    one.add(content)
    one.flush()
    with PiecesBehind(behind, "gzip", hashes[1]) as other:
        for start in range(0, size, 300_000):
            other.add(content[start : start + 300_000])
        other.flush()
    assert behind.getvalue() == here.getvalue()
    assert (other.size, other.uncompressed_size) == (one.size, one.uncompressed_size) == (len(here.getvalue()), size)
    assert hashes[0].digest() == hashes[1].digest()


def test_what_writing_raises_ends_the_block() -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            raise OSError("full")

    with pytest.raises(OSError, match="full"), PiecesBehind(Full(), "gzip") as pieces:
        pieces.add(_content(8 * PIECE))
        pieces.flush()


def test_the_failure_of_whoever_gathers_is_the_one_that_is_told() -> None:
    with pytest.raises(ValueError, match="unreadable"), PiecesBehind(io.BytesIO(), "gzip") as pieces:
        pieces.add(_content(2 * PIECE))
        raise ValueError("unreadable")
