"""A server on loopback that says, byte for byte, what it is told to say: for what no HTTP server would send.

with ScriptedServer(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as server: ...    # one conversation per connection
"""

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

Conversation = Callable[["Peer"], None]


class Peer:
    """The client, as the server sees it."""

    def __init__(self, stream: socket.socket, server: "ScriptedServer") -> None:
        self.socket = stream
        self._server = server
        self._rest = b""

    def hear(self) -> bytes:
        """The head of the next request, which is remembered with its body; empty when the client has gone."""
        while b"\r\n\r\n" not in self._rest and (data := self.socket.recv(65_536)):
            self._rest += data
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = self.hear_bytes(int(length[1]) if length else 0)
        if head:
            self._server.requests.append(head + b"\r\n\r\n" + body)
        return head

    def hear_bytes(self, count: int) -> bytes:
        """So many bytes that follow, fewer when the client has gone."""
        while len(self._rest) < count and (data := self.socket.recv(65_536)):
            self._rest += data
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def say(self, data: bytes) -> None:
        """Sends it."""
        self.socket.sendall(data)

    def wait_for_end(self) -> None:
        """Returns when the client has closed the connection."""
        while self.socket.recv(65_536):
            pass


def says(*answers: bytes) -> Conversation:
    """Hears a request and gives an answer, for each of `answers`, and closes the connection."""

    def conversation(peer: Peer) -> None:
        for answer in answers:
            if not peer.hear():
                return
            peer.say(answer)

    return conversation


def says_and_waits(*answers: bytes) -> Conversation:
    """As `says`, but leaves the end to the client."""

    def conversation(peer: Peer) -> None:
        says(*answers)(peer)
        peer.wait_for_end()

    return conversation


class ScriptedServer:
    """Holds one conversation with each connection; the last of them with all that follow."""

    def __init__(self, *conversations: Conversation, context: ssl.SSLContext | None = None) -> None:
        """`context`: speaks TLS, from the first byte on."""
        self._conversations = list(conversations)
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{'http' if context is None else 'https'}://{self.host}"
        """Without a trailing slash."""
        self.requests: list[bytes] = []
        """What clients sent, head and body."""
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its thread waits in `accept`, which closing does not wake.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            conversation = self._conversations[min(self.connections, len(self._conversations) - 1)]
            self.connections += 1
            threading.Thread(target=self._talk, args=(client, conversation), daemon=True).start()

    def _talk(self, client: socket.socket, conversation: Conversation) -> None:
        try:
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            conversation(Peer(client, self))
        except OSError:
            pass  # clients that go away are what these tests are about
        finally:
            client.close()


def certificate(openssl: str, directory: Path) -> Path:
    """A file with a new key and the certificate of 127.0.0.1 that it has signed itself."""
    path = directory / "server.pem"
    names = "subjectAltName=IP:127.0.0.1"
    # fmt: off
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", names, "-keyout", path, "-out", directory / "ca.crt"],
        check=True, capture_output=True,
    )
    # fmt: on
    path.write_bytes(path.read_bytes() + (directory / "ca.crt").read_bytes())
    return path


def server_context(path: Path) -> ssl.SSLContext:
    """TLS of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
