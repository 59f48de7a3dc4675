"""dpkg's overrides of owners and modes: what a path has, whatever its package says, after an upgrade too.

Source: dpkg-statoverride(1), and dpkg's lib/dpkg/db-fsys-override.c: `USER GROUP MODE PATH` in each line.
"""

import re
from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.debian.administration import ADMINISTRATION
from formation.entry import decode_lines, encode_path

FILE = f"{ADMINISTRATION}/statoverride"

_LINE = re.compile(r"(\S+) (\S+) ([0-7]{1,5}) (/.*)")
_ID = re.compile(r"#[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class StatOverride:
    """One override."""

    path: str
    """Absolute, as the package ships it: dpkg follows no symlink such as /bin here."""
    owner: str
    """User name, or `#` and a uid."""
    group: str
    mode: int


def id_of(name: str) -> int | None:
    """The id that an owner or group is written as; None for a name."""
    return int(name[1:]) if _ID.fullmatch(name) else None


def parse_statoverrides(data: bytes) -> tuple[StatOverride, ...]:
    """The content of dpkg's file, in its order; lines that are not well formed are passed over."""
    matches = map(_LINE.fullmatch, decode_lines(data))
    return tuple(StatOverride(m[4], m[1], m[2], int(m[3], 8)) for m in matches if m)


def statoverrides_text(overrides: Iterable[StatOverride]) -> bytes:
    """dpkg's file, sorted by path."""
    ordered = sorted(overrides, key=lambda override: encode_path(override.path))
    return b"".join(
        f"{each.owner} {each.group} {each.mode:o} ".encode() + encode_path(each.path) + b"\n" for each in ordered
    )
