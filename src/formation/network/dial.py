"""New connections: to a server, or through a proxy to it."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from formation.errors import UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.status import status_text
from formation.network.tls import InnerTls, TlsFailure, default_context, secured
from formation.network.url import Target, target_of
from formation.network.wire import Stream, Wire, cut

if TYPE_CHECKING:
    import ssl

_LONGEST_CONNECT: Final = 10.0
_PASSING: Final = frozenset({408, 425, 429})
"""Answers of 4xx to CONNECT after which trying again may help."""

Socket = TypeVar("Socket", bound=socket.socket)


class ProxyRefused(Exception):
    """A proxy answers that it does not pass a request on, and would answer the same again. `status` is HTTP's."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status


class Opening:
    """A connection that is being made, and that another thread may give up."""

    def __init__(self) -> None:
        self._raw: socket.socket | None = None
        self._over = False

    def follow(self, raw: Socket) -> Socket:
        """`raw` is what the connection is now: whoever waits for it can be woken. Raises FailedAttempt after `shut`."""
        self._raw = raw
        if self._over:
            raw.close()
            raise FailedAttempt("it was given up")
        return raw

    def shut(self) -> None:
        """Wakes whoever makes the connection, who finds it cut. May be called from any thread."""
        self._over = True
        if self._raw is not None:
            cut(self._raw)


class Dialler:
    """Makes connections."""

    def __init__(self, timeout: float, context: "Callable[[str], ssl.SSLContext]") -> None:
        """`timeout`: seconds that a server may be silent; it has to take a connection in 10 at most.

        `context` gives the TLS for a host, as written with its port.
        """
        self._timeout = timeout
        self._connect_timeout = min(timeout, _LONGEST_CONNECT)
        self._context = context

    def direct(self, target: Target, opening: Opening) -> Wire:
        """A connection to `target`. Raises FailedAttempt, TlsFailure."""
        raw = self._dial(target, opening)
        if target.scheme == "https":
            raw = secured(raw, self._context(target.netloc), target.host, opening.follow)
        return self._wire(raw, raw)

    def through(self, proxy: str, target: Target, opening: Opening) -> Wire:
        """A connection by way of `proxy`: to `target` where that is https, else to the proxy, which passes it on.

        Raises FailedAttempt, TlsFailure, ProxyRefused, and UnreachableError for a proxy that is no URL of http or
        https.
        """
        at = _proxy_target(proxy)
        try:
            raw = self._dial(at, opening)
            outer = None
            if at.scheme == "https":
                outer = secured(raw, default_context(at.netloc), at.host, opening.follow)
            to_proxy = self._wire(outer or raw, outer or raw)
            if target.scheme == "http":
                return to_proxy
            self._tunnel(to_proxy, target, proxy)
        except (FailedAttempt, TlsFailure) as error:
            raise FailedAttempt(f"the proxy {at.netloc} failed: {error.reason}", unconnected=True) from error
        context = self._context(target.netloc)
        if outer is not None:
            return self._wire(InnerTls(outer, context, target.host), outer)
        inner = secured(raw, context, target.host, opening.follow)
        return self._wire(inner, inner)

    def _tunnel(self, wire: Wire, target: Target, proxy: str) -> None:
        """Has the proxy behind `wire` pass on what follows.

        Raises FailedAttempt, TlsFailure and ProxyRefused, with `wire` closed.
        """
        fields = {"Host": target.full_authority, **proxy_login(proxy)}
        lines = (f"CONNECT {target.full_authority} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items()))
        try:
            wire.send("\r\n".join((*lines, "", "")).encode("ascii"))
            head = wire.head()
            if 400 <= head.status < 500 and head.status not in _PASSING:
                raise ProxyRefused(head.status)
            if not 200 <= head.status < 300:
                raise FailedAttempt(f"it answers {status_text(head.status)}")
            if wire.has_surplus:
                raise FailedAttempt("it speaks before the server")
        except BaseException:
            wire.close()
            raise

    def _dial(self, target: Target, opening: Opening) -> socket.socket:
        """A connection to the first address of a server that takes one. Raises FailedAttempt."""
        try:
            # Bytes: for text, Python imports its tables of international names.
            found = socket.getaddrinfo(target.host.encode("ascii"), target.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise FailedAttempt("the host name cannot be resolved", unconnected=True) from error
        reason = "the host name has no address"
        for family, kind, protocol, _, address in found:
            try:
                return self._connect(socket.socket(family, kind, protocol), address, opening)
            except TimeoutError:
                reason = "the server does not accept connections"
            except OSError:
                reason = "the connection was refused"
        raise FailedAttempt(reason, unconnected=True)

    def _connect(self, raw: socket.socket, address: Any, opening: Opening) -> socket.socket:
        try:
            raw.settimeout(self._connect_timeout)
            opening.follow(raw).connect(address)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            raw.close()
            raise
        return raw

    def _wire(self, stream: Stream, raw: socket.socket) -> Wire:
        return Wire(stream, raw, send_timeout=self._connect_timeout, timeout=self._timeout)


def proxy_refusal(proxy: str, variable: str, target: Target, status: int) -> UnreachableError:
    """What it means that `proxy`, which the environment's `variable` names, answers `status` to a request for `target`.

    To ask once more would not help, and a login that is refused a few times is locked by many.
    """
    at = _proxy_target(proxy)
    if status != 407:
        return UnreachableError(
            f"the proxy {at.netloc} does not pass on requests to {target.full_authority}: {status_text(status)}",
            hint=f"ask who runs it; or reach the server without it: no_proxy={target.host}",
        )
    why = f"refused the login of {variable}" if proxy_login(proxy) else "wants a login"
    return UnreachableError(
        f"the proxy {at.netloc} {why}",
        hint=f"put NAME:PASSWORD@ before {at.netloc} in {variable}, with what is no letter or digit as %XX (@ is %40)",
    )


def proxy_login(proxy: str) -> dict[str, str]:
    """The header with the login that the URL of a proxy holds; empty: it holds none. Raises UnreachableError."""
    _proxy_target(proxy)
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    import base64  # for few only

    text = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(text.encode()).decode("ascii")}


def _proxy_target(proxy: str) -> Target:
    try:
        return target_of(proxy)
    except UnreachableError as error:
        # Not shown: there may be a password in it.
        raise UnreachableError("the proxy has no URL of http or https") from error
