"""What each value of a lock may be. A lock is reviewed by people and merged by tools, so nothing in it is believed."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from formation.lock.tables import Table, Value, WrongLine, seconds

Check = Callable[[Value], Any]
"""Gives the value as the model has it. Raises Wrong."""


class Wrong(ValueError):
    """A value is not what its field holds."""


def matching(pattern: str, what: str) -> Check:
    """Text that `pattern` describes; `what` is how a person would call it."""
    fullmatch = re.compile(pattern, re.ASCII).fullmatch

    def check(value: Value) -> str:
        if not isinstance(value, str) or not fullmatch(value):
            raise Wrong(f"is not {what}")
        return value

    return check


def whole_number(value: Value) -> int:
    """A number; the reader knows none below zero."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong("is not a number")
    return value


def truth(value: Value) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Wrong("is neither true nor false")
    return value


def time(value: Value) -> int:
    """A time, in seconds since 1970."""
    if not isinstance(value, datetime):
        raise Wrong("is not a time such as 2026-11-21T09:15:44Z")
    return seconds(value)


def words(check: Check) -> Check:
    """A list of one or more different words that `check` accepts."""

    def check_all(value: Value) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise Wrong("is not a list of text")
        if len(set(value)) < len(value):
            raise Wrong("has a word twice")
        return tuple(map(check, value))

    return check_all


def path(value: Value) -> str:
    """A path that stays below the archive's root."""
    if not isinstance(value, str) or not value.isprintable() or value.startswith("/") or "\\" in value:
        raise Wrong("is not a path inside the archive")
    parts = value.removeprefix("./").split("/")
    if "" in parts or "." in parts or ".." in parts or ":" in parts[0]:
        raise Wrong("is not a path inside the archive")
    return value


ARCHITECTURE: Final = matching(r"[a-z0-9][a-z0-9-]{0,63}", "an architecture")
DIGEST: Final = matching(r"sha256:[0-9a-f]{64}", "a digest sha256:… of 64 hexadecimal digits")
STEM: Final = matching(r"[a-z0-9][a-z0-9_.-]{0,63}", "a name of a-z, 0-9, _ . and -")
_PACKAGE_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9+._-]{0,254}"
_NAME: Final = matching(_PACKAGE_NAME, "the name of a package")
_VERSION: Final = matching(r"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,999}", "a version")
_SUITE: Final = matching(r"[A-Za-z0-9][A-Za-z0-9.+_~-]*(?:/[A-Za-z0-9][A-Za-z0-9.+_~-]*)*", "a suite or component")

TOP: Final[Mapping[str, Check]] = {
    "format": whole_number,
    "definition": DIGEST,
    "architectures": words(ARCHITECTURE),
    "epoch": time,
    "checksum": DIGEST,
}

BASE: Final[Mapping[str, Check]] = {
    "name": matching(r"[!-~]{1,1000}", "the name of an image"),
    "architecture": ARCHITECTURE,
    "digest": DIGEST,
}

SUITE: Final[Mapping[str, Check]] = {
    "archive": STEM,
    "uri": matching(r"[a-z]+://[^\s\"]+", "a URI"),
    "suite": _SUITE,
    "components": words(_SUITE),
    "sha256": DIGEST,
    "date": time,
    "valid_until": time,
    "signed_by": matching(r"[0-9A-F]{40}|[0-9A-F]{64}", "the fingerprint of a key"),
}

PACKAGE: Final[Mapping[str, Check]] = {
    "name": _NAME,
    "version": _VERSION,
    "architecture": ARCHITECTURE,
    "only_on": words(ARCHITECTURE),
    "source": _NAME,
    "source_version": _VERSION,
    "sha256": DIGEST,
    "size": whole_number,
    "installed_size": whole_number,
    "archive": STEM,
    "suite": _SUITE,
    "path": path,
    "variants": words(STEM),
    "because": matching(
        rf"requested|essential|{_PACKAGE_NAME} (?:Pre-Depends|Depends|Recommends|Suggests)", "a reason to be here"
    ),
    "requested_as": words(_NAME),
    "essential": truth,
}

OPTIONAL: Final = frozenset({"checksum", "valid_until", "only_on", "requested_as", "essential"})
"""Fields that are not written when they would say nothing."""


def checked(table: Table, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The values of `table` as the model has them; None for an optional one that is missing. Raises WrongLine."""
    values = table.values
    result: dict[str, Any] = {}
    found = 0
    for key, check in checks.items():
        if key not in values:
            if key not in OPTIONAL:
                raise WrongLine(table.line, f"{_label(table)} has no {key}")
            result[key] = None
            continue
        found += 1
        try:
            result[key] = check(values[key])
        except Wrong as error:
            raise WrongLine(table.lines[key], f"{key} {error}: {str(values[key])[:100]!r}") from None
    if found < len(values):
        unknown = next(key for key in values if key not in checks)
        raise WrongLine(table.lines[unknown], f"{_label(table)} has an unknown {unknown[:100]!r}")
    return result


def _label(table: Table) -> str:
    """How messages call a table."""
    return f"this {table.name}" if table.name else "the lock"
