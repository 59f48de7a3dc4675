"""A server on loopback that says, byte for byte, what it is told to say: for what no HTTP server would send.

with ScriptedServer(says(b"HTTP/1.1 204 No Content\r\n\r\n")) as server: ...    # one conversation per connection
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable

from loopback import LoopbackServer

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


class ScriptedServer(LoopbackServer):
    """Holds one conversation with each connection; the last of them with all that follow."""

    def __init__(self, *conversations: Conversation, context: ssl.SSLContext | None = None) -> None:
        """`context`: speaks TLS, from the first byte on."""
        super().__init__()
        self._conversations = list(conversations)
        self._context = context
        self.url = f"{'http' if context is None else 'https'}://{self.address}"
        """Without a trailing slash."""
        self.requests: list[bytes] = []
        """What clients sent, head and body."""
        self.connections = 0

    def meet(self, client: socket.socket) -> None:
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
