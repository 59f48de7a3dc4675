"""dpkg's overrides of owners and modes: what a path has, whatever its package says, after an upgrade too.

Source: dpkg-statoverride(1), and dpkg's lib/dpkg/db-fsys-override.c: `USER GROUP MODE PATH` in each line.
"""

import re
from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.debian.administration import ADMINISTRATION
from formation.entry import decode_lines, encode_path

FILE = f"{ADMINISTRATION}/statoverride"

_LINE = re.compile(r"([^ ]+) ([^ ]+) 0*([0-7]{1,4}) /*(.+)")
_ID = re.compile(r"#0*([0-9]{1,10})")
_LARGEST_ID = 2**32 - 2
"""The next one stands for nobody: chown(2) then changes nothing."""


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
    match = _ID.fullmatch(name)
    return int(match[1]) if match else None


def parse_statoverride(line: str) -> StatOverride | None:
    """One line of dpkg's file; None for one at which dpkg ends, since it is malformed or has an impossible number."""
    match = _LINE.fullmatch(line)
    if match is None or not (_is_owner(match[1]) and _is_owner(match[2])):
        return None
    return StatOverride(f"/{match[4]}", match[1], match[2], int(match[3], 8))


def parse_statoverrides(data: bytes) -> tuple[StatOverride, ...]:
    """The content of dpkg's file, in its order; lines that dpkg does not take are passed over."""
    return tuple(found for line in decode_lines(data) if (found := parse_statoverride(line)) is not None)


def _is_owner(name: str) -> bool:
    number = id_of(name)
    return not name.startswith("#") if number is None else number <= _LARGEST_ID


def statoverrides_text(overrides: Iterable[StatOverride]) -> bytes:
    """dpkg's file, sorted by path."""
    ordered = sorted(overrides, key=lambda override: encode_path(override.path))
    return b"".join(
        f"{each.owner} {each.group} {each.mode:o} ".encode() + encode_path(each.path) + b"\n" for each in ordered
    )
