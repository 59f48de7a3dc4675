"""Values through a pipe between the two processes of a build. Both are this program, so pickle is safe between them."""

import pickle
import struct
import threading
from typing import IO, Any

_LENGTH = struct.Struct(">Q")


class Channel:
    """Sends and receives whole values. Sending is safe from several threads."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    def send(self, value: object) -> None:
        """Raises BrokenPipeError when the other side is gone, or this one has ended while a thread went on."""
        data = pickle.dumps(value)
        with self._lock:
            try:
                self._outgoing.write(_LENGTH.pack(len(data)) + data)
                self._outgoing.flush()
            except ValueError as error:
                # Closed, at any moment, by the thread that this one works for.
                raise BrokenPipeError from error

    def receive(self) -> Any:
        """The next value. Raises EOFError when the other side is gone."""
        head = self._incoming.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise EOFError
        (length,) = _LENGTH.unpack(head)
        data = self._incoming.read(length)
        if len(data) < length:
            raise EOFError
        return pickle.loads(data)
