"""A variant of a few packages' libraries and data, without programs: what to take of the packages that it stands on.

docs/hardening.md, "The minimal variant", tells what such an image has, and why scanners can read it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from formation.contents.elf import MAGIC, Held, parse_elf
from formation.dataclass import dataclass, replace
from formation.debian.administration import STATUS
from formation.definition.minimal import is_taken
from formation.entry import Entry, decode_lines, encode_path
from formation.errors import FormationError
from formation.install.additions import Additions, realise
from formation.install.ancestors import add_parents
from formation.install.built_layer import BuiltLayer
from formation.install.job import PackageJob
from formation.install.layer import LayerStore, Source, tree_layer
from formation.install.package_files import file_name
from formation.install.placement import Override, Placement, SegmentSpec
from formation.install.segment_record import Segment, read_entries, read_listed, read_owners
from formation.install.view import TreesView, View
from formation.store.store import Store

PROGRAMS: Final = (
    *("/bin/*", "/sbin/*", "/usr/bin/*", "/usr/sbin/*", "/usr/games/*", "/usr/libexec/*", "/usr/lib/ssl/misc/*"),
    *("/etc/init.d/*", "/etc/cron.*", "/etc/default/*", "/etc/logrotate.d/*", "/etc/profile.d/*", "/etc/skel/*"),
    *("/etc/update-motd.d/*", "/etc/pam.d/*", "/lib/systemd/*", "/usr/lib/systemd/*"),
    *("/usr/share/bash-completion/*", "/usr/share/bug/*", "/usr/share/debconf/*", "/usr/share/perl5/*"),
    *("/usr/share/base-files/*", "/usr/share/gcc/*", "/usr/lib/*/gconv/*"),
)
"""Programs, what is for a shell, an init or a debugger alone, and character sets other than Unicode's: dpkg's patterns.

iconv(3) of glibc knows ASCII, UTF-8, UTF-16 and UTF-32 by itself.
"""

ALWAYS: Final = "base-files"
"""/etc/os-release, by which scanners know the release, and the links of a merged /usr."""

_ACCOUNTS = r"etc/(passwd|group|shadow|gshadow)"
_MADE = re.compile(
    rf"""
    {_ACCOUNTS} | etc/(nsswitch\.conf|localtime|timezone|hosts|networks|environment)
    | etc/ssl/.+ | etc/dpkg/origins/default | var/(lock|run)
    """,
    re.VERBOSE,
)
"""Files and links that scripts or a definition above make, and that a program needs."""
_DIRECTORIES = re.compile(
    r"home|media|mnt|opt|root|run|run/lock|srv|tmp|etc/opt|usr/local(/[^/]+)?|var/(cache|lib|local|log|mail|opt|spool|tmp)"
)
"""Directories that scripts make."""
_LARGEST = 1 << 28
"""Bytes of a library that is read."""


@dataclass(frozen=True, slots=True)
class Part:
    """A package as it is below, and how it is in the variant."""

    package: PackageJob
    segment: Segment
    spec: SegmentSpec


def part_of(store: Store, package: PackageJob, segment: Segment, spec: SegmentSpec, view: View) -> Part:
    """The part of `package`, which is unpacked by `spec` below, in the image that `view` shows."""
    excludes = tuple(dict.fromkeys([*spec.path_excludes, *PROGRAMS]))
    overrides = (*spec.overrides, *_named(store, segment, spec, view))
    return Part(package, segment, replace(spec, path_excludes=excludes, overrides=overrides, maintained=False))


def _named(store: Store, segment: Segment, spec: SegmentSpec, view: View) -> Iterator[Override]:
    """What gives the files whose owners a package names to those whom they have below: nobody configures them here."""
    named = read_owners(store.segments, segment)
    if not named:
        return
    entries = {entry.path: entry for entry in read_entries(store.segments, segment)}
    placement = Placement(spec)
    for path in (line[1:] for line in decode_lines(read_listed(store.segments, segment))):
        entry = entries.get(placement.place(path))
        if entry is not None and entry.first_name in named:
            there = view.find(entry.path)
            if there is not None:
                yield path, entry.mode, there.uid, there.gid


def chosen(store: Store, parts: Sequence[Part], only: Sequence[str]) -> tuple[str, ...]:
    """Digests of the .debs of the packages `only`, and of those with the libraries that theirs need; in no order.

    What a package merely depends on does not count: a library's Depends may name what its scripts need. Raises
    FormationError for a name that is none of `parts`.
    """
    by_name = {part.package.name: part for part in parts}
    missing = sorted(set(only) - by_name.keys())
    if missing:
        raise FormationError(
            f"`only` names {', '.join(missing)}, which the variant below does not have",
            hint="name packages that `formation why PACKAGE` knows there",
        )
    libraries = {
        entry.path.rpartition("/")[2]: part
        for part in parts
        for entry in _kept(store, part)
        if ".so" in entry.path.rpartition("/")[2] and entry.type != "directory"
    }
    pending = [by_name[name] for name in dict.fromkeys([*only, *([ALWAYS] if ALWAYS in by_name else [])])]
    found: dict[str, None] = {}
    while pending:
        part = pending.pop()
        if part.package.digest not in found:
            found[part.package.digest] = None
            pending += [libraries[name] for name in sorted(_needed(store, part)) if name in libraries]
    return tuple(found)


def _kept(store: Store, part: Part) -> Iterator[Entry]:
    """The entries of a package that stay in the variant."""
    placement = Placement(part.spec)
    return (entry for entry in read_entries(store.segments, part.segment) if not placement.excludes(entry))


def _needed(store: Store, part: Part) -> set[str]:
    """The libraries that files of a package name."""
    kept = store.trees / part.segment.key
    return {
        name
        for entry in _kept(store, part)
        if entry.type == "file" and (".so" in entry.path or entry.mode & 0o111)
        for name in _needed_by(kept / file_name(entry.path))
    }


def _needed_by(file: Path) -> tuple[str, ...]:
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            return ()
        return parse_elf(Held(MAGIC + opened.read(_LARGEST))).needed


def minimal_top(
    layers: LayerStore,
    tops: Sequence[Mapping[str, Entry]],
    above: Sequence[Additions],
    additions: Additions,
    lowers: Sequence[Path],
    names: frozenset[str],
    epoch: int,
) -> tuple[BuiltLayer, tuple[Entry, ...]]:
    """The layer of accounts, certificates and directories, and of dpkg's status with the packages `names`.

    `tops` are the top layers of the variants below by path, and `above` what their definitions added, both in the order
    of the variants; `lowers` the whole tree with them, top first. Raises FormationError as `realise` does.
    """
    view = TreesView(lowers)
    declared = {directory.path.lstrip("/") for each in above for directory in each.directories}
    declared |= {file.path.lstrip("/") for each in above for file in each.files}
    merged: dict[str, Source] = {}
    for top in tops:
        for path, entry in top.items():
            place = view.place(path)
            if place is not None and _is_taken(entry, declared):
                merged[path] = Source(entry, place if entry.type == "file" else None)
    status = _status(view.read(STATUS), names)
    merged[STATUS] = Source(Entry(STATUS, "file", 0o644, 0, 0, epoch, len(status)), status)
    for item in realise(additions, view, epoch):
        merged[item.entry.path] = Source(item.entry, item.read if item.source else item.content)
    add_parents(merged, view, epoch)
    ordered = [merged[path] for path in sorted(merged, key=encode_path)]
    layer = tree_layer(ordered, layers)
    built = BuiltLayer("effects", (), layer.digest, layer.size, layer.diff_id, layers.compression)
    return built, tuple(source.entry for source in ordered)


def _is_taken(entry: Entry, declared: Iterable[str]) -> bool:
    if entry.path in declared:
        return is_taken(f"/{entry.path}")
    return bool((_DIRECTORIES if entry.type == "directory" else _MADE).fullmatch(entry.path))


def _status(data: bytes, names: frozenset[str]) -> bytes:
    """dpkg's status file with the stanzas of the packages `names` alone."""
    kept = []
    for stanza in data.strip(b"\n").split(b"\n\n"):
        name = re.search(rb"^Package: (.+)$", stanza, re.MULTILINE)
        if name and name[1].decode("utf-8", "surrogateescape") in names:
            kept.append(stanza + b"\n")
    return b"\n".join(kept)
