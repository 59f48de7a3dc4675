"""HTTP/1.1 over one connection (RFC 9112): a request goes out, the answer's head comes in, its body follows.

A body of a known length goes from the socket into one buffer, and nowhere else.
"""

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, Protocol

from formation.network.answers import PIECE, SLOWEST, FailedAttempt
from formation.network.head import Head
from formation.network.tls import failure_of

_LONGEST_HEAD: Final = 64 * 1024
_MOST_INTERIM: Final = 16
_END: Final = b"\r\n\r\n"


class Unanswered(FailedAttempt):
    """The connection ended before the first byte of an answer."""


class Stream(Protocol):
    """What a connection needs of a socket, with or without TLS."""

    def settimeout(self, seconds: float | None, /) -> None: ...
    def sendall(self, data: bytes, /) -> None: ...
    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int: ...


def cut(raw: socket.socket) -> None:
    """Ends both directions, with or without TLS, and wakes whoever waits for it. May be called from any thread."""
    # It may have ended at this very moment. Not TLS's own `shutdown`, which takes the keys away from a reader.
    with suppress(OSError):
        socket.socket.shutdown(raw, socket.SHUT_RDWR)


class Wire:
    """One connection. One thread uses it at a time, but for `shut`."""

    def __init__(
        self,
        stream: Stream,
        raw: socket.socket,
        *,
        send_timeout: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`raw` is the socket below `stream`, or `stream` itself.

        `timeout`: seconds that the server may take for a head, and be silent in a body; over so many, it must send 100
        bytes per second.
        """
        self._stream = stream
        self._raw = raw
        self._send_timeout = send_timeout
        self._timeout = timeout
        self._clock = clock
        self._waited, self._received = 0.0, 0
        self._buffer = bytearray(PIECE)
        self._view = memoryview(self._buffer)
        # What has come and was not given yet is between these two.
        self._start = self._end = 0

    def send(self, head: bytes, body: bytes | BinaryIO | None = None) -> bool:
        """Sends a request. False when the server stopped reading: it may have answered before.

        Each piece must go within `send_timeout`: a line of 30 kB/s is fast enough.

        Raises FailedAttempt, TlsFailure, and what reading `body` raises.
        """
        self._stream.settimeout(self._send_timeout)
        if isinstance(body, bytes):
            # In one packet, where it is short.
            head, body = head + body, None
        if not self._sent(head):
            return False
        while body is not None and (data := body.read(PIECE)):
            if not self._sent(data):
                return False
        return True

    def head(self) -> Head:
        """The head of the answer. Raises Unanswered, FailedAttempt and TlsFailure."""
        deadline = self._clock() + self._timeout
        for _ in range(_MOST_INTERIM):
            head = Head(self._head_bytes(deadline))
            if head.status >= 200:
                self._stream.settimeout(self._timeout)
                self._waited, self._received = 0.0, 0
                return head
        raise FailedAttempt("the server does not come to its answer")

    def piece(self, most: int = PIECE) -> memoryview:
        """At most so many of the next bytes, as soon as there are any; empty at the end. They hold until the next call.

        Raises FailedAttempt.
        """
        if self._start == self._end:
            self._start, self._end = 0, self._receive(min(most, PIECE))
        begin = self._start
        self._start = min(self._end, begin + most)
        return self._view[begin : self._start]

    @property
    def has_surplus(self) -> bool:
        """Whether bytes have come that no answer needed."""
        pending = getattr(self._stream, "pending", None)  # that TLS has read already
        return self._start < self._end or (pending is not None and pending() > 0)

    @property
    def is_idle(self) -> bool:
        """Whether it is open and silent, as one must be that carries the next request."""
        try:
            poll = select.poll()
            poll.register(self._raw, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError):
            self._raw.close()

    def shut(self) -> None:
        """Wakes whoever waits for the server, who finds the connection cut. May be called from any thread."""
        cut(self._raw)

    def _sent(self, data: bytes) -> bool:
        try:
            self._stream.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except TimeoutError as error:
            raise FailedAttempt("the server did not take the request in time") from error
        except OSError as error:
            raise failure_of(error) from error
        return True

    def _receive(self, most: int) -> int:
        """So many bytes of a body have come. Raises FailedAttempt."""
        begun = self._clock()
        try:
            received = self._stream.recv_into(self._view, most)
        except TimeoutError as error:
            raise FailedAttempt("the server stopped sending") from error
        except OSError as error:
            raise FailedAttempt("the connection was cut") from error
        # Only the time that the server took: who reads may take longer.
        self._waited += self._clock() - begun
        self._received += received
        if self._waited > self._timeout:
            if self._received < SLOWEST * self._waited and 0 < received < most:
                raise FailedAttempt("the server sends too slowly")
            self._waited, self._received = 0.0, 0
        return received

    def _head_bytes(self, deadline: float) -> bytes:
        """The bytes of the next head. What has come behind it stays."""
        length = self._end - self._start
        self._buffer[:length] = self._buffer[self._start : self._end]
        self._start, self._end = 0, length
        searched = 0
        while (end := self._buffer.find(_END, searched, self._end)) < 0:
            if self._end >= _LONGEST_HEAD:
                break
            searched = max(0, self._end - len(_END) + 1)
            self._end += self._receive_head(deadline)
        self._start = end + len(_END)
        if end < 0 or self._start > _LONGEST_HEAD:
            raise FailedAttempt("the head of the server's answer is too long")
        return bytes(self._view[: self._start])

    def _receive_head(self, deadline: float) -> int:
        ended = FailedAttempt if self._end else Unanswered
        left = deadline - self._clock()
        if left <= 0:
            raise FailedAttempt("the server did not answer in time")
        self._stream.settimeout(left)
        try:
            received = self._stream.recv_into(self._view[self._end :])
        except TimeoutError as error:
            raise FailedAttempt("the server did not answer in time") from error
        except ConnectionError as error:
            raise ended("the connection was cut") from error
        except OSError as error:
            raise failure_of(error) from error
        if received == 0:
            raise ended("the connection was cut")
        return received
