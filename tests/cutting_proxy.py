"""A TCP proxy on loopback that cuts connections as it is told to. It passes TLS on as it is.

with CuttingProxy("127.0.0.1:5000") as proxy:
    proxy.cut(up=100_000)       # the next connection that sends so many bytes to the server is closed then
"""

import socket
import threading
from typing import Literal

from loopback import LoopbackServer

Direction = Literal["up", "down"]


class CuttingProxy(LoopbackServer):
    """Forwards to `target`, which is `HOST:PORT`."""

    def __init__(self, target: str) -> None:
        super().__init__()
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._cuts: dict[Direction, list[int]] = {"up": [], "down": []}
        self._lock = threading.Lock()
        self.done = 0
        """How many connections were cut."""

    def cut(self, *, up: int | None = None, down: int | None = None) -> None:
        """Closes the first connection that has carried so many bytes in a direction, once for each call."""
        with self._lock:
            if up is not None:
                self._cuts["up"].append(up)
            if down is not None:
                self._cuts["down"].append(down)

    def meet(self, client: socket.socket) -> None:
        server = socket.create_connection(self._target)
        for source, sink, direction in ((client, server, "up"), (server, client, "down")):
            threading.Thread(target=self._pump, args=(source, sink, direction), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        carried = 0
        try:
            while data := source.recv(65_536):
                carried += len(data)
                if self._is_cut(direction, carried):
                    break
                sink.sendall(data)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _is_cut(self, direction: Direction, carried: int) -> bool:
        with self._lock:
            for limit in self._cuts[direction]:
                if carried >= limit:
                    self._cuts[direction].remove(limit)
                    self.done += 1
                    return True
        return False
