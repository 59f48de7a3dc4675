"""What decides how registries are spoken to, read once at the edge of the program."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from formation.dataclass import dataclass, field
from formation.network.transfer import Patience


def user_configuration(environment: Mapping[str, str]) -> Path | None:
    """Where the person keeps configuration, ~/.config as a rule; None: nothing says who it is.

    Source: XDG Base Directory Specification.
    """
    chosen, home = environment.get("XDG_CONFIG_HOME"), environment.get("HOME")
    if not chosen and not home:
        return None
    return Path(chosen or f"{home}/.config")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a `Registry` behaves."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Where proxies, logins, certificates and registries.conf are looked for."""
    plain_http: bool = False
    """Speak HTTP without TLS to every registry; loopback may always be spoken to so."""
    certificates: tuple[Path, ...] = ()
    """Files of certificate authorities to trust besides those of the machine."""
    connections: int = 6
    """How many blobs are on their way at once."""
    timeout: float = 30.0
    """Seconds that a server may send nothing."""
    tries: int = 5
    """Attempts without progress before a registry counts as unreachable."""
    chunk: int = 64 << 20
    """Bytes of an upload that one request carries: what a cut connection may cost."""
    pause: Callable[[float], object] | None = None
    """Waits so many seconds; None really waits."""
    clock: Callable[[], float] = time.monotonic

    @property
    def patience(self) -> Patience:
        """The same for transfers."""
        return Patience(self.tries, self.timeout, self.clock)
