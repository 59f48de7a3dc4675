"""One connection to a server that takes its time."""

import pytest

from formation.network.answers import FailedAttempt
from formation.network.response import Response
from formation.network.wire import Wire

HEAD = b"HTTP/1.1 200 OK\r\n"
TIMEOUT = 30


class Dripping:
    """A stream that gives one of `pieces` every `seconds`, by a clock of its own."""

    def __init__(self, *pieces, seconds):
        self.pieces = list(pieces)
        self.seconds = seconds
        self.now = self.timeout = 0.0

    def settimeout(self, seconds):
        self.timeout = seconds

    def recv_into(self, buffer, size=0):
        assert self.timeout > 0
        self.now += min(self.seconds, self.timeout)
        if self.seconds >= self.timeout:
            raise TimeoutError
        data = self.pieces.pop(0) if self.pieces else b""
        buffer[: len(data)] = data
        return len(data)

    def close(self):
        self.pieces.clear()

    def wire(self):
        return Wire(self, self, send_timeout=1, timeout=TIMEOUT, clock=lambda: self.now)


def single(data):
    return [data[number : number + 1] for number in range(len(data))]


@pytest.mark.parametrize("pieces", [single(HEAD), [b"HTTP/1.1 100 Continue\r\n\r\n"] * 15])
def test_a_head_has_one_timeout_for_all_of_it(pieces):
    stream = Dripping(*pieces, seconds=7)
    with pytest.raises(FailedAttempt, match="did not answer in time"):
        stream.wire().head()
    assert stream.now == TIMEOUT


def test_a_body_has_the_whole_timeout_again():
    stream = Dripping(HEAD, b"Content-Length: 5\r\n\r\n", b"hello", seconds=14)
    wire = stream.wire()
    response = Response(wire, wire.head(), "GET", None)
    assert stream.timeout == TIMEOUT
    assert response.read(10) == b"hello"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Length: 4000000\r\n\r\n", b"x"),
        (b"\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"extension"),
    ],
)
def test_a_body_that_drips_is_given_up(head, piece):
    stream = Dripping(HEAD + head, *[piece] * 1000, seconds=29)
    wire = stream.wire()
    with pytest.raises(FailedAttempt, match="sends too slowly"):
        Response(wire, wire.head(), "GET", None).read(4 << 20)
    assert stream.now <= 3 * TIMEOUT


@pytest.mark.parametrize(("head", "last"), [(b"Content-Length: 5\r\n\r\n", b"o"), (b"\r\n", b"o")])
def test_a_slow_body_that_is_complete_is_one(head, last):
    stream = Dripping(HEAD + head, b"hell", last, seconds=14)
    wire = stream.wire()
    assert Response(wire, wire.head(), "GET", None).read(10) == b"hello"


def test_a_slow_body_that_keeps_its_pace_comes():
    stream = Dripping(HEAD + b"\r\n", *[b"x" * 3000] * 20, seconds=29)
    wire = stream.wire()
    assert len(Response(wire, wire.head(), "GET", None).read(1 << 20)) == 60_000
