"""The head of an answer (RFC 9112).

httptools, which is llhttp, the parser of Node.js, reads heads and chunks, and refuses what could be read in two ways:
two lengths, a length beside chunks, a bare LF, a folded line.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from formation.network.answers import FailedAttempt

_MOST_HEADERS: Final = 200


class Headers(Mapping[str, str]):
    """The headers of an answer. Names are in any case; several of one name are joined by a comma."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def getlist(self, name: str) -> list[str]:
        """Each of that name, in order."""
        return list(self._values.get(name.lower(), ()))


class Head:
    """Status and headers, and the parser that has read them. The methods `on_…` are what httptools calls."""

    def __init__(self, data: bytes) -> None:
        """`data` goes to the end of the head. Raises FailedAttempt for what is no head of HTTP/1."""
        self._pairs: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._headed = self._complete = False
        self.surplus = False
        """Something came after the end of a chunked body."""
        self._parser = HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._headed = False  # 101, to a request that asked for no other protocol
        except HttpParserError as error:
            raise FailedAttempt(f"the server does not answer in HTTP: {error}") from error
        self.status: int = self._parser.get_status_code()
        # The parser takes relatives of HTTP/1 as well.
        sound = data.startswith(b"HTTP/1.") and 100 <= self.status <= 999
        if not self._headed or not sound or len(self._pairs) > _MOST_HEADERS:
            raise FailedAttempt("the server does not answer in HTTP")
        self.headers = Headers(self._pairs)
        self.kept = self._is_kept()
        """Whether the server leaves the connection open after the body."""

    @property
    def is_chunked(self) -> bool:
        """Whether the body is chunked. Raises FailedAttempt for a coding that nobody asked for."""
        coding = self.headers.get("Transfer-Encoding")
        if coding is not None and coding.lower() != "chunked":
            raise FailedAttempt("the server sends its answer in a coding that nobody asked for")
        return coding is not None

    @property
    def length(self) -> int | None:
        """Size of the body in bytes; None where the end of the connection, or of the chunks, ends it."""
        length = self.headers.get("Content-Length")
        return None if length is None else int(length)

    def unchunked(self, data: memoryview) -> tuple[bytes, bool]:
        """What the next bytes of a chunked body hold, and whether it ends in them. Raises FailedAttempt."""
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if not self._complete:
                raise FailedAttempt(f"the server does not answer in HTTP: {error}") from error
            self.surplus = True
        found, self._body = b"".join(self._body), []
        return found, self._complete

    def on_message_begin(self) -> None:
        self.surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        # The parser leaves the spaces that may follow a value (RFC 9110, 5.5). A tab stays: with one behind it,
        # `chunked` is another coding to the parser, and has to be to us.
        self._pairs.append((name.decode("latin-1"), value.rstrip(b" ").decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete = True

    def _is_kept(self) -> bool:
        steps = {step.strip().lower() for step in self.headers.get("Connection", "").split(",")}
        return "close" not in steps if self._parser.get_http_version() == "1.1" else "keep-alive" in steps
