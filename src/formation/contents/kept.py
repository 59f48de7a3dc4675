"""Which files of a layer have their content kept with its facts: those that say how the system is set up."""

import re
from typing import Final

LARGEST_KEPT: Final = 4 << 20
"""Bytes of one file; that of dpkg's status is a tenth of it in a large image."""
MOST_KEPT: Final = 64 << 20
"""Bytes of all files of one layer."""

_KEPT = re.compile(
    r"usr/lib/os-release"
    r"|usr/share/keyrings/[^/]+"
    r"|var/lib/dpkg/(?:status|status-old|diversions|statoverride|arch)"
    r"|var/lib/dpkg/status\.d/[^/]+"
    r"|var/lib/dpkg/info/[^/]+\.(?:list|md5sums|conffiles)"
    r"|var/lib/dpkg/alternatives/[^/]+"
    r"|(?:root|home/[^/]+)/\.(?:profile|bashrc|netrc|rhosts|npmrc|env)"
)
_LARGEST_OF_ETC = 128 << 10


def is_kept(path: str, size: int) -> bool:
    """Whether the content of the file `path` of `size` bytes is kept, while there is room."""
    if path.startswith("etc/"):
        return size <= _LARGEST_OF_ETC
    return size <= LARGEST_KEPT and _KEPT.fullmatch(path) is not None
