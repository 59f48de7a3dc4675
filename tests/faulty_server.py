"""An HTTP server on loopback that fails as it is told to."""

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_WR
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Answer:
    """What the server does for one request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Closes the connection after so many bytes of what it would send."""
    stall: int | None = None
    """Sends so many bytes, then nothing more until the client goes away."""
    ranges: bool = True
    """Honours a Range header; without, it sends everything from the start with status 200."""
    declared: int | None = None
    """Content-Length, where it is not that of the body."""
    chunked: bool = False
    """Sends no Content-Length."""


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    headers: dict[str, str]


class FaultyServer:
    """Serves scripted answers. A path gives its answers one after the other, the last one for ever; others are 404."""

    def __init__(self) -> None:
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.requests: list[Request] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, path: str, *answers: Answer | bytes) -> str:
        """Scripts the answers for `path`, which begins with a slash, and gives its URL."""
        with self._lock:
            self._answers[path] = [Answer(answer) if isinstance(answer, bytes) else answer for answer in answers]
        return self.url + path

    def body(self, path: str) -> bytes:
        """What the next answer for `path` holds."""
        return self._answers[path][0].body

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [request.path for request in self.requests]

    def ranges(self, path: str) -> list[str | None]:
        """The Range header of each request for `path`."""
        return [request.headers.get("range") for request in self.requests if request.path == path]

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.requests.append(request)
            answers = self._answers.get(request.path, [Answer(b"no such file", 404)])
            return answers.pop(0) if len(answers) > 1 else answers[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away in the middle are what these tests are about."""


def _handler(server: FaultyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(Request(self.path, headers))
            body, status, extra = answer.body, answer.status, dict(answer.headers)
            wanted = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            if wanted and answer.ranges and status == 200:
                start = int(wanted[1])
                if start < len(body):
                    extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    body, status = body[start:], 206
                else:
                    extra["Content-Range"] = f"bytes */{len(body)}"
                    body, status = b"", 416
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            if answer.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            else:
                self.send_header("Content-Length", str(len(body) if answer.declared is None else answer.declared))
            self.end_headers()
            self._send(body, answer)

        def _send(self, body: bytes, answer: Answer) -> None:
            try:
                if answer.stall is not None:
                    self.wfile.write(body[: answer.stall])
                    # Nothing more comes from the client, so this returns when it closes the connection.
                    self.connection.recv(1)
                    self.close_connection = True
                elif answer.cut is not None:
                    self.wfile.write(body[: answer.cut])
                    self.connection.shutdown(SHUT_WR)
                    self.close_connection = True
                else:
                    self.wfile.write(body)
                    self.close_connection = answer.declared is not None
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    return Handler
