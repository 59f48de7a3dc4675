"""Release files: what an archive says about one of its suites. The text is verified before it comes here, and still
hostile: a key can be stolen, and a mirror can hold back what is new.

Format: https://wiki.debian.org/DebianRepository/Format, "Release" files.
"""

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

from formation.dataclass import dataclass
from formation.debian.deb822 import Stanza, parse_stanza
from formation.errors import IntegrityError, MalformedError

USUAL_PRIORITY: Final = 500
_DAY: Final = 86_400
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE: Final = re.compile(
    r"(?:[A-Z][a-z]{2}, +)?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{1,2}):(\d\d):(\d\d) +(?:UTC|GMT|Z|[+-]0000)", re.ASCII
)
_ENTRY: Final = re.compile(r"([0-9a-f]{64})[ \t]+([0-9]{1,15})[ \t]+(\S+)")
_PATH: Final = re.compile(r"[A-Za-z0-9._+~:@%=,-]+(?:/[A-Za-z0-9._+~:@%=,-]+)*")
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~:/-]*")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One line of a Release file's SHA256 section."""

    path: str
    """Relative to the suite's directory: main/binary-amd64/Packages.xz"""
    sha256: str
    """`sha256:…`."""
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class Release:
    """A Release file."""

    suite: str | None
    codename: str | None
    date: int
    """When the archive made it, in seconds since 1970."""
    valid_until: int | None
    """In seconds since 1970; None: it stays valid."""
    components: tuple[str, ...]
    """As written; in Debian's security archive with `updates/` before each, which its paths do not have."""
    architectures: tuple[str, ...]
    acquire_by_hash: bool
    all_in_each_architecture: bool
    """The Packages index of each architecture holds the packages for `all` as well: binary-all is not needed."""
    priority: int
    """apt's, of what the suite has: 500, or less where nothing is to be taken from it unasked (apt_preferences(5))."""
    files: dict[str, IndexFile]
    """By path. It lists files that the archive does not hold too, such as the uncompressed indexes."""


def parse_release(text: bytes, source: str) -> Release:
    """The content of a verified Release file. Raises MalformedError, which starts with `source`."""
    fields = _stanza(text, source)
    for name in ("SHA256", "Date"):
        if name not in fields:
            raise MalformedError(f"{source} has no {name} field")
    architectures = _words(fields, "Architectures", source)
    return Release(
        suite=_word(fields, "Suite", source),
        codename=_word(fields, "Codename", source),
        date=_seconds(fields["Date"], "Date", source),
        valid_until=_seconds(fields["Valid-Until"], "Valid-Until", source) if "Valid-Until" in fields else None,
        components=_words(fields, "Components", source),
        architectures=architectures,
        acquire_by_hash=_says(fields, "Acquire-By-Hash"),
        all_in_each_architecture=(
            "all" not in architectures or "Packages" in fields.get("No-Support-for-Architecture-All", "").split()
        ),
        priority=_priority(fields),
        files=_files(fields["SHA256"], source),
    )


def _priority(fields: Stanza) -> int:
    """Source: apt's apt-pkg/policy.cc, pkgPolicy::pkgPolicy, which asks for ButAutomaticUpgrades first."""
    if _says(fields, "ButAutomaticUpgrades"):
        return 100
    return 1 if _says(fields, "NotAutomatic") else USUAL_PRIORITY


def _says(fields: Stanza, name: str) -> bool:
    """Whether a field says yes, in any word that apt takes for it (apt-pkg/contrib/strutl.cc, StringToBool)."""
    return fields.get(name, "").strip().lower() in ("yes", "true", "with", "on", "enable", "1")


def check_release(
    release: Release, suite: str, source: str, *, now: int, not_before: int | None, check_valid_until: bool = True
) -> None:
    """Nothing, when `release` is of `suite` and of the right time; all times are in seconds since 1970.

    `not_before` is the date of the release that an older lock holds: less than that is a replay. Raises IntegrityError,
    which starts with `source`.
    """
    _check_suite(release, suite, source)
    if release.date > now + _DAY:
        raise IntegrityError(
            f"{source} is dated {_shown(release.date)}, in the future", hint="check the clock of this machine"
        )
    if check_valid_until and release.valid_until is not None and release.valid_until < now:
        raise IntegrityError(
            f"{source} expired on {_shown(release.valid_until)}",
            hint="use a mirror that is up to date, or accept an old archive with `check_valid_until: false`; or set "
            "the clock of this machine",
        )
    if not_before is not None and release.date < not_before:
        raise IntegrityError(
            f"{source} is of {_shown(release.date)}, older than the one of {_shown(not_before)} in the lock: "
            "a mirror that is behind, or a replay",
            hint="try again later or with another mirror",
        )


def _check_suite(release: Release, suite: str, source: str) -> None:
    """Raises IntegrityError for the Release file of another suite, which a mirror could serve to hold patches back."""
    named = " and ".join(
        f"{kind} {name}" for kind, name in (("Suite", release.suite), ("Codename", release.codename)) if name
    )
    # All pockets of an Ubuntu release carry its codename: noble-updates says Suite: noble-updates, Codename: noble.
    pocket = release.suite is not None and release.suite.startswith(f"{release.codename}-")
    if suite == release.suite or (suite == release.codename and not pocket):
        return
    name = release.suite or release.codename
    raise IntegrityError(
        f"{source} is not of the suite {suite}: it says {named or 'neither Suite nor Codename'}",
        hint=f"write {name} under `suites:`, if the archive has it there too"
        if name
        else f"whoever runs the archive has to write `Suite: {suite}` into its Release file",
    )


def _stanza(text: bytes, source: str) -> Stanza:
    """The one stanza of the file. Raises MalformedError, which starts with `source`."""
    try:
        return parse_stanza(text)
    except MalformedError as error:
        raise MalformedError(f"{source}: {error.message}") from error


def _files(section: str, source: str) -> dict[str, IndexFile]:
    """The SHA256 section. Raises MalformedError for a path that leaves the suite, and for two lines that differ."""
    files: dict[str, IndexFile] = {}
    for line in section.split("\n"):
        if not line:
            continue
        entry = _ENTRY.fullmatch(line.strip(" \t"))
        if entry is None or not _PATH.fullmatch(entry[3]) or {".", ".."} & set(entry[3].split("/")):
            raise MalformedError(f"{source} has a wrong line in its SHA256 section: {line[:120]!r}")
        file = IndexFile(entry[3], f"sha256:{entry[1]}", int(entry[2]))
        if files.setdefault(file.path, file) != file:
            raise MalformedError(f"{source} lists {file.path} twice, with different content")
    return files


def _word(fields: Stanza, name: str, source: str) -> str | None:
    """A field of one word; None when it is missing."""
    value = fields.get(name)
    if value is not None and not _WORD.fullmatch(value):
        raise MalformedError(f"{source} has a wrong {name}: {value[:80]!r}")
    return value


def _words(fields: Stanza, name: str, source: str) -> tuple[str, ...]:
    """A field of several words; empty when it is missing."""
    words = tuple(fields.get(name, "").split())
    for word in words:
        if not _WORD.fullmatch(word):
            raise MalformedError(f"{source} has a wrong name in {name}: {word[:80]!r}")
    return words


def _seconds(value: str, name: str, source: str) -> int:
    """A date such as `Sat, 21 Nov 2026 09:15:44 UTC`, in seconds since 1970. It does not depend on the locale."""
    date = _DATE.fullmatch(value)
    if date is None or date[2] not in _MONTHS:
        raise MalformedError(f"{source} has a wrong {name}: {value[:80]!r}")
    day, year, hour, minute, second = (int(date[group]) for group in (1, 3, 4, 5, 6))
    if not (1 <= day <= 31 and year >= 1970 and hour <= 23 and minute <= 59 and second <= 60):
        raise MalformedError(f"{source} has a wrong {name}: {value[:80]!r}")
    return timegm((year, _MONTHS.index(date[2]) + 1, day, hour, minute, second, 0, 0, 0))


def _shown(seconds: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
