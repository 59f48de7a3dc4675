"""One request to one server, and the answer to it, over connections that are kept."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import urlsplit

from formation import __version__
from formation.errors import UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.connections import Connections
from formation.network.http import drop
from formation.network.proxies import Proxies
from formation.network.response import Response
from formation.network.tls import TlsFailure
from formation.network.transfer import Run
from formation.network.url import is_loopback, is_plain_loopback
from formation.registry.repository import api_host
from formation.registry.settings import Settings

if TYPE_CHECKING:
    import ssl

Body = bytes | Callable[[], BinaryIO]
"""What a request carries: bytes, or what opens them anew for each time that it is sent."""

_OF_REGISTRIES: Final = frozenset({200, 401, 403, 404})
"""What a registry answers at /v2/. To a request without TLS, a server with it says 400, 426, a redirect or what not."""


class Exchange:
    """Sends requests, following no redirect and trying nothing twice. May be used from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxies = Proxies.of(settings.environment)
        self._connections = Connections(
            self._proxies, timeout=settings.timeout, kept=settings.connections, context=self._context
        )
        self._bases: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections."""
        self._connections.close()

    def base(self, host: str, insecure: bool) -> str:
        """The URL of the registry `host`, without a trailing slash.

        TLS, unless the settings say otherwise; where it is allowed to be missing (`insecure`, loopback), the server is
        asked once whether it has it. Raises FailedAttempt and UnreachableError.
        """
        with self._lock:
            known = self._bases.get(host)
        if known is None:
            known = self._find_base(api_host(host), insecure)
            with self._lock:
                self._bases[host] = known
        return known

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None, run: Run | None = None
    ) -> Response:
        """The answer, its body not yet read. A `body` that is no bytes needs a Content-Length in `headers`.

        The end of `run` ends the wait for it. Raises FailedAttempt, UnreachableError and Cancelled.
        """
        # `identity`: digests are of the bytes, which no server should compress on the way.
        headers = {"User-Agent": f"formation/{__version__}", "Accept-Encoding": "identity", **headers}
        content = body if body is None or isinstance(body, bytes) else body()
        try:
            return self._connections.request(method, url, headers, content, run=run)
        except TlsFailure as failure:
            raise _explained(failure, urlsplit(url).netloc) from failure
        finally:
            if content is not None and not isinstance(content, bytes):
                content.close()

    def _find_base(self, host: str, insecure: bool) -> str:
        if self._settings.plain_http:
            return f"http://{host}"
        if not (insecure or is_loopback(host)):
            return f"https://{host}"
        # This machine's own registry has no TLS as a rule, and needs no `ssl` then. No login goes along.
        if is_plain_loopback(host) and self._speaks_plainly(host):
            return f"http://{host}"
        try:
            self._trust_nobody().request("GET", f"https://{host}/v2/", {}).close()
        except TlsFailure as failure:
            return f"{'https' if failure.untrusted else 'http'}://{host}"
        return f"https://{host}"

    def _speaks_plainly(self, host: str) -> bool:
        """Whether a registry answers without TLS. Raises FailedAttempt where there is no server."""
        try:
            response = self.send("GET", f"http://{host}/v2/", {})
            drop(response)
        except FailedAttempt as failure:
            if failure.unconnected:
                raise
            return False
        except UnreachableError:
            return False
        return response.status in _OF_REGISTRIES

    def _trust_nobody(self) -> Connections:
        """The handshake ends at the certificate where there is one, and nothing is sent."""

        def context(netloc: str) -> "ssl.SSLContext":
            import ssl

            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

        return Connections(self._proxies, timeout=self._settings.timeout, kept=0, context=context)

    def _context(self, netloc: str) -> "ssl.SSLContext":
        # With `ssl`, which takes 5 ms, and which a registry without TLS does not need.
        from formation.registry.certificates import tls_context

        return tls_context(netloc, self._settings.environment, self._settings.certificates)


def _explained(failure: TlsFailure, host: str) -> UnreachableError:
    """What to do about a server that nobody trusts, or that has no TLS."""
    hint: str | None = "allow it: --plain-http"
    if failure.untrusted:
        # For a registry there is a place that Docker and Podman look at, too.
        by_host = f"put the certificate of its authority into ~/.config/containers/certs.d/{host}/ca.crt"
        hint = failure.hint if failure.flaw else f"{by_host}, or name it: --ca FILE"
    return UnreachableError(f"{host} {failure.verdict}", hint=hint)
