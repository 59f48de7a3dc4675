"""One HTTP request and its answer. urllib3's exceptions end here.

The client of registries sends its own requests, over the pools and with the errors of this module.
"""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import responses
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from formation.errors import UnreachableError
from formation.network.answers import PIECE, Answer, FailedAttempt, GoneError, PastEnd
from formation.network.proxies import Proxies

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 8
BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which trying again may help."""

_LONGEST_CONNECT: Final = 10.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d{1,18})")


class HttpAnswer(Answer):
    """The body of a successful response, as it is on the wire: no Content-Encoding is undone."""

    def __init__(self, response: urllib3.BaseHTTPResponse, start: int, length: int | None) -> None:
        self._response = response
        self.start = start
        self.length = length

    def read(self) -> bytes:
        try:
            return self._response.read1(PIECE, decode_content=False)
        except ReadTimeoutError as error:
            raise FailedAttempt("the server stopped sending") from error
        except (HTTPError, OSError) as error:
            raise FailedAttempt("the connection was cut") from error

    def close(self) -> None:
        # A connection whose body was read to its end is back in the pool by now, and stays open.
        self._response.close()

    def abort(self) -> None:
        # It may have ended at this very moment; then there is nothing left to wake.
        with suppress(OSError, ValueError, RuntimeError, AttributeError):
            self._response.shutdown()


class HttpClient:
    """Kept connections to any number of servers. May be used from any thread."""

    def __init__(self, *, connections: int, timeout: float, proxies: Proxies, agent: str) -> None:
        """`connections` are kept per server; `timeout`, in seconds, is how long a server may send nothing."""
        self._connections = connections
        self._timeout = timeout_of(timeout)
        self._proxies = proxies
        # `identity`: sizes and digests are of the file, and no server should compress a .deb again.
        self._headers = {"User-Agent": agent, "Accept-Encoding": "identity"}
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def open(self, url: str, *, start: int = 0) -> HttpAnswer:
        """The file at `url` from byte `start` on, or from 0 where the server cannot.

        Raises FailedAttempt, PastEnd, GoneError, UnreachableError. Messages start with what failed, without the URL
        that the caller names.
        """
        headers = self._headers | ({"Range": f"bytes={start}-"} if start else {})
        at = url
        for _ in range(MOST_REDIRECTS):
            response = self._request(at, headers)
            if response.status not in REDIRECTS:
                return answer_of(response, start)
            at = redirected(at, response.headers.get("Location", ""))
            response.drain_conn() if _is_short(response) else response.close()
        raise UnreachableError(f"the server redirects more than {MOST_REDIRECTS} times")

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _request(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        with attempt_errors():
            return self._pool(self._proxies.for_url(url)).urlopen(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )

    def _pool(self, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = new_pool(proxy, self._connections)
            return self._pools[proxy]


@contextmanager
def attempt_errors() -> Iterator[None]:
    """Maps what urllib3 raises for a request to FailedAttempt, when trying again may help, and UnreachableError."""
    try:
        yield
    except LocationValueError as error:
        raise UnreachableError(f"it is not a URL: {error}") from error
    except SSLError as error:
        if was_cut(error):
            raise FailedAttempt("the connection was cut") from error
        raise UnreachableError(f"the server cannot be trusted: {error}") from error
    except NameResolutionError as error:
        raise FailedAttempt("the host name cannot be resolved", unconnected=True) from error
    except NewConnectionError as error:
        raise FailedAttempt("the connection was refused", unconnected=True) from error
    except ConnectTimeoutError as error:
        raise FailedAttempt("the server does not accept connections", unconnected=True) from error
    except ProxyError as error:
        raise FailedAttempt(f"the proxy failed: {error.original_error}", unconnected=True) from error
    except ReadTimeoutError as error:
        raise FailedAttempt("the server did not answer in time") from error
    except (HTTPError, OSError) as error:
        raise FailedAttempt("the connection was cut") from error
    except ValueError as error:
        raise UnreachableError(f"it is not a URL: {error}") from error


def was_cut(error: SSLError) -> bool:
    """Whether the connection below TLS ended, rather than TLS itself having failed."""
    return any(isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) for cause in error.args)


def timeout_of(seconds: float) -> urllib3.Timeout:
    """For a server that may send nothing for so long, and has to be reached sooner."""
    return urllib3.Timeout(connect=min(seconds, _LONGEST_CONNECT), read=seconds)


def new_pool(proxy: str | None, connections: int, **options: Any) -> urllib3.PoolManager:
    """Kept connections, `connections` per server, through `proxy` unless it is None; `options` are urllib3's."""
    if proxy is None:
        return urllib3.PoolManager(maxsize=connections, **options)
    credentials = urlsplit(proxy)
    authorisation = None
    if credentials.username is not None:
        text = f"{credentials.username}:{credentials.password or ''}"
        authorisation = urllib3.make_headers(proxy_basic_auth=text)
    return urllib3.ProxyManager(proxy, maxsize=connections, proxy_headers=authorisation, **options)


def answer_of(response: urllib3.BaseHTTPResponse, start: int) -> HttpAnswer:
    """The body of a response that is not a redirect. Raises as `HttpClient.open`."""
    if response.status == 200:
        return HttpAnswer(response, 0, _number(response.headers.get("Content-Length")))
    content_range = response.headers.get("Content-Range", "")
    partial = _CONTENT_RANGE.fullmatch(content_range)
    if response.status == 206 and partial and int(partial[1]) == start:
        return HttpAnswer(response, start, _number(partial[2]))
    response.close()
    if response.status == 416 and start:
        unsatisfied = _UNSATISFIED.fullmatch(content_range)
        raise PastEnd(int(unsatisfied[1]) if unsatisfied else None)
    reason = f"the server answers {status_text(response.status)}"
    if response.status in (404, 410):
        raise GoneError(reason)
    if response.status in BUSY:
        raise FailedAttempt(reason, retry_after=_number(response.headers.get("Retry-After")))
    raise UnreachableError(reason)


def status_text(status: int) -> str:
    """`404 Not Found`. Not the server's own phrase: it may hold anything, terminal escapes too."""
    return f"{status} {responses.get(status, '')}".rstrip()


def redirected(url: str, location: str) -> str:
    """Where a redirect from `url` leads. Raises UnreachableError where it would weaken or leave HTTP."""
    try:
        target = urljoin(url, location)
        scheme, host = urlsplit(target).scheme, urlsplit(target).hostname
    except ValueError as error:
        raise UnreachableError(f"the server redirects to {location[:200]!r}, which is not a URL") from error
    if not location or not host:
        raise UnreachableError(f"the server redirects to {location[:200]!r}, which is not a URL")
    if scheme not in ("http", "https") or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise UnreachableError(
            f"the server redirects to {target[:200]!r}, which is refused: it would leave HTTP or lose its encryption"
        )
    return target


def _is_short(response: urllib3.BaseHTTPResponse) -> bool:
    """Whether reading the body of a redirect costs less than a new connection."""
    length = _number(response.headers.get("Content-Length"))
    return length is not None and length <= 4096


def _number(text: str | None) -> int | None:
    """A header's decimal number; None when it is missing or something else, such as a date in Retry-After."""
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,18}", text) else None
