"""New connections: to a server, or through a proxy to it."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from formation.errors import UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.status import status_text
from formation.network.tls import InnerTls, TlsFailure, default_context, secured
from formation.network.url import Target, target_of
from formation.network.wire import Stream, Wire

if TYPE_CHECKING:
    import ssl

_LONGEST_CONNECT: Final = 10.0


class Dialler:
    """Makes connections."""

    def __init__(self, timeout: float, context: "Callable[[str], ssl.SSLContext]") -> None:
        """`timeout`: seconds that a server may be silent; it has to take a connection in 10 at most.

        `context` gives the TLS for a host, as written with its port.
        """
        self._timeout = timeout
        self._connect_timeout = min(timeout, _LONGEST_CONNECT)
        self._context = context

    def direct(self, target: Target) -> Wire:
        """A connection to `target`. Raises FailedAttempt, TlsFailure."""
        raw = self._dial(target)
        if target.scheme == "https":
            raw = secured(raw, self._context(target.netloc), target.host)
        return self._wire(raw, raw)

    def through(self, proxy: str, target: Target) -> Wire:
        """A connection by way of `proxy`: to `target` where that is https, else to the proxy, which passes it on.

        Raises FailedAttempt, TlsFailure, and UnreachableError for a proxy that is no URL of http or https.
        """
        at = _proxy_target(proxy)
        try:
            raw = self._dial(at)
            outer = secured(raw, default_context(at.netloc), at.host) if at.scheme == "https" else None
        except (FailedAttempt, TlsFailure) as error:
            raise FailedAttempt(f"the proxy failed: {error.reason}", unconnected=True) from error
        to_proxy = self._wire(outer or raw, outer or raw)
        if target.scheme == "http":
            return to_proxy
        self._tunnel(to_proxy, target, proxy)
        context = self._context(target.netloc)
        if outer is not None:
            return self._wire(InnerTls(outer, context, target.host), outer)
        inner = secured(raw, context, target.host)
        return self._wire(inner, inner)

    def _tunnel(self, wire: Wire, target: Target, proxy: str) -> None:
        """Has the proxy behind `wire` pass on what follows. Raises FailedAttempt."""
        fields = {"Host": target.full_authority, **proxy_login(proxy)}
        lines = (f"CONNECT {target.full_authority} HTTP/1.1", *(f"{name}: {text}" for name, text in fields.items()))
        try:
            wire.send("\r\n".join((*lines, "", "")).encode("ascii"))
            head = wire.head()
            if not 200 <= head.status < 300:
                raise FailedAttempt(f"it answers {status_text(head.status)}")
            if wire.has_surplus:
                raise FailedAttempt("it speaks before the server")
        except (FailedAttempt, TlsFailure) as error:
            wire.close()
            raise FailedAttempt(f"the proxy failed: {error.reason}", unconnected=True) from error
        except BaseException:
            wire.close()
            raise

    def _dial(self, target: Target) -> socket.socket:
        """A connection to the first address of a server that takes one. Raises FailedAttempt."""
        try:
            # Bytes, of which typeshed does not know: for text, Python imports its tables of international names.
            address = (target.host.encode("ascii"), target.port)
            raw = socket.create_connection(address, self._connect_timeout)  # type: ignore[arg-type]
        except socket.gaierror as error:
            raise FailedAttempt("the host name cannot be resolved", unconnected=True) from error
        except TimeoutError as error:
            raise FailedAttempt("the server does not accept connections", unconnected=True) from error
        except OSError as error:
            raise FailedAttempt("the connection was refused", unconnected=True) from error
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw

    def _wire(self, stream: Stream, raw: socket.socket) -> Wire:
        return Wire(stream, raw, send_timeout=self._connect_timeout, timeout=self._timeout)


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
