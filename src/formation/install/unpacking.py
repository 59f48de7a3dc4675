"""A package on its way into the store: its entries, each judged, placed and written."""

import re
from collections.abc import Iterable
from pathlib import Path
from posixpath import join, normpath
from typing import Final

from formation.dataclass import replace
from formation.debian.administration import INFO
from formation.debian.database import PackageName, info_files
from formation.debian.deb import Deb
from formation.debian.deb822 import parse_stanza
from formation.entry import DEEPEST, WHITEOUT, Entry, encode_path, is_too_deep
from formation.errors import FormationError, MalformedError
from formation.install.checksums import Checksums, kept_sums
from formation.install.named_owners import Names, owner_names
from formation.install.package_files import PackageFiles
from formation.install.placement import USR_ALIASES, Placement, SegmentSpec
from formation.install.segment_record import Contents
from formation.oci.compression import PIECE

_MEMORY: Final = 16 << 20
"""Bytes of file content that are kept from unpacking to compressing; the rest is read back."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_PROGRAMS = frozenset({"preinst", "postinst", "prerm", "postrm", "config"})


class Unpacking:
    """One package on its way into the store, and what was found on it."""

    def __init__(self, package: Deb, spec: SegmentSpec, root: Path, *, owned: bool) -> None:
        """`root` is an empty directory for its files; `owned` is as for `PackageFiles`. `run` may be called once."""
        self._package = package
        self._epoch = spec.epoch
        self._placement = Placement(spec)
        self._maintained = spec.maintained
        self._writer = PackageFiles(root, owned=owned)
        self._memory = _MEMORY
        self._first_name: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, Names] = {}
        self._listed: list[str] = []
        self._filtered: set[str] = set()
        self._sums = Checksums()
        self._lost: dict[str, str] = {}
        """Where the files are that other packages replace, and their paths: further names of them may stay."""
        self._names: dict[str, list[str]] = {}
        self._plain: set[str] = set()
        """Files whose mode is not dpkg's, by the name with which they came first."""
        self.content: dict[str, tuple[bytes, ...]] = {}
        """Of as many files as `_MEMORY` allows, by the path they have in the segment."""
        self.newest = 0

    def run(self) -> Contents:
        """Unpacks the package. Raises MalformedError, FormationError or OSError."""
        try:
            # dpkg puts all symlinks after everything else (lib/dpkg/tarfn.c), in the tree and in its file list.
            symlinks: list[Entry] = []
            for entry, content in self._package.entries():
                if entry.type == "symlink":
                    symlinks.append(entry)
                else:
                    self._add(entry, content)
            for entry in symlinks:
                self._add(entry, ())
            self._drop_lost()
            self._add_database_files()
        finally:
            self._writer.close()
        self._settle_hard_links()
        self._check_parents()
        return Contents(
            listed=_listing(self._listed),
            entries=_sorted(self._entries.values()),
            owners=self._owners,
            control=self._package.control,
        )

    def _add(self, shipped: Entry, content: Iterable[bytes]) -> None:
        """Puts one entry where it belongs, unless it is left out."""
        self.newest = max(self.newest, shipped.mtime)
        makes_alias = shipped.type != "directory" and shipped.path in USR_ALIASES
        path = self._placement.place(shipped.path, through_alias=not makes_alias)
        target = self._placement.place(shipped.target) if shipped.type == "hardlink" else shipped.target
        time = min(shipped.mtime, self._epoch)
        owned = self._placement.overridden(shipped)
        mode = owned.mode
        if (plain := self._placement.plain_mode(shipped.path)) is not None:
            self._plain.add(path)
            mode = plain
        # dpkg ignores extended attributes.
        entry = Entry(path, shipped.type, mode, owned.uid, owned.gid, time, shipped.size, target)
        if path.startswith(f"{INFO}/") or (entry.type != "directory" and INFO.startswith(f"{path}/")):
            raise MalformedError(f"{self._package.name} ships {path!r}, which belongs to dpkg")
        if makes_alias and normpath(join("/", entry.target)) != f"/usr/{path}":
            raise MalformedError(
                f"{self._package.name} ships /{path} as another thing than the symlink to usr/{path} that images have"
            )
        if path.rpartition("/")[2].startswith(WHITEOUT):
            raise MalformedError(f"{self._package.name} ships {path!r}, which as part of a layer would remove a file")
        if is_too_deep(path):
            raise FormationError(
                f"{self._package.name} ships a path below more than {DEEPEST} directories: {path[:100]}…"
            )
        omitted = entry.type != "directory" and self._placement.omits(path)
        covered = entry.type != "directory" and self._placement.covers(path)
        if not omitted:
            self._listed.append(shipped.path)
        filtered = self._placement.excludes(shipped)
        if filtered:
            self._filtered.add(shipped.path)
        if filtered or (omitted and (covered or entry.type != "file")):
            return
        if omitted:
            self._lost[path] = shipped.path
        if "md5sums" not in self._package.control:
            content = self._sums.passing(shipped, content)
        if covered:
            # What is there may be changed, and the package's checksum stands all the same.
            for _ in content:
                pass
            return
        if path not in self._entries:
            self._write(entry, content)
            self._name(path, owner_names(owned))
        elif not entry.type == self._entries[path].type == "directory":
            raise MalformedError(f"{self._package.name} ships {path!r} twice, once through a directory that is in /usr")

    def _drop_lost(self) -> None:
        for path, shipped in self._lost.items():
            self._writer.remove(path)
            self._sums.drop(shipped)

    def _add_database_files(self) -> None:
        """The package's files in dpkg's database, as unpacking leaves them: a function of the package as well.

        Except that they do not name what the path filters keep out: dpkg does, and then its --verify misses it.
        """
        control = self._package.control
        stanza = parse_stanza(control["control"])
        name = PackageName(
            stanza.get("Package", ""), stanza.get("Architecture", ""), stanza.get("Multi-Arch", "") == "same"
        )
        if not _NAME.fullmatch(name.name) or not _NAME.fullmatch(name.architecture):
            raise MalformedError(f"{self._package.name} has {name.name!r} as its name, for {name.architecture!r}")
        time = min(self.newest, self._epoch)
        kept = _listing(path for path in self._listed if path not in self._filtered)
        if not self._maintained:
            control = {member: control[member] for member in ("conffiles", "md5sums") if member in control}
        sums = kept_sums(control["md5sums"], self._filtered) if "md5sums" in control else self._sums.text()
        for path, data in info_files(name, {**control, "md5sums": sums}, kept).items():
            mode = 0o755 if path.rpartition(".")[2] in _PROGRAMS else 0o644
            self._write(Entry(path, "file", mode, mtime=time, size=len(data)), (data,))

    def _write(self, entry: Entry, content: Iterable[bytes]) -> None:
        if entry.type == "file":
            if entry.size <= min(PIECE, self._memory):
                self.content[entry.path] = content = tuple(content)
                self._memory -= entry.size
            self._writer.file(entry, content)
        elif entry.type == "hardlink":
            first = self._first_name.get(entry.target, entry.target)
            if first not in self._entries:
                raise FormationError(
                    f"{self._package.name} has {entry.path!r} as a hard link to {first!r}, which is left out",
                    hint=f"include /{first} as well, or exclude both",
                )
            self._writer.hard_link(entry)
            self._own(first, entry)
            self._first_name[entry.path] = first
            self._names.setdefault(first, [first]).append(entry.path)
        self._entries[entry.path] = entry

    def _own(self, first: str, link: Entry) -> None:
        """Gives the file `first` the owner and mode of its further name `link`: with dpkg the last name decides."""
        there = self._entries[first]
        mode = there.mode if first in self._plain else link.mode
        if link.path in self._plain:
            self._plain.add(first)
        owned = replace(there, mode=mode, uid=link.uid, gid=link.gid)
        if owned != there:
            self._entries[first] = owned
            self._writer.own(owned)

    def _name(self, path: str, names: Names) -> None:
        """Takes down the owners that `path` names. Of a file's names the last decides, as in `_own`."""
        first = self._first_name.get(path, path)
        if any(names):
            self._owners[first] = names
        else:
            self._owners.pop(first, None)

    def _check_parents(self) -> None:
        """Raises MalformedError for what lies below a file: the way into /usr may lead there."""
        seen = {""}
        for path in self._entries:
            parent = path.rpartition("/")[0]
            while parent not in seen:
                seen.add(parent)
                if parent in self._entries and self._entries[parent].type != "directory":
                    raise MalformedError(
                        f"{self._package.name}: {path!r} lies below {parent!r}, which is a {self._entries[parent].type}"
                    )
                parent = parent.rpartition("/")[0]

    def _settle_hard_links(self) -> None:
        """Makes the first of a file's names, as they are sorted in the segment, the one with the content."""
        for first, names in self._names.items():
            file = self._entries[first]
            if first in self._lost:
                names.remove(first)
            names.sort(key=encode_path)
            self._entries[names[0]] = replace(file, path=names[0])
            for name in names[1:]:
                self._entries[name] = replace(file, path=name, type="hardlink", size=0, target=names[0])
            if first in self.content:
                self.content[names[0]] = self.content.pop(first)
            if first in self._owners:
                self._owners[names[0]] = self._owners.pop(first)
        for path in self._lost:
            del self._entries[path]
            self.content.pop(path, None)
            self._owners.pop(path, None)


def _listing(paths: Iterable[str]) -> bytes:
    """dpkg's file list: one absolute path a line."""
    return b"".join(b"/%b\n" % (encode_path(path) or b".") for path in paths)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: encode_path(entry.path)))
