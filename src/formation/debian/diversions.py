"""dpkg's diversions: paths whose file goes elsewhere, unless it is of the package that asked for it.

Source: dpkg-divert(1), and dpkg's lib/dpkg/db-fsys-divert.c: three lines for each, and a colon for "local".
"""

from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.debian.administration import ADMINISTRATION
from formation.entry import decode_lines

FILE = f"{ADMINISTRATION}/diversions"


@dataclass(frozen=True, slots=True)
class Diversion:
    """One diversion; paths have no leading slash."""

    path: str
    target: str
    package: str
    """Whose own file stays at `path`; `:` when everybody's goes away."""


def parse_diversions(data: bytes) -> tuple[Diversion, ...]:
    """The content of dpkg's file, in its order; what is cut off at its end is left out."""
    lines = iter(decode_lines(data))
    return tuple(
        Diversion(path.lstrip("/"), target.lstrip("/"), package)
        for path, target, package in zip(lines, lines, lines, strict=False)
    )


def diverted(package: str, listed: Iterable[str], diversions: Iterable[Diversion]) -> tuple[tuple[str, str], ...]:
    """(path, target) of each diversion that moves a file of `package`; `listed` are its paths, with a slash before.

    Paths are compared as they are written, before any symlink such as /bin is followed: so does dpkg.
    """
    moves = {f"/{d.path}": d for d in diversions if d.package != package}
    if not moves:
        return ()
    found = (moves[path] for path in listed if path in moves)
    return tuple(sorted({(diversion.path, diversion.target) for diversion in found}))
