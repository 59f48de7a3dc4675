"""TLS over a connection, and what its failures mean. `ssl` is imported where TLS is spoken: it takes 5 ms."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from formation.errors import UnreachableError, UsageError
from formation.network.answers import FailedAttempt

if TYPE_CHECKING:
    import ssl

Flaw = Literal["expired", "early", "other-name"]
_FLAWS: Final[Mapping[int, Flaw]] = {9: "early", 10: "expired", 62: "other-name", 64: "other-name"}
"""X509_V_ERR_CERT_NOT_YET_VALID, CERT_HAS_EXPIRED, HOSTNAME_MISMATCH and IP_ADDRESS_MISMATCH of OpenSSL."""

_HINTS: Final[Mapping[Flaw | None, str]] = {
    "expired": "its certificate has to be renewed; or is the clock of this machine wrong? date",
    "early": "its certificate is not valid yet; or is the clock of this machine wrong? date",
    "other-name": "call it by a name that its certificate has, or have it get one with this name",
    None: "name the certificate of its authority: --ca FILE (or FORMATION_CA_FILE=FILE)",
}

Result = TypeVar("Result")

_RECORDS: Final = 64 * 1024


class TlsFailure(UnreachableError):
    """TLS itself failed: the connection below it was there."""

    def __init__(self, error: "ssl.SSLError") -> None:
        import ssl

        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
        self.reason = str(reason or error)[:200]
        """In OpenSSL's words."""
        self.untrusted = isinstance(error, ssl.SSLCertVerificationError)
        """Nobody vouches for the server's certificate; otherwise it does not speak TLS as it should."""
        self.flaw = _FLAWS.get(error.verify_code) if isinstance(error, ssl.SSLCertVerificationError) else None
        """What is wrong with the certificate, where no authority that is trusted besides would help."""
        self.verdict = f"{'cannot be trusted' if self.untrusted else 'does not speak TLS as it should'}: {self.reason}"
        """The end of a sentence about the server."""
        super().__init__(f"the server {self.verdict}", hint=_HINTS[self.flaw] if self.untrusted else None)


def failure_of(error: OSError) -> FailedAttempt | TlsFailure:
    """What the end of a connection means: TLS that failed is told apart from a connection that was cut below it."""
    import ssl

    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return TlsFailure(error)
    return FailedAttempt("the connection was cut")


def default_context(netloc: str) -> "ssl.SSLContext":
    """Trusts whom the machine trusts, whatever the server."""
    import ssl

    return ssl.create_default_context()


def trusting(authorities: Sequence[Path]) -> "Callable[[str], ssl.SSLContext]":
    """Trusts whom the machine trusts, and the files `authorities`, whatever the server. Raises as `trust`."""

    def context(netloc: str) -> "ssl.SSLContext":
        made = default_context(netloc)
        for path in authorities:
            trust(made, path)
        return made

    return context


def trust(context: "ssl.SSLContext", path: Path) -> None:
    """Has `context` trust the certificates in a file, too. Raises UsageError where they cannot be read."""
    try:
        context.load_verify_locations(cafile=str(path))
    except OSError as error:  # that of `ssl` is one too
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> UsageError:
    """The error for a file that should hold a certificate, or its key."""
    return UsageError(f"the certificate {path} cannot be read: {error.strerror or error}")


def secured(
    raw: socket.socket,
    context: "ssl.SSLContext",
    host: str,
    follow: "Callable[[ssl.SSLSocket], ssl.SSLSocket]",
) -> "ssl.SSLSocket":
    """TLS with `host` over a connection, which is closed when that fails. Raises FailedAttempt and TlsFailure.

    `follow` hears of the socket that takes the place of `raw`, before the handshake.
    """
    name = host.rstrip(".")
    made = _shaken(raw, lambda: context.wrap_socket(raw, server_hostname=name, do_handshake_on_connect=False))
    _shaken(follow(made), made.do_handshake)
    return made


class InnerTls:
    """TLS with a server through the TLS of a proxy, which OpenSSL cannot do on a socket."""

    def __init__(self, outer: "ssl.SSLSocket", context: "ssl.SSLContext", host: str) -> None:
        """Raises FailedAttempt and TlsFailure, with `outer` closed."""
        import ssl

        self._outer = outer
        self._timeout = outer.gettimeout()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

        def shake() -> ssl.SSLObject:
            made = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host.rstrip("."))
            self._run(made.do_handshake)
            return made

        self._object = _shaken(outer, shake)

    def settimeout(self, seconds: float | None, /) -> None:
        """As a socket's."""
        self._timeout = seconds

    def sendall(self, data: bytes, /) -> None:
        """As a socket's."""
        self._run(self._object.write, data)

    def recv_into(self, buffer: memoryview, size: int = 0, /) -> int:
        """As a socket's."""
        import ssl

        try:
            return int(self._run(self._object.read, size or len(buffer), buffer))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return 0

    def pending(self) -> int:
        """Bytes that have come and were not read."""
        return self._object.pending() + self._incoming.pending + self._outer.pending()

    def _run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """What `step` gives, once the records that it needs have come and those that it makes are sent.

        All that together within the timeout, as a socket's methods. Raises TimeoutError.
        """
        import ssl

        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            if deadline is not None:
                self._outer.settimeout(_left(deadline))
            wanting = False
            try:
                result = step(*arguments)
            except ssl.SSLWantReadError:
                wanting = True
            if data := self._outgoing.read():
                self._outer.sendall(data)
            if not wanting:
                return result
            if records := self._outer.recv(_RECORDS):
                self._incoming.write(records)
            else:
                self._incoming.write_eof()


def _left(deadline: float) -> float:
    """Seconds until then. Raises TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _shaken(raw: socket.socket, shake: Callable[[], Result]) -> Result:
    """What a handshake gives. Raises FailedAttempt and TlsFailure, with `raw` closed."""
    try:
        return shake()
    except TimeoutError as error:
        raw.close()
        raise FailedAttempt("the server did not answer in time") from error
    except OSError as error:
        raw.close()
        raise failure_of(error) from error
    except BaseException:
        raw.close()
        raise
