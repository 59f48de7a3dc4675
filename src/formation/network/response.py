"""The answer to one request, its body read as it comes."""

from collections.abc import Callable, Iterator
from typing import Final

from formation.network.answers import FailedAttempt
from formation.network.head import Head
from formation.network.wire import Wire

_BODILESS: Final = frozenset({204, 304})
_LONGEST_SILENCE: Final = 64 * 1024
"""Bytes of a chunked body that may hold nothing: trailers, and what may stand beside the size of a chunk."""


class Response:
    """An answer. One thread reads it. Its connection ends, or carries the next request, once it is read or closed."""

    def __init__(self, wire: Wire, head: Head, method: str, keep: Callable[[Wire], None] | None, at: str = "") -> None:
        """`keep` takes the connection when it can carry another request; None: it cannot. Raises FailedAttempt.

        `at` is the server, for messages.
        """
        self.at = at
        self.status = head.status
        self.headers = head.headers
        self._wire: Wire | None = wire
        self._head = head
        self._keep = keep if head.kept else None
        self.length = _length(head, method)
        """Size of the body in bytes; None when only its end tells."""
        self._pieces = self._body(wire, head)

    def piece(self) -> bytes | memoryview:
        """The next bytes of the body, as soon as there are any; empty at the end. They hold until the next call.

        Raises FailedAttempt.
        """
        try:
            for piece in self._pieces:
                return piece
        except FailedAttempt as failure:
            failure.at = self.at
            self.close()
            raise
        self._end()
        return b""

    def read(self, most: int) -> bytes:
        """The body, but no more than `most` bytes of it; what comes behind them is lost. Raises FailedAttempt."""
        data = bytearray()
        while len(data) <= most and (piece := self.piece()):
            data += piece
        return bytes(data[:most])

    def close(self) -> None:
        """Ends the connection, unless the body was read to its end."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def abort(self) -> None:
        """Makes a `piece` that waits in another thread end. May be called from any thread, more than once."""
        wire = self._wire
        if wire is not None:
            wire.shut()

    def _body(self, wire: Wire, head: Head) -> Iterator[bytes | memoryview]:
        if self.length is not None:
            return _counted(wire, self.length)
        if head.is_chunked:
            return _chunks(wire, head)
        self._keep = None
        return iter(wire.piece, b"")

    def _end(self) -> None:
        wire, self._wire = self._wire, None
        if wire is None:
            return
        if self._keep is None or self._head.surplus or wire.has_surplus:
            wire.close()
        else:
            self._keep(wire)


def _length(head: Head, method: str) -> int | None:
    if method == "HEAD" or head.status in _BODILESS:
        return 0
    return None if head.is_chunked else head.length


def _counted(wire: Wire, length: int) -> Iterator[memoryview]:
    while length:
        piece = wire.piece(length)
        if not piece:
            raise FailedAttempt("the connection was cut")
        length -= len(piece)
        yield piece


def _chunks(wire: Wire, head: Head) -> Iterator[bytes]:
    silence, ended = 0, False
    while not ended:
        piece = wire.piece()
        if not piece:
            raise FailedAttempt("the connection was cut")
        data, ended = head.unchunked(piece)
        if data:
            silence = 0
            yield data
        elif (silence := silence + len(piece)) > _LONGEST_SILENCE:
            raise FailedAttempt("the server does not come to its answer")
