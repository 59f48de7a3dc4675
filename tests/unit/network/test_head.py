import pytest

from formation.network.answers import FailedAttempt
from formation.network.head import Head

OK = b"HTTP/1.1 200 OK\r\n"


def test_headers_have_names_in_any_case_and_may_come_more_than_once():
    headers = Head(OK + b"X-A: 1\r\nlink: a\r\nLink: b\r\n\r\n").headers
    assert (headers["x-a"], headers.get("LINK"), headers.getlist("link")) == ("1", "a, b", ["a", "b"])
    assert (headers.get("Missing", "none"), headers.getlist("Missing")) == ("none", [])
    assert (list(headers), len(headers)) == (["x-a", "link"], 2)


def test_spaces_around_a_value_are_none_of_it():
    head = Head(OK + b"Transfer-Encoding: \t chunked  \r\nLink:\ta b \r\nX:  \r\n\r\n")
    assert (head.is_chunked, head.headers["Link"], head.headers["X"]) == (True, "a b", "")
    assert head.unchunked(memoryview(b"3\r\nabc\r\n0\r\n\r\n")) == (b"abc", True)
    assert Head(OK + b"Content-Length: 5 \t\r\n\r\n").length == 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: 5, 5\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\n",
        OK + b"Content-Length: +5\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"X: a\r\n  folded\r\n\r\n",
        OK + b"X: a\nY: b\r\n\r\n",
        OK + b"X: a\x00b\r\n\r\n",
        OK + b"X: a\x1b[2Jb\r\n\r\n",
        OK + b"X : a\r\n\r\n",
        OK + b"X: a\r\n" * 201 + b"\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_answer(data):
    with pytest.raises(FailedAttempt, match="does not answer in HTTP"):
        Head(data)


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity", "chunked, chunked", "chunked\t"])
def test_a_coding_that_nobody_asked_for_is_refused(coding):
    head = Head(OK + f"Transfer-Encoding: {coding}\r\n\r\n".encode())
    with pytest.raises(FailedAttempt, match="nobody asked for"):
        _ = head.is_chunked


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_a_server_says_whether_it_keeps_the_connection(data, kept):
    assert Head(data).kept is kept
