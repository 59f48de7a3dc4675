"""A file to fetch."""

from pathlib import Path
from urllib.parse import unquote

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch, and what proves that it is the right one."""

    urls: tuple[str, ...]
    """http, https or file; tried in order when one is gone or unreachable. At least one."""
    path: Path
    """Where it goes."""
    sha256: str
    """`sha256:…`."""
    size: int
    """In bytes."""

    @property
    def name(self) -> str:
        """The last part of the first URL, for messages."""
        quoted = self.urls[0].rpartition("/")[2]
        name = unquote(quoted)
        return name if name.isprintable() else quoted
