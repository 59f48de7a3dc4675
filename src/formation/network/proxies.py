"""Which proxy a request goes through, as the usual environment variables say.

Source: curl's manual, "Environment"; Go's golang.org/x/net/http/httpproxy, for what `no_proxy` may hold.
"""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from formation.dataclass import dataclass
from formation.network.url import PORTS, is_loopback

_VARIABLES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
"""Those that count for a scheme; the first that is set does.

As in curl, HTTP_PROXY in upper case does not count: a CGI server sets it from a request header (CVE-2016-5385).
"""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of this machine. The default has none."""

    http: str | None = None
    """URL of the proxy for http:// requests."""
    https: str | None = None
    """URL of the proxy for https:// requests."""
    direct: tuple[str, ...] = ()
    """What is reached without a proxy, in lower case: `*`, or a host, address or network in CIDR, with a port or not.

    `example.com` stands for its subdomains too.
    """
    http_variable: str = "http_proxy"
    """What names the proxy for http://, for messages."""
    https_variable: str = "https_proxy"
    """What names the proxy for https://, for messages."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Proxies":
        """What http_proxy, https_proxy, all_proxy and no_proxy say, in lower or upper case; lower case wins."""
        http, https = _set(environment, "http"), _set(environment, "https")
        direct = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        return cls(
            http=_proxy(environment.get(http)),
            https=_proxy(environment.get(https)),
            direct=tuple(word.lower() for word in direct.replace(",", " ").split()),
            http_variable=http,
            https_variable=https,
        )

    def for_url(self, url: str) -> str | None:
        """URL of the proxy that serves `url`; None: it is reached directly, as this machine always is.

        This machine of the proxy is another one; and what goes to loopback without TLS must not leave this machine.
        """
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        if proxy is None or is_loopback(parts.netloc.rpartition("@")[2].lower()) or self._is_direct(parts):
            return None
        return proxy

    def variable(self, url: str) -> str:
        """The environment variable that names the proxy for `url`."""
        return self.https_variable if urlsplit(url).scheme == "https" else self.http_variable

    def _is_direct(self, parts: SplitResult) -> bool:
        host, port = (parts.hostname or "").rstrip("."), str(parts.port or PORTS.get(parts.scheme))
        return any(
            wanted in ("", port) and (name == "*" or _names(name, host)) for name, wanted in _hosts_of(self.direct)
        )


def _hosts_of(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each word of no_proxy as host and port; the port is empty where there is none."""
    for word in words:
        host, colon, port = word.rpartition(":")
        # An IPv6 address has colons of its own, and a port only behind brackets.
        if not colon or (":" in host and not host.endswith("]")) or not port.isdigit():
            host, port = word, ""
        yield host.removeprefix("[").removesuffix("]"), port


def _names(name: str, host: str) -> bool:
    """Whether `name`, a word of no_proxy without its port, stands for `host`."""
    from ipaddress import ip_address, ip_network  # few have a proxy, and fewer exceptions

    domain = name.removeprefix("*").strip(".")
    if domain and (host == domain or host.endswith(f".{domain}")):
        return True
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return False


def _set(environment: Mapping[str, str], scheme: str) -> str:
    """The variable that names the proxy of `scheme`; the usual one where none does."""
    names = _VARIABLES[scheme]
    return next((name for name in names if environment.get(name)), names[0])


def _proxy(text: str | None) -> str | None:
    """A proxy as a URL: `proxy:3128` without a scheme is common, and means http."""
    if not text:
        return None
    return text if "://" in text else f"http://{text}"
