"""One request to one server, and the answer to it, over connections that are kept."""

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from urllib3 import BaseHTTPResponse, PoolManager
from urllib3.exceptions import HTTPError, SSLError

from formation import __version__
from formation.errors import UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.http import attempt_errors, new_pool, timeout_of, was_cut
from formation.network.proxies import Proxies
from formation.registry.certificates import tls_context
from formation.registry.repository import api_host, is_loopback
from formation.registry.settings import Settings

Body = bytes | Callable[[], BinaryIO]
"""What a request carries: bytes, or what opens them anew for each time that it is sent."""

_BUFFER: Final = 256 * 1024
"""Bytes that are sent at a time. Each must go within the connect timeout: a line of 30 kB/s is fast enough."""
_SHORT: Final = 64 * 1024
"""Bytes of a body that reading costs less than a new connection; a hostile one never ends."""


class Exchange:
    """Sends requests, following no redirect and trying nothing twice. May be used from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxies = Proxies.of(settings.environment)
        self._timeout = timeout_of(settings.timeout)
        self._pools: dict[str, PoolManager] = {}
        self._bases: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

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

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body | None = None) -> BaseHTTPResponse:
        """The answer, its body not yet read. A `body` that is no bytes needs a Content-Length in `headers`.

        Raises FailedAttempt and UnreachableError.
        """
        # `identity`: digests are of the bytes, which no server should compress on the way.
        headers = {"User-Agent": f"formation/{__version__}", "Accept-Encoding": "identity", **headers}
        content = body if body is None or isinstance(body, bytes) else body()
        try:
            with attempt_errors(), _explained(url):
                return self._pool(url).urlopen(
                    method,
                    url,
                    headers=headers,
                    body=content,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=self._timeout,
                )
        finally:
            if content is not None and not isinstance(content, bytes):
                content.close()

    def _find_base(self, host: str, insecure: bool) -> str:
        if self._settings.plain_http:
            return f"http://{host}"
        if not (insecure or is_loopback(host)):
            return f"https://{host}"
        # Trusting nobody: the handshake ends at the certificate where there is one, and nothing is sent.
        strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        url = f"https://{host}/v2/"
        pool = new_pool(self._proxies.for_url(url), 1, ssl_context=strict)
        try:
            with attempt_errors():
                pool.urlopen("GET", url, redirect=False, retries=False, timeout=self._timeout)
        except UnreachableError as error:
            if not isinstance(error.__cause__, SSLError):
                raise
            return f"{'https' if _is_about_trust(error.__cause__) else 'http'}://{host}"
        finally:
            pool.clear()
        return f"https://{host}"

    def _pool(self, url: str) -> PoolManager:
        parts = urlsplit(url)
        proxy = self._proxies.for_url(url)
        key = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            pool = self._pools.get(key)
        if pool is None:
            context = None
            if parts.scheme == "https":
                context = tls_context(parts.netloc, self._settings.environment, self._settings.certificates)
            pool = new_pool(proxy, self._settings.connections, blocksize=_BUFFER, ssl_context=context)
            with self._lock:
                pool = self._pools.setdefault(key, pool)
        return pool


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Says what to do about a certificate that nobody trusts."""
    try:
        yield
    except SSLError as error:
        if was_cut(error):
            raise
        host = urlsplit(url).netloc
        if _is_about_trust(error):
            reason, hint = (
                f"{host} cannot be trusted: {_reason(error)}",
                f"put the certificate of its authority into ~/.config/containers/certs.d/{host}/ca.crt",
            )
        else:
            reason, hint = f"{host} does not speak TLS as it should: {_reason(error)}", "allow it: --plain-http"
        raise UnreachableError(reason, hint=hint) from error


def _is_about_trust(error: SSLError) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)


def _reason(error: SSLError) -> str:
    cause = error.args[0] if error.args else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    return str(getattr(cause, "reason", None) or cause)[:200]


def drop(response: BaseHTTPResponse) -> None:
    """Ends an answer whose body nobody wants. A short one is read, so that its connection is kept.

    Raises FailedAttempt when it was cut.
    """
    try:
        if len(response.read(_SHORT + 1, decode_content=False)) > _SHORT:
            response.close()
    except (HTTPError, OSError) as error:
        raise FailedAttempt("the connection was cut") from error
