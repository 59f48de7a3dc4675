"""What a server gives for one request, and how one attempt can fail."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from formation.errors import UnreachableError

if TYPE_CHECKING:
    from formation.network.download import Download

PIECE = 256 * 1024
"""Bytes asked for at a time: large enough that hashing and writing release the interpreter's lock for long."""

SLOWEST = 100
"""Bytes per second, measured over one timeout; a server that drips more slowly counts as stalled."""


class GoneError(UnreachableError):
    """A server answered that it does not have the file (404 or 410), and no other place gave it.

    `missing` holds the downloads that this ended, empty for `Downloader.get`. `unasked` tells why other places could
    not be asked, each with its URL: they may have it.
    """

    def __init__(
        self,
        message: str,
        *,
        missing: "tuple[Download, ...]" = (),
        unasked: tuple[str, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing
        self.unasked = unasked


class FailedAttempt(Exception):
    """One attempt failed in a way that another attempt may not: a cut, a stall, a busy server."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        unconnected: bool = False,
        at: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        """HTTP's, of a registry's answer; None: there was none."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait; None when it does not."""
        self.unconnected = unconnected
        """No connection to the server was made at all."""
        self.at = at
        """The server, with its port where one is written: a redirect may have led to it. Empty: it is not known."""


class PastEnd(Exception):
    """The server's file ends before the byte from which the rest was asked for (416)."""

    def __init__(self, length: int | None) -> None:
        super().__init__()
        self.length = length
        """Size of the server's file in bytes; None when it does not say."""


class Answer(ABC):
    """An open body."""

    start: int
    """Offset in the file of the body's first byte: 0 when the server ignored the request to resume."""
    length: int | None
    """Size in bytes of the whole file as the server says it; None when it does not."""
    at: str = ""
    """The server, as `FailedAttempt` has it; empty: a file of this machine."""

    @abstractmethod
    def read(self) -> bytes | memoryview:
        """The next bytes, as soon as there are any; empty at the end. They hold until the next call.

        Raises FailedAttempt.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the transfer, whether complete or not."""

    def abort(self) -> None:  # noqa: B027 - a local file has no read to wake
        """Makes a `read` that waits in another thread return. May be called from any thread."""


class LocalAnswer(Answer):
    """A file of this machine, for file:// archives."""

    def __init__(self, url: str, start: int) -> None:
        """Opens `url` at byte `start`. Raises GoneError, UnreachableError."""
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise UnreachableError(f"{url} names the host {parts.netloc}, but a file URL is of this machine")
        path = Path(unquote(parts.path))
        try:
            self._file: IO[bytes] = path.open("rb")
            self.length = self._file.seek(0, 2)
            self.start = self._file.seek(start)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise GoneError(f"{path} does not exist") from error
        except (OSError, ValueError) as error:
            raise UnreachableError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error

    def read(self) -> bytes:
        try:
            return self._file.read(PIECE)
        except OSError as error:
            raise FailedAttempt(f"cannot read it: {error.strerror}") from error

    def close(self) -> None:
        self._file.close()
