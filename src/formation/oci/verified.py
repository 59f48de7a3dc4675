"""Streams that check what flows through them, so that no wrong byte is taken for the right one."""

import hashlib
import io
from typing import TYPE_CHECKING, BinaryIO, cast

from formation.errors import IntegrityError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 20
"""Bytes per read: large enough that the interpreter's part is lost beside the hash."""


class _Verified(io.RawIOBase):
    def __init__(self, stream: BinaryIO, digest: str, size: int | None, what: str, hint: str | None) -> None:
        self._stream = stream
        self._digest = digest
        self._size = size
        self._what = what
        self._hint = hint
        self._hash = hashlib.sha256()
        self._count = 0
        self._checked = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._checked:
            return 0
        data = self._stream.read(memoryview(buffer).nbytes)
        memoryview(buffer)[: len(data)] = data
        self._hash.update(data)
        self._count += len(data)
        # Checked before the last byte is handed out: a reader who knows the size need not read on to be safe.
        if not data or self._count == self._size or (self._size is not None and self._count > self._size):
            self._check()
        return len(data)

    def _check(self) -> None:
        if self._size is not None and (self._count != self._size or self._stream.read(1)):
            reason = f"does not have the {self._size} bytes that its descriptor promises"
            raise IntegrityError(f"{self._what} {reason}", hint=self._hint)
        if "sha256:" + self._hash.hexdigest() != self._digest:
            raise IntegrityError(f"{self._what} does not have the digest {self._digest}", hint=self._hint)
        self._checked = True

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def verified(stream: BinaryIO, digest: str, size: int | None, what: str, hint: str | None = None) -> BinaryIO:
    """`stream`, whose reads raise IntegrityError, with `hint`, when its bytes are not those of `digest`.

    With a `size` the check comes with the last byte; with None it comes at the end of the stream, so the reader must
    read until nothing comes. Closing it closes `stream`.
    """
    # BufferedReader lacks only `write`, and so is no BinaryIO to mypy.
    return cast(BinaryIO, io.BufferedReader(_Verified(stream, digest, size, what, hint), CHUNK))
