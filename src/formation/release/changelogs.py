"""What the changelogs say of the way from one version to another, source package by source package."""

import re
from collections.abc import Iterable, Iterator, Mapping

from formation.dataclass import dataclass
from formation.debian.version import compare, sort_key
from formation.release.changelog import ChangelogEntry, parse_changelog
from formation.release.packages import PackageChange, PackageState

_REBUILD = re.compile(r"\+b[0-9]+")
_MOST_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class Way:
    """A source package of which binary packages changed."""

    source: str
    older: str
    """Version, as its changelog counts."""
    newer: str
    backwards: bool
    """Whether the packages went from the newer to the older."""

    @property
    def side(self) -> str:
        """The side whose changelog has the entries: `old` or `new`."""
        return "old" if self.backwards else "new"


@dataclass(frozen=True, slots=True)
class PackageNews:
    """What a changelog says of one way."""

    way: Way
    entries: tuple[ChangelogEntry, ...]
    """Later than the older version and up to the newer one, the newest first."""
    complete: bool
    """Whether the changelog reaches back to the older version: debhelper leaves out what is years old."""

    @property
    def backwards(self) -> bool:
        return self.way.backwards

    @property
    def cves(self) -> tuple[str, ...]:
        """Those that the entries name, each once."""
        return tuple(dict.fromkeys(cve for entry in self.entries for cve in entry.cves))


def ways(changes: Iterable[PackageChange]) -> tuple[Way, ...]:
    """The source packages of `changes` that have another version, sorted; the widest way of each."""
    found: dict[str, tuple[str, str, bool]] = {}
    for change in changes:
        if change.old is None or change.new is None or change.old.source != change.new.source:
            continue
        before, after = changelog_version(change.old), changelog_version(change.new)
        order = compare(before, after)
        if not order:
            continue
        older, newer = (before, after) if order < 0 else (after, before)
        known = found.get(change.new.source)
        if known is not None:
            older, newer = min(older, known[0], key=sort_key), max(newer, known[1], key=sort_key)
        found[change.new.source] = older, newer, order > 0
    return tuple(Way(source, *found[source]) for source in sorted(found))


def changelog_version(package: PackageState) -> str:
    """The version under which the source's changelog has the package: a rebuild adds `+bN` to it."""
    rebuild = _REBUILD.search(package.version)
    ending = rebuild[0] if rebuild is not None and package.version.endswith(rebuild[0]) else ""
    return package.source_version if package.source_version.endswith(ending) else package.source_version + ending


def news(way: Way, texts: Mapping[str, str]) -> PackageNews | None:
    """What `texts`, documents by file name, say of `way`; None when no changelog is among them.

    What a rebuild adds has a file of its own; NEWS counts only where there is nothing else.
    """
    names = sorted(texts, key=lambda name: (name.startswith("NEWS"), -len(name)))
    found: dict[str, ChangelogEntry] = {}
    reaches = False
    for name in names:
        if name.startswith("NEWS") and found:
            break
        entries = list(parse_changelog(texts[name]))
        # A file that knows nothing of the package's versions is an upstream changelog that looks alike.
        for entry in entries:
            if len(entry.version) < 200:
                found.setdefault(entry.version, entry)
                reaches = reaches or compare(entry.version, way.older) <= 0
    if not found:
        return None
    chosen = list(_between(found.values(), way))
    chosen.sort(key=lambda entry: sort_key(entry.version), reverse=True)
    return PackageNews(way, tuple(chosen[:_MOST_ENTRIES]), reaches and len(chosen) <= _MOST_ENTRIES)


def _between(entries: Iterable[ChangelogEntry], way: Way) -> Iterator[ChangelogEntry]:
    for entry in entries:
        if compare(entry.version, way.older) > 0 and compare(entry.version, way.newer) <= 0:
            yield entry
