"""What a URL names, in the form that a request carries it (RFC 3986)."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

from formation.dataclass import dataclass
from formation.errors import UnreachableError

PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = r"[A-Za-z0-9_~!$&'()*+,;=-]{1,63}"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+")
"""Names as DNS can have them: `ssl` fails in ways of its own for an empty or too long label."""
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_IN_PATH: Final = "/:@!$&'()*+,;=~"
_IN_QUERY: Final = _IN_PATH + "?"


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and something on it."""

    scheme: str
    """`http` or `https`."""
    netloc: str
    """Host and port as they were written, without a login."""
    host: str
    """In ASCII and lower case; an IPv6 address without brackets."""
    port: int
    path: str
    """Path and query, quoted: `/dists/trixie/InRelease`."""

    @property
    def authority(self) -> str:
        """Host, and port where it is not the usual one, for a Host header."""
        return self.full_authority if self.port != PORTS[self.scheme] else _bracketed(self.host)

    @property
    def full_authority(self) -> str:
        """Host and port, for CONNECT."""
        return f"{_bracketed(self.host)}:{self.port}"


def target_of(url: str) -> Target:
    """What the http or https `url` names. A login in it is left out. Raises UnreachableError."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        path = _quoted(_without_dots(parts.path), _IN_PATH) or "/"
        if parts.query:
            path += f"?{_quoted(parts.query, _IN_QUERY)}"
    except ValueError as error:
        raise UnreachableError(f"it is not a URL: {error}") from error
    if scheme not in PORTS or not _HOST.fullmatch(host):
        raise UnreachableError("it is not a URL of http or https with a host")
    return Target(scheme, parts.netloc.rpartition("@")[2], host, PORTS[scheme] if port is None else port, path)


def is_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, is this machine and nothing else."""
    return host.partition(":")[0].endswith(".localhost") or is_plain_loopback(host)


def is_plain_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, is `localhost` or an address of this machine.

    A name below localhost is this machine too, but some resolvers ask the network for it (RFC 6761, 6.3).
    """
    name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    from ipaddress import ip_address  # takes 3 ms

    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _quoted(text: str, safe: str) -> str:
    """`text` with everything escaped that may not stand in a request. What is escaped already stays so."""
    if len(_ESCAPE.findall(text)) == text.count("%"):
        safe += "%"
    return quote(text, safe)


def _without_dots(path: str) -> str:
    """`path` without the steps `.` and `..`, as in `./pool/x.deb` of a flat archive (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            del kept[max(1, len(kept) - 1) :]
        elif part != ".":
            kept.append(part)
    return "/".join(kept) + ("/" if parts[-1] in (".", "..") else "")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
