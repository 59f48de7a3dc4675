"""Servers on loopback: what takes their connections, and the certificate of those that speak TLS."""

import socket
import ssl
import subprocess
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from conftest import require_tool


class LoopbackServer(ABC):
    """Takes connections on a free port while its block runs."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Its thread waits in `accept`, which closing does not wake.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @abstractmethod
    def meet(self, client: socket.socket) -> None:
        """A client has come: starts what deals with it, and closes it at last."""

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.meet(client)


def certificate(directory: Path) -> Path:
    """`directory`, with a new `key.pem`, and the certificate that it has signed itself, `ca.crt`.

    The certificate is that of 127.0.0.1 and archive.example.
    """
    # fmt: off
    subprocess.run(
        [require_tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:archive.example",
         "-keyout", directory / "key.pem", "-out", directory / "ca.crt"],
        check=True, capture_output=True,
    )
    # fmt: on
    return directory


def server_context(directory: Path) -> ssl.SSLContext:
    """TLS of a server with the certificate that is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "ca.crt", directory / "key.pem")
    return context
