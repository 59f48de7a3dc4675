"""Debian version numbers in dpkg's order (deb-version(7), Policy 5.6.12)."""

import re
from functools import lru_cache

from formation.errors import MalformedError

SortKey = tuple[int, tuple["tuple[int, ...] | int", ...], tuple["tuple[int, ...] | int", ...]]
"""Epoch, upstream version and revision; compares as dpkg compares the versions."""

_PART = re.compile(r"([^0-9]*)([0-9]*)")
_LONGEST = 1000
_END = 0


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as `a` is older than, the same as or newer than `b`.

    Any two strings have an order. Raises MalformedError for one of more than 1000 characters.
    """
    if a == b:
        return 0
    key_a, key_b = sort_key(a), sort_key(b)
    return (key_a > key_b) - (key_a < key_b)


def satisfies(version: str, operator: str | None, wanted: str | None) -> bool:
    """Whether `version` is `operator` `wanted`; True without an operator.

    The operators are dpkg's: `<<`, `<=`, `=`, `>=`, `>>`.
    """
    if operator is None or wanted is None:
        return True
    order = compare(version, wanted)
    match operator:
        case ">=":
            return order >= 0
        case "=":
            return order == 0
        case "<<":
            return order < 0
        case "<=":
            return order <= 0
        case ">>":
            return order > 0
    raise MalformedError(f"{operator[:10]!r} is not an operator of a version relation")


def provided_satisfies(version: str | None, operator: str | None, wanted: str | None) -> bool:
    """As `satisfies`, for a name that is provided: without a version (None) it meets no relation that has one."""
    return operator is None or (version is not None and satisfies(version, operator, wanted))


@lru_cache(maxsize=1 << 17)
def sort_key(version: str) -> SortKey:
    """A key whose order is dpkg's order of the versions."""
    if len(version) > _LONGEST:
        raise MalformedError(f"version {version[:40]!r}… is longer than {_LONGEST} characters")
    epoch, colon, rest = version.partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _part_key(upstream), _part_key(revision)


def _part_key(part: str) -> tuple[tuple[int, ...] | int, ...]:
    """The runs of non-digits and of digits in turn, ending in the weight that the end of a string has.

    dpkg takes an absent number for 0 and an absent revision for "0", so "1." equals "1.0".
    """
    key: list[tuple[int, ...] | int] = []
    for text, digits in _PART.findall(part or "0"):
        if text or digits:
            key.append((*map(_weight, text), _END))
            key.append(int(digits or "0"))
    key.append((_END,))
    return tuple(key)


def _weight(character: str) -> int:
    """Tilde before the end of the string, letters after it, everything else after the letters."""
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
