"""Requests to any number of servers, over connections that are kept, through the proxies of this machine."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, BinaryIO, Final

from formation.errors import UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.dial import Dialler, Opening, ProxyRefused, proxy_login, proxy_refusal
from formation.network.proxies import Proxies
from formation.network.response import Response
from formation.network.tls import default_context
from formation.network.url import Target, target_of
from formation.network.wire import Unanswered, Wire

if TYPE_CHECKING:
    import ssl

    from formation.network.transfer import Run

_SAFE: Final = frozenset({"GET", "HEAD"})
"""What a server may be asked twice without anything happening twice (RFC 9110, 9.2.1)."""
_WITH_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})
_LOGIN_REFUSED: Final = 407
_GLANCE: Final = 0.1
"""Seconds after which who waits for another request looks whether it is to go on."""

Key = tuple[str, str, str | None]
"""Scheme, host with its port, and proxy: what a connection may be used again for."""
Content = bytes | BinaryIO | None


class Connections:
    """Sends requests, following no redirect. May be used from any thread."""

    def __init__(
        self,
        proxies: Proxies,
        *,
        timeout: float,
        kept: int,
        context: "Callable[[str], ssl.SSLContext]" = default_context,
    ) -> None:
        """`timeout`: seconds that a server may be silent; it has to take a connection in 10 at most.

        `kept` connections are left open per server. `context` makes the TLS for a host, as written with its port.
        """
        self._proxies = proxies
        self._dialler = Dialler(timeout, self._context)
        self._most_kept = kept
        self._make_context = context
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._kept: dict[Key, list[Wire]] = {}
        self._refused: set[str] = set()
        self._tried: set[str] = set()
        self._trying = threading.Lock()
        self._closed = False
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: Content = None, *, run: "Run | None" = None
    ) -> Response:
        """The answer, its body not yet read. A `body` that is no bytes needs a Content-Length in `headers`.

        The end of `run` ends the wait for it. Raises FailedAttempt when trying again may help, TlsFailure,
        UnreachableError, Cancelled, and what reading `body` raises. A login that a proxy refused is not sent again.
        """
        target = target_of(url)
        proxy = self._proxies.for_url(url)
        try:
            with self._first_alone(proxy, run):
                if proxy in self._refused:
                    raise ProxyRefused(_LOGIN_REFUSED)
                return self._request(method, target, proxy, headers, body, run)
        except FailedAttempt as failure:
            failure.at = target.netloc
            raise
        except ProxyRefused as refused:
            assert proxy is not None, "only a proxy refuses so"
            raise proxy_refusal(proxy, self._proxies.variable(url), target, refused.status) from refused

    def _request(
        self,
        method: str,
        target: Target,
        proxy: str | None,
        headers: Mapping[str, str],
        body: Content,
        run: "Run | None",
    ) -> Response:
        head = _head(method, target, proxy, headers, body)
        key = (target.scheme, target.netloc, proxy)
        if (wire := self._take(key)) is not None:
            try:
                return self._ask(wire, method, head, body, key, run)
            except Unanswered:
                # The server may have closed it at that very moment, as one that was idle for long.
                if method not in _SAFE:
                    raise
        opening = Opening()
        with _waiting(run, opening.shut):
            if proxy is None:
                wire = self._dialler.direct(target, opening)
            else:
                wire = self._dialler.through(proxy, target, opening)
        return self._ask(wire, method, head, body, key, run)

    def close(self) -> None:
        """Closes the connections. One that is in use is closed at the end of its answer."""
        with self._lock:
            self._closed = True
            wires = [wire for waiting in self._kept.values() for wire in waiting]
            self._kept.clear()
        for wire in wires:
            wire.close()

    @contextmanager
    def _first_alone(self, proxy: str | None, run: "Run | None") -> Iterator[None]:
        """The first request with the login for `proxy` goes alone: many at once would have it refused many times."""
        first = proxy is not None and proxy not in self._tried and bool(proxy_login(proxy))
        while first and not self._trying.acquire(timeout=_GLANCE):
            if run is not None:
                run.check()
        if first and proxy in self._tried:
            self._trying.release()
            first = False
        try:
            yield
        except ProxyRefused as refused:
            if proxy is not None and refused.status == _LOGIN_REFUSED:
                self._refused.add(proxy)
            raise
        finally:
            if first and proxy is not None:
                self._tried.add(proxy)
                self._trying.release()

    def _ask(self, wire: Wire, method: str, head: bytes, body: Content, key: Key, run: "Run | None") -> Response:
        try:
            with _waiting(run, wire.shut):
                whole = wire.send(head, body)
                keep = (lambda wire: self._keep(key, wire)) if whole else None
                answer = wire.head()
                if key[2] is not None and key[0] == "http" and answer.status == _LOGIN_REFUSED:
                    raise ProxyRefused(answer.status)
                return Response(wire, answer, method, keep, at=key[1])
        except BaseException:
            wire.close()
            raise

    def _take(self, key: Key) -> Wire | None:
        """A kept connection, the last that was used first; None: there is none."""
        while True:
            with self._lock:
                waiting = self._kept.get(key)
                wire = waiting.pop() if waiting else None
            if wire is None or wire.is_idle:
                return wire
            wire.close()

    def _keep(self, key: Key, wire: Wire) -> None:
        with self._lock:
            waiting = self._kept.setdefault(key, [])
            if kept := not self._closed and len(waiting) < self._most_kept:
                waiting.append(wire)
        if not kept:
            wire.close()

    def _context(self, netloc: str) -> "ssl.SSLContext":
        with self._lock:
            context = self._contexts.get(netloc)
        if context is None:
            context = self._make_context(netloc)
            # Our only version, where a server has several (RFC 7301).
            context.set_alpn_protocols(["http/1.1"])
            with self._lock:
                context = self._contexts.setdefault(netloc, context)
        return context


def _waiting(run: "Run | None", wake: Callable[[], object]) -> AbstractContextManager[None]:
    return nullcontext() if run is None else run.waiting(wake)


def _head(method: str, target: Target, proxy: str | None, headers: Mapping[str, str], body: Content) -> bytes:
    """The head of a request. Raises UnreachableError for a header that would be more than one, and as `proxy_login`."""
    fields = {"Host": target.authority, **headers}
    if isinstance(body, bytes) or (body is None and method in _WITH_CONTENT):
        fields["Content-Length"] = str(len(body or b""))
    path = target.path
    if proxy is not None and target.scheme == "http":
        path = f"http://{target.authority}{path}"
        fields |= proxy_login(proxy)
    for name, value in fields.items():
        if not value.isascii() or not value.isprintable():
            raise UnreachableError(f"the header {name} cannot be sent")
    lines = (f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", "")
    return "\r\n".join(lines).encode("ascii")
