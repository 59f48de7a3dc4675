"""CHANGELOG.md beside a definition: an entry for each release, the newest first."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from formation.errors import FormationError, system_error
from formation.files import rewrite
from formation.oci.regular_file import read_regular
from formation.release.difference import Difference
from formation.release.levels import Level, Reason
from formation.release.packages import PackageChange
from formation.release.versions import Verdict

NAME: Final = "CHANGELOG.md"
_HEADER = "# Changelog\n"
_LARGEST: Final = 8 << 20
_HEADING = re.compile(r"^## \[?v?([0-9][^\]\s]*)", re.MULTILINE)
_ANY_HEADING = re.compile(r"^## ", re.MULTILINE)
_UNRELEASED = re.compile(r"^## \[?unreleased", re.MULTILINE | re.IGNORECASE)


def entry(
    verdict: Verdict, version: str, differences: Sequence[Difference], reasons: Iterable[Reason], now: int
) -> str:
    """The entry for `version`; `now` is in seconds since 1970. The first of `differences` is the runtime variant's."""
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    lines = [f"## {version} - {day}", "", _first_line(verdict)]
    contract = [reason for reason in reasons if not reason.rule.startswith("package-") or reason.level > Level.PATCH]
    for title, level in (("Breaking", Level.MAJOR), ("Added", Level.MINOR), ("Also", Level.PATCH)):
        chosen = [reason for reason in contract if reason.level is level]
        if chosen:
            lines += ["", f"### {title}", *(f"- {_plain(_said(reason))}" for reason in chosen)]
    if fixed := _fixed(differences):
        lines += ["", "### CVEs that the updates name", *fixed]
    if packages := _packages(differences):
        lines += ["", "### Packages", *packages]
    return "\n".join(lines) + "\n"


def _first_line(verdict: Verdict) -> str:
    match verdict.level:
        case Level.MAJOR:
            return f"Breaks the contract of {verdict.previous}: look at each item before a service moves."
        case Level.MINOR:
            return f"Has all that {verdict.previous} has, and more."
        case _:
            return f"Keeps the contract of {verdict.previous}."


def with_entry(text: str, version: str, new: str) -> str:
    """The changelog `text` with the entry `new` for `version`: in the place of the one that it has, or as the newest.

    What is not released yet stays above.
    """
    if not text.strip():
        return f"{_HEADER}\n{new}"
    for heading in _HEADING.finditer(text):
        if heading[1] == version:
            following = _ANY_HEADING.search(text, heading.end())
            rest = text[following.start() :] if following else ""
            return text[: heading.start()] + new + ("\n" + rest if rest else "")
    unreleased = _UNRELEASED.search(text)
    first = _ANY_HEADING.search(text, unreleased.end() if unreleased else 0)
    if first is None:
        return text.rstrip("\n") + "\n\n" + new
    return text[: first.start()] + new + "\n" + text[first.start() :]


def read_notes(path: Path) -> str:
    """The changelog at `path`; empty when there is none. Raises FormationError when it cannot be read."""
    if not path.exists():
        return ""
    data = read_regular(path, "the changelog", _LARGEST)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormationError(f"{path} is not UTF-8 text") from None


def write_notes(path: Path, text: str) -> None:
    """Replaces the changelog in one step. Raises FormationError when it cannot be written."""
    try:
        rewrite(path, text.encode())
    except OSError as error:
        raise system_error(f"cannot write {path}", error) from error


def _fixed(differences: Sequence[Difference]) -> list[str]:
    by_cve: dict[str, list[str]] = {}
    for difference in differences:
        for source, news in difference.news.items():
            for cve in () if news.backwards else news.cves:
                if source not in by_cve.setdefault(cve, []):
                    by_cve[cve].append(source)
    return [f"- {cve} ({', '.join(sources)})" for cve, sources in sorted(by_cve.items())]


def _packages(differences: Sequence[Difference]) -> list[str]:
    """A line for each way that binary packages went, those of all variants together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for difference in differences:
        for change in difference.packages:
            names = groups.setdefault(_key(change), [])
            if change.name not in names:
                names.append(change.name)
    lines = []
    for (_, old, new), names in sorted(groups.items()):
        way = f"{old} → {new}" if old and new else f"{new}, new" if new else f"{old}, removed"
        lines.append(f"- {_plain(', '.join(names))} {_plain(way)}")
    return lines


def _key(change: PackageChange) -> tuple[str, str, str]:
    return change.either.source, change.old.version if change.old else "", change.new.version if change.new else ""


def _said(reason: Reason) -> str:
    return f"{reason.variant}: {reason.text}" if reason.variant else reason.text


def _plain(text: str) -> str:
    """`text` on one line, as Markdown that means nothing but itself."""
    shown = "".join(character if character.isprintable() else "�" for character in text)
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", shown)
