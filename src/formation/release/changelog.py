"""Debian changelogs, read without trusting them. Source: deb-changelog(5).

A changelog has grown for decades, and many hands wrote it: what does not follow the format is passed over.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from formation.dataclass import dataclass

MOST_ENTRIES: Final = 5000
MOST_LINES: Final = 2000
"""Of one entry; the longest that Debian has, of a kernel, has some 1,500."""
LONGEST_LINE: Final = 1000

_HEADING = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9.+-]{0,200}) \(([^() \t]{1,200})\)((?: +[A-Za-z0-9.+-]{1,100}){1,20}) *;(.*)"
)
_TRAILER = re.compile(r" ?-- ?(.{0,300}?)(?:  ?([A-Z][a-z]{2}, .{0,100}))?")
_URGENCY = re.compile(r"\burgency=([A-Za-z]{1,20})", re.IGNORECASE)
_CVE = re.compile(r"(?<![A-Za-z0-9])CVE-([0-9]{4})-([0-9]{4,10})(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChangelogEntry:
    """What one version of a source package changed."""

    source: str
    version: str
    distributions: tuple[str, ...]
    """`trixie-security`."""
    urgency: str
    """Lower case; empty when the heading does not say."""
    lines: tuple[str, ...]
    """The text, without the indentation that all entries have; empty lines only inside."""
    author: str
    """`NAME <ADDRESS>`; empty when the entry is not signed off."""
    date: str
    """As written; empty when the entry is not signed off."""

    @property
    def cves(self) -> tuple[str, ...]:
        """The CVEs that it names, in its order, each once."""
        return tuple(dict.fromkeys(cve for line in self.lines for cve in cves_in(line)))


def cves_in(text: str) -> Iterator[str]:
    """Each CVE that `text` names, `CVE-2025-9230`, as often as it does."""
    return (f"CVE-{match[1]}-{match[2]}" for match in _CVE.finditer(text))


def in_order(cves: Iterable[str]) -> list[str]:
    """The CVEs by year and number, each once: CVE-2025-9999 before CVE-2025-10000."""
    return sorted(set(cves), key=lambda cve: [int(part) for part in cve.split("-")[1:]])


def parse_changelog(text: str) -> Iterator[ChangelogEntry]:
    """The entries of `text` in its order, the newest first as a rule; at most MOST_ENTRIES, each cut at its bounds."""
    heading: re.Match[str] | None = None
    lines: list[str] = []
    count = 0
    for line in text.split("\n"):
        line = line[:LONGEST_LINE].rstrip()
        begins = None if line[:1] in ("", " ", "\t", "#") else _HEADING.fullmatch(line)
        signed = _TRAILER.fullmatch(line) if heading is not None and line.startswith((" --", "--")) else None
        if begins is None and signed is None:
            if heading is not None and len(lines) < MOST_LINES and not line.startswith("#"):
                lines.append(line)
            continue
        if heading is not None:
            yield _entry(heading, lines, signed)
            count += 1
            if count >= MOST_ENTRIES:
                return
        heading, lines = begins, []
    if heading is not None:
        yield _entry(heading, lines, None)


def _entry(heading: re.Match[str], lines: list[str], signed: re.Match[str] | None) -> ChangelogEntry:
    urgency = _URGENCY.search(heading[4])
    return ChangelogEntry(
        source=heading[1],
        version=heading[2],
        distributions=tuple(heading[3].split()),
        urgency=urgency[1].lower() if urgency else "",
        lines=_text(lines),
        author=signed[1].strip() if signed else "",
        date=(signed[2] or "").strip() if signed else "",
    )


def _text(lines: list[str]) -> tuple[str, ...]:
    """`lines` without the two spaces that begin each, and without empty lines around them."""
    shown = [line.removeprefix("  ").expandtabs(8) for line in lines]
    while shown and not shown[0]:
        del shown[0]
    while shown and not shown[-1]:
        del shown[-1]
    return tuple(shown)
