"""Which proxy a request goes through, as the usual environment variables say."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of this machine. The default has none."""

    http: str | None = None
    """URL of the proxy for http:// requests."""
    https: str | None = None
    """URL of the proxy for https:// requests."""
    direct: tuple[str, ...] = ()
    """Hosts that are reached without a proxy; `example.com` stands for its subdomains too, `*` for all."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Proxies":
        """What http_proxy, https_proxy, all_proxy and no_proxy say, in lower or upper case; lower case wins.

        As in curl, HTTP_PROXY in upper case does not count: a CGI server sets it from a request header (CVE-2016-5385).
        """
        every = environment.get("all_proxy") or environment.get("ALL_PROXY")
        direct = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        return cls(
            http=_proxy(environment.get("http_proxy") or every),
            https=_proxy(environment.get("https_proxy") or environment.get("HTTPS_PROXY") or every),
            direct=tuple(host.strip().lstrip(".").lower() for host in direct.split(",") if host.strip()),
        )

    def for_url(self, url: str) -> str | None:
        """URL of the proxy that serves `url`; None: it is reached directly."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        for direct in self.direct:
            if direct == "*" or host == direct or host.endswith("." + direct):
                return None
        return self.https if parts.scheme == "https" else self.http


def _proxy(text: str | None) -> str | None:
    """A proxy as a URL: `proxy:3128` without a scheme is common, and means http."""
    if not text:
        return None
    return text if "://" in text else f"http://{text}"
