"""A .deb becomes a segment: its files unpacked once, and compressed as they will stand in a layer.

A segment holds files, symlinks and hard links, sorted by the bytes of their paths, but neither directories nor the end
of a tar archive. A layer is a piece with its directories, the segments of its packages, and a piece with the end.
"""

import hashlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from formation.dataclass import replace
from formation.debian.administration import INFO
from formation.debian.database import PackageName, info_files
from formation.debian.deb import Deb, open_deb
from formation.debian.deb822 import parse_stanza
from formation.digest import check_file
from formation.entry import WHITEOUT, Entry, encode_path
from formation.errors import FormationError, MalformedError, system_error
from formation.install.checksums import Checksums, kept_sums
from formation.install.content import add_content
from formation.install.placement import USR_ALIASES, Placement, SegmentSpec
from formation.install.segment_record import (
    Contents,
    ControlMember,
    Segment,
    load_segment,
    segment_json,
    segment_key,
    write_contents,
)
from formation.install.unpack import TreeWriter
from formation.oci.compression import PIECE
from formation.oci.pieces import Pieces

_MEMORY: Final = 16 << 20
"""Bytes of file content that are kept from unpacking to compressing; the rest is read back from the tree."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_PROGRAMS = frozenset({"preinst", "postinst", "prerm", "postrm", "config"})


def make_segment(
    deb: Path, digest: str, spec: SegmentSpec, *, tree: Path | None, out: Path, name: str | None = None
) -> Segment:
    """The segment of the package file `deb`, which must have `digest`, made below `out` unless it is there already.

    With `tree`, the unpacked package is there too, with owners, modes and times; this needs the privilege to chown.
    Directories get theirs from the package, and 0755 root where the package only implies them. `tree` must be on one
    file system with its parent. Each file appears when it is complete and KEY.json last, so a killed run, or two at
    once, do no harm; what a killed run leaves has a name that begins with a dot.

    Messages call the package `name`, or by its file name.

    Raises IntegrityError when `deb` has another digest, MalformedError when it is not a proper package, FormationError
    when it cannot be written.
    """
    key = segment_key(digest, spec)
    known = load_segment(out, key)
    if known is not None and (tree is None or tree.is_dir()):
        return known
    check_file(deb, digest)
    try:
        with (
            _scratch_directory(tree.parent if tree else out, key) as root,
            _scratch_files(out, key) as files,
            open_deb(deb, name) as package,
        ):
            segment = _make(package, digest, spec, key, root, files, content_only=tree is None)
            if tree is not None:
                _place_tree(root, tree)
            for file in files:
                file.replace(out / f"{key}{file.suffix}")
    except OSError as error:
        raise system_error(f"cannot unpack {name or deb.name}", error) from None
    return segment


def _make(
    package: Deb, digest: str, spec: SegmentSpec, key: str, root: Path, files: tuple[Path, ...], *, content_only: bool
) -> Segment:
    """Unpacks `package` below `root`, and writes the three `files` of its segment."""
    compressed, listing, record = files
    unpacking = _Unpacking(package, spec, root, content_only=content_only)
    contents = unpacking.run()
    with compressed.open("xb") as file:
        sink = _Digested(file)
        pieces = Pieces(sink, spec.compression)
        add_content(pieces, contents.entries, root, unpacking.content)
        pieces.flush()
    with listing.open("xb") as file:
        sections, checksums = write_contents(file, contents)
    segment = Segment(
        key=key,
        deb=digest,
        compression=spec.compression,
        size=pieces.size,
        digest=sink.digest,
        uncompressed_size=pieces.uncompressed_size,
        newest=unpacking.newest,
        control=tuple(
            ControlMember(name, len(data), package.control_modes[name]) for name, data in contents.control.items()
        ),
        sections=sections,
        checksums=checksums,
    )
    record.write_bytes(segment_json(segment))
    return segment


@contextmanager
def _scratch_files(directory: Path, key: str) -> Iterator[tuple[Path, ...]]:
    """Names for the three files of a segment, in the order in which they may appear; gone at the end unless renamed."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f".{key[:16]}.{secrets.token_hex(8)}"
    files = tuple(directory / f"{stem}{suffix}" for suffix in (".seg", ".contents", ".json"))
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


@contextmanager
def _scratch_directory(directory: Path, key: str) -> Iterator[Path]:
    """A new directory beside the final place; gone at the end unless it was renamed."""
    directory.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f".{key[:16]}.", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _place_tree(root: Path, tree: Path) -> None:
    try:
        root.rename(tree)
    except OSError:
        # Another process was first. A tree appears complete, so theirs is as good.
        if not tree.is_dir():
            raise


class _Unpacking:
    """One package on its way into a tree, and what was found on it."""

    def __init__(self, package: Deb, spec: SegmentSpec, root: Path, *, content_only: bool) -> None:
        self._package = package
        self._epoch = spec.epoch
        self._placement = Placement(spec)
        self._maintained = spec.maintained
        self._writer = TreeWriter(root, spec.epoch, content_only=content_only)
        self._memory = _MEMORY
        self._first_name: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        self._listed: list[str] = []
        self._filtered: set[str] = set()
        self._sums = Checksums()
        self._names: dict[str, list[str]] = {}
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
            self._add_database_files()
            self._writer.finish()
        finally:
            self._writer.close()
        self._settle_hard_links()
        return Contents(
            listed=_listing(self._listed),
            entries=_sorted(self._entries.values()),
            control=self._package.control,
        )

    def _add(self, shipped: Entry, content: Iterable[bytes]) -> None:
        """Puts one entry where it belongs, unless it is left out."""
        self.newest = max(self.newest, shipped.mtime)
        makes_alias = shipped.type != "directory" and shipped.path in USR_ALIASES
        path = self._placement.place(shipped.path, through_alias=not makes_alias)
        target = self._placement.place(shipped.target) if shipped.type == "hardlink" else shipped.target
        mode = self._placement.mode(path, shipped.mode)
        # dpkg ignores extended attributes.
        entry = replace(shipped, path=path, target=target, mode=mode, mtime=min(shipped.mtime, self._epoch), xattrs=())
        if path.startswith(f"{INFO}/") or (entry.type != "directory" and INFO.startswith(f"{path}/")):
            raise MalformedError(f"{self._package.name} ships {path!r}, which belongs to dpkg")
        if path.rpartition("/")[2].startswith(WHITEOUT):
            raise MalformedError(f"{self._package.name} ships {path!r}, which as part of a layer would remove a file")
        omitted = entry.type != "directory" and self._placement.omits(path)
        covered = entry.type != "directory" and self._placement.covers(path)
        if not omitted:
            self._listed.append(shipped.path)
        filtered = self._placement.excludes(shipped)
        if filtered:
            self._filtered.add(shipped.path)
        if omitted or covered or filtered:
            return
        if path not in self._entries:
            if "md5sums" not in self._package.control:
                content = self._sums.passing(shipped, content)
            self._write(entry, content)
        elif not entry.type == self._entries[path].type == "directory":
            raise MalformedError(f"{self._package.name} ships {path!r} twice, once through a directory that is in /usr")

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
        elif entry.type == "directory":
            self._writer.directory(entry)
        elif entry.type == "symlink":
            self._writer.symlink(entry)
        else:
            first = self._first_name.get(entry.target, entry.target)
            if first not in self._entries:
                raise FormationError(
                    f"{self._package.name} has {entry.path!r} as a hard link to {first!r}, which is left out",
                    hint=f"include /{first} as well, or exclude both",
                )
            self._writer.hard_link(entry)
            self._first_name[entry.path] = first
            self._names.setdefault(first, [first]).append(entry.path)
        self._entries[entry.path] = entry

    def _settle_hard_links(self) -> None:
        """Makes the first of a file's names, as they are sorted in the segment, the one with the content."""
        for first, names in self._names.items():
            file = self._entries[first]
            names.sort(key=encode_path)
            self._entries[names[0]] = replace(file, path=names[0])
            for name in names[1:]:
                self._entries[name] = replace(file, path=name, type="hardlink", size=0, target=names[0])
            if first in self.content:
                self.content[names[0]] = self.content.pop(first)


def _listing(paths: Iterable[str]) -> bytes:
    """dpkg's file list: one absolute path a line."""
    return b"".join(b"/%b\n" % (encode_path(path) or b".") for path in paths)


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: encode_path(entry.path)))


class _Digested:
    """A file that is hashed while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Appends `data`."""
        self._file.write(data)
        self._hash.update(data)

    @property
    def digest(self) -> str:
        """Of what was written."""
        return "sha256:" + self._hash.hexdigest()
