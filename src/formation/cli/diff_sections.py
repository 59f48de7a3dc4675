"""A difference as sections of marked lines: what the text on a terminal and the Markdown have in common."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from formation.cli.text import size_text
from formation.dataclass import dataclass
from formation.release.changelogs import PackageNews
from formation.release.changes import Change, FileChange, Topic
from formation.release.difference import Difference
from formation.release.file_levels import capabilities_text
from formation.release.packages import PackageChange

Mark = Literal["+", "-", "~", " "]
"""What came, went, changed, and what is only told."""

_MARKS: dict[str, Mark] = {
    "added": "+",
    "removed": "-",
    "changed": "~",
    "upgraded": "~",
    "downgraded": "-",
    "rebuilt": "~",
    "moved": "~",
    "kept": " ",
}
_TOPICS: tuple[tuple[str, frozenset[Topic]], ...] = (
    ("platform, suites and base", frozenset({"platform", "suite", "archive", "base"})),
    ("users and groups", frozenset({"user", "group"})),
    ("directories", frozenset({"directory"})),
    ("files of the definition", frozenset({"file"})),
    ("environment and configuration", frozenset({"environment", "volume", "port", "label", "configuration"})),
    ("commands", frozenset({"command"})),
    ("shared libraries", frozenset({"library", "symbol version"})),
    ("content that nothing else tells", frozenset({"content"})),
)
_FILES: Final = 20
"""Paths of a kind that are shown unless everything is asked for."""
_RIGHTS: Final = frozenset({"mode", "owner", "group", "attributes"})
"""What upgrades of a package seldom change of a file."""
_LINES: Final = 16
"""Lines of one package's changelog, likewise."""
_SIZES: Final = 10
_VALUE: Final = 200
_ROW: Final = 5


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is told."""

    mark: Mark
    text: str
    details: tuple[str, ...] = ()
    """Lines below it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Things of one kind."""

    title: str
    items: tuple[Item, ...]


def sections(difference: Difference, *, full: bool) -> tuple[Section, ...]:
    """Those that have something to tell. `full`: whole changelogs, every file and every size."""
    found = [
        Section(packages_title(difference), tuple(package_items(difference, full=full))),
        Section("CVEs that the changelogs name", tuple(_rows(difference.cves))),
    ]
    for title, topics in _TOPICS:
        changes = [change for change in difference.changes if change.topic in topics]
        found.append(Section(title, tuple(map(_change, changes))))
    found.append(Section(_files_title(difference.files), tuple(_files(difference.files, full=full))))
    found.append(Section("size by package", tuple(_sizes(difference.packages, full=full))))
    found.append(Section("layers", tuple(_layers(difference))))
    return tuple(section for section in found if section.items)


def packages_title(difference: Difference) -> str:
    """`packages: 2 added, 5 upgraded`."""
    counts: dict[str, int] = {}
    for change in difference.packages:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    return "packages: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def package_items(difference: Difference, *, full: bool, changelogs: bool = True) -> Iterator[Item]:
    """The packages that came and went, then the others by source, each with its CVEs and its changelog."""
    for change in difference.packages:
        if change.old is None or change.new is None:
            yield Item(_MARKS[change.kind], f"{change.name} {change.either.version}{_where(change)}")
    groups: dict[tuple[str, str, str, str], list[PackageChange]] = {}
    for change in difference.packages:
        if change.old is not None and change.new is not None:
            key = (change.new.source, change.kind, change.old.version, change.new.version)
            groups.setdefault(key, []).append(change)
    told: set[str] = set()
    for (source, kind, old, new), changes in groups.items():
        names = ", ".join(dict.fromkeys(change.name for change in changes))
        text = f"{names} {old} → {new}" if old != new else f"{names} {new}, {kind}{_moved(changes[0])}"
        text += f" ({kind})" if kind == "downgraded" else ""
        news = difference.news.get(source) if source not in told else None
        told.add(source)
        cves = f"  {' '.join(news.cves)}" if news is not None and news.cves else ""
        details = tuple(_entries(news, full=full)) if news is not None and changelogs else ()
        yield Item(_MARKS[kind], text + _where(changes[0]) + cves, details)


def _rows(words: Sequence[str]) -> Iterator[Item]:
    return (Item(" ", "  ".join(words[start : start + _ROW])) for start in range(0, len(words), _ROW))


def _where(change: PackageChange) -> str:
    """The variants that a lock has it in, when it says so."""
    variants = [variant for variant in change.either.variants if variant != "runtime"]
    return f" [{', '.join(variants)}]" if variants else ""


def _moved(change: PackageChange) -> str:
    old, new = change.old, change.new
    if old is None or new is None or old.variants == new.variants:
        return f" from {old.suite} to {new.suite}" if old and new and old.suite != new.suite else ""
    return f" from {', '.join(old.variants)} to {', '.join(new.variants)}"


def _entries(news: PackageNews, *, full: bool) -> Iterator[str]:
    lines = []
    if news.backwards:
        lines.append("taken back:")
    for entry in news.entries:
        lines.append(f"{entry.source} ({entry.version}) {' '.join(entry.distributions)}")
        lines += [f"  {line}" for line in entry.lines]
    if not news.complete:
        lines.append("(the changelog does not reach back to the older version)")
    yield from lines if full or len(lines) <= _LINES else lines[: _LINES - 1]
    if not full and len(lines) > _LINES:
        yield f"… {len(lines) - _LINES + 1} more lines"


def _change(change: Change) -> Item:
    shown = change.name
    if change.topic not in ("command", "library", "directory", "file", "content"):
        shown = f"{change.topic} {change.name}"
    values = f"{_short(change.old)} → {_short(change.new)}" if change.old and change.new else change.old or change.new
    if change.attribute:
        shown += f": {change.attribute} {_short(change.old) or 'none'} → {_short(change.new) or 'none'}"
    elif values:
        shown += f": {_short(values)}"
    return Item(_MARKS[change.kind], shown)


def _short(value: str) -> str:
    return value if len(value) <= _VALUE else f"{value[:_VALUE]}…"


def _files_title(files: Sequence[FileChange]) -> str:
    counts = {kind: sum(file.kind == kind for file in files) for kind in ("added", "removed", "changed")}
    return "files: " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _files(files: Sequence[FileChange], *, full: bool) -> Iterator[Item]:
    """All of them, or those of no package and those with other rights, and a count for each package."""
    if full:
        yield from map(_file, files)
        return
    loose = [file for file in files if not file.package]
    rights = [file for file in files if file.package and not _RIGHTS.isdisjoint(file.what)]
    for found, which in ((loose, "that no package has"), (rights, "with other rights")):
        yield from map(_file, found[:_FILES])
        if len(found) > _FILES:
            yield Item(" ", f"… {len(found) - _FILES} more {which}")
    counts: dict[str, int] = {}
    for file in files:
        if file.package:
            counts[file.package] = counts.get(file.package, 0) + 1
    largest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    for name, count in largest[:_FILES]:
        yield Item(" ", f"{count} of {name}")
    if len(largest) > _FILES:
        yield Item(" ", f"… and of {len(largest) - _FILES} more packages")


def _file(file: FileChange) -> Item:
    details = []
    for name in file.what:
        values = {
            "type": ("type", "type"),
            "mode": ("mode", "mode"),
            "owner": ("owner", "uid"),
            "group": ("group", "gid"),
            "target": ("target", "target"),
        }.get(name)
        if values is None or file.old is None or file.new is None:
            details.append(name if name != "attributes" else _attributes(file))
            continue
        old, new = getattr(file.old, values[1]), getattr(file.new, values[1])
        details.append(f"mode {old:04o} → {new:04o}" if name == "mode" else f"{values[0]} {old} → {new}")
    return Item(_MARKS[file.kind], file.path + (f": {', '.join(details)}" if details else ""))


def _attributes(file: FileChange) -> str:
    old, new = file.old, file.new
    if old is None or new is None or old.capabilities == new.capabilities:
        return "attributes"
    return f"{capabilities_text(old)} → {capabilities_text(new)}"


def _sizes(packages: Iterable[PackageChange], *, full: bool) -> Iterator[Item]:
    grown = sorted((change for change in packages if change.grown), key=lambda change: -abs(change.grown))
    for change in grown if full else grown[:_SIZES]:
        yield Item(" ", f"{signed_size(change.grown)}  {change.name}")
    if not full and len(grown) > _SIZES:
        yield Item(" ", f"… {len(grown) - _SIZES} more")


def _layers(difference: Difference) -> Iterator[Item]:
    for layer in difference.layers:
        if layer.kind != "kept":
            holds = f"  {_short(layer.holds)}" if layer.holds else ""
            yield Item(_MARKS[layer.kind], f"{layer.digest[7:19]}  {size_text(layer.size)}{holds}")
    kept = [layer.size for layer in difference.layers if layer.kind == "kept"]
    if kept and len(kept) < len(difference.layers):
        of_new = sum(layer.kind != "removed" for layer in difference.layers)
        yield Item(" ", f"the same: {len(kept)} of {of_new}, {size_text(sum(kept))}")


def signed_size(size: int) -> str:
    """`+12.3 kB`."""
    return f"{'-' if size < 0 else '+'}{size_text(abs(size))}"
