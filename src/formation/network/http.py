"""One file from a server: redirects are followed, and the answer is a body or the error that it means.

The client of registries sends its own requests, with the answers and errors of this module.
"""

import re
import time
from typing import Final
from urllib.parse import urljoin, urlsplit

from formation.errors import UnreachableError
from formation.network.access import Access, Logins
from formation.network.answers import Answer, FailedAttempt, GoneError, PastEnd
from formation.network.connections import Connections
from formation.network.proxies import Proxies
from formation.network.response import Response
from formation.network.status import status_text
from formation.network.tls import trusting
from formation.network.transfer import Run

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 8
BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which trying again may help."""

_SHORT: Final = 4096
"""Bytes of a body that reading costs less than a new connection."""
_CONTENT_RANGE: Final = r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)"
_UNSATISFIED: Final = r"bytes \*/(\d{1,18})"


class HttpAnswer(Answer):
    """The body of a successful response, as it is on the wire: no Content-Encoding is undone."""

    def __init__(self, response: Response, start: int, length: int | None) -> None:
        self._response = response
        self.start = start
        self.length = length
        self.at = response.at

    def read(self) -> bytes | memoryview:
        return self._response.piece()

    def close(self) -> None:
        # A connection whose body was read to its end waits for the next request by now, and stays open.
        self._response.close()

    def abort(self) -> None:
        self._response.abort()


class HttpClient:
    """Kept connections to any number of servers. May be used from any thread."""

    def __init__(self, *, connections: int, timeout: float, proxies: Proxies, agent: str, access: Access) -> None:
        """`connections` are kept per server; `timeout`, in seconds, is how long a server may send nothing."""
        context = trusting(access.authorities)
        self._connections = Connections(proxies, timeout=timeout, kept=connections, context=context)
        self._logins = Logins(access.logins)
        # `identity`: sizes and digests are of the file, and no server should compress a .deb again.
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity"}

    def open(self, url: str, run: Run, *, start: int = 0) -> HttpAnswer:
        """The file at `url` from byte `start` on, or from 0 where the server cannot.

        Raises FailedAttempt, PastEnd, GoneError, UnreachableError, UsageError, Cancelled. Messages start with what
        failed, without the URL that the caller names.
        """
        headers = self._headers | ({"Range": f"bytes={start}-"} if start else {})
        at = url
        for _ in range(MOST_REDIRECTS):
            login = self._logins.header(at)
            own = headers if login is None else headers | {"Authorization": login}
            response = self._connections.request("GET", at, own, run=run)
            if response.status == 401:
                response.close()
                raise self._unauthorized(at, sent=login is not None)
            if response.status not in REDIRECTS:
                return answer_of(response, start)
            drop(response)
            at = redirected(at, response.headers.get("Location", ""))
        raise UnreachableError(f"the server redirects more than {MOST_REDIRECTS} times")

    def _unauthorized(self, url: str, *, sent: bool) -> UnreachableError:
        why = "; the login that is kept for it was refused" if sent else ""
        reason = f"the server answers {status_text(401)}{why}"
        return UnreachableError(reason, hint=self._logins.remedy(url, sent=sent))

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()


def drop(response: Response) -> None:
    """Ends an answer whose body nobody wants. One that says how short it is is read, so that its connection is kept.

    Raises FailedAttempt when it was cut, or does not come.
    """
    if response.length is not None and response.length <= _SHORT:
        response.read(_SHORT)
    else:
        response.close()


def answer_of(response: Response, start: int) -> HttpAnswer:
    """The body of a response that is not a redirect. Raises as `HttpClient.open`."""
    if response.status == 200:
        return HttpAnswer(response, 0, _number(response.headers.get("Content-Length")))
    content_range = response.headers.get("Content-Range", "")
    partial = re.fullmatch(_CONTENT_RANGE, content_range)
    if response.status == 206 and partial and int(partial[1]) == start:
        return HttpAnswer(response, start, _number(partial[2]))
    response.close()
    if response.status == 416 and start:
        unsatisfied = re.fullmatch(_UNSATISFIED, content_range)
        raise PastEnd(int(unsatisfied[1]) if unsatisfied else None)
    reason = f"the server answers {status_text(response.status)}"
    if response.status in (404, 410):
        raise GoneError(reason)
    if response.status in BUSY:
        raise FailedAttempt(reason, retry_after=retry_after(response), at=response.at)
    raise UnreachableError(reason)


def retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait, which it may write as a date; None when it does not."""
    text = response.headers.get("Retry-After", "")
    # Docker Hub writes the second since 1970 at which it has been long enough; that is not read.
    if not text or text.isdigit():
        return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
    # Dates are of errors only, and their parser is half of Python's mail.
    import email.utils

    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def redirected(url: str, location: str) -> str:
    """Where a redirect from `url` leads. Raises UnreachableError where it would weaken or leave HTTP."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise UnreachableError(f"the server redirects to {location[:200]!r}, which is not a URL") from error
    if not location or not host:
        raise UnreachableError(f"the server redirects to {location[:200]!r}, which is not a URL")
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise UnreachableError(
            f"the server redirects to {target[:200]!r}, which is refused: it would leave HTTP or lose its encryption"
        )
    return target


def _number(text: str | None) -> int | None:
    """A header's decimal number; None when it is missing or something else."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None
