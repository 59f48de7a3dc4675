"""File trees as values that can be compared: of an image's layers, and of a directory.

    ours = image_tree(read_image(layout, descriptor))
    theirs = directory_tree(Path("/srv/chroot"))
    for difference in compare(theirs, ours): print(difference)

Times are no part of it: dpkg leaves those of directories, and of whatever scripts write, to chance.
"""

import difflib
import hashlib
import itertools
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from formation.oci.image import Image, Layer
from formation.store.locking import remove_tree

Tree = dict[str, "Record"]
"""Path without leading slash → what is there; the root itself is not in it."""

SMALL = 1 << 20
"""Files up to this many bytes keep their content, so that a difference can be explained and shown."""

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_TYPES = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_XATTR = "SCHILY.xattr."
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Record:
    """What is at one path."""

    type: str
    mode: int
    """Permission bits; 0o777 for a symlink."""
    uid: int
    gid: int
    target: str = ""
    """Of a symlink."""
    digest: str = ""
    """Of a file's content: sha256 in hexadecimal."""
    content: bytes | None = None
    """Of a file that is SMALL; None for others."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    names: tuple[str, ...] = ()
    """All paths of a file with several hard links, sorted; empty for a file with one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One path at which two trees differ."""

    path: str
    expected: Record | None
    """None: nothing should be there."""
    actual: Record | None
    """None: nothing is there."""

    @property
    def fields(self) -> tuple[str, ...]:
        """What differs: `missing`, `added`, or names of Record's fields."""
        if self.expected is None:
            return ("added",)
        if self.actual is None:
            return ("missing",)
        names = ("type", "mode", "uid", "gid", "target", "digest", "xattrs", "names")
        return tuple(name for name in names if getattr(self.expected, name) != getattr(self.actual, name))

    def __str__(self) -> str:
        parts = [f"/{self.path}: {', '.join(self.fields)}"]
        for field in self.fields:
            if field == "digest":
                parts.extend(_text_difference(self.expected, self.actual))
            elif field not in ("added", "missing"):
                expected, actual = getattr(self.expected, field), getattr(self.actual, field)
                shown = (oct(expected), oct(actual)) if field == "mode" else (expected, actual)
                parts.append(f"  {field}: {shown[0]!s}, but ours has {shown[1]!s}")
        return "\n".join(parts)


def _text_difference(expected: Record | None, actual: Record | None) -> Iterator[str]:
    """The lines that only one of two small text files has, or has elsewhere."""
    if expected is None or actual is None or expected.content is None or actual.content is None:
        return
    sides = [side.content.decode("utf-8", "backslashreplace").splitlines() for side in (expected, actual)]  # type: ignore[union-attr]
    lines = list(difflib.unified_diff(*sides, "real", "ours", lineterm="", n=0))[2:]
    yield from (f"  {line[:300]}" for line in lines[:20])
    if len(lines) > 20:
        yield f"  … {len(lines) - 20} more lines"


def compare(expected: Tree, actual: Tree) -> list[Difference]:
    """Where two trees differ, sorted by path."""
    paths = sorted(expected.keys() | actual.keys())
    found = (Difference(path, expected.get(path), actual.get(path)) for path in paths)
    return [difference for difference in found if difference.expected != difference.actual]


def image_tree(image: Image) -> Tree:
    """The tree that an engine would show of `image`.

    Raises AssertionError when a layer has a path twice, or an entry whose directory no layer has.
    """
    flat: dict[str, tuple[Record, int]] = {}
    """Path → record, and a number that the names of one file share."""
    for layer in image.layers:
        _apply(layer, flat)
    return _with_names(flat)


def _apply(layer: Layer, flat: dict[str, tuple[Record, int]]) -> None:
    """Puts a layer on top. Source: OCI image-spec, layer.md: whiteouts hide what is below, not what is beside them."""
    seen: set[str] = set()
    with layer.uncompressed() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            path = member.name.removeprefix("./").rstrip("/")
            assert path not in seen, f"{layer.descriptor.digest} has {path} twice"
            seen.add(path)
            parent, _, name = path.rpartition("/")
            if name == _OPAQUE:
                _remove_below(flat, parent, seen)
            elif name.startswith(_WHITEOUT):
                hidden = f"{parent}/{name.removeprefix(_WHITEOUT)}".lstrip("/")
                assert hidden in flat, f"{layer.descriptor.digest} hides {hidden}, which is not there"
                flat.pop(hidden)
                _remove_below(flat, hidden, seen)
            elif path and path != ".":
                assert not parent or (parent in flat and flat[parent][0].type == "directory"), f"{path} has no parent"
                if path in flat and not (member.isdir() and flat[path][0].type == "directory"):
                    _remove_below(flat, path, set())
                flat[path] = flat[member.linkname] if member.islnk() else (_record(archive, member), next(_numbers))
        while stream.read(1 << 20):
            pass


DEEP = 1100
"""More directories in each other than Python's recursion goes."""


def make_deep(where: Path, depth: int = DEEP) -> Path:
    """Makes the directories d/d/d/… below `where`; gives the last one."""
    for _ in range(depth):
        where /= "d"
        where.mkdir(exist_ok=True)
    return where


@contextmanager
def deep_below(directory: Path) -> Iterator[None]:
    """Deep trees may be made in `directory`; they are gone afterwards, for pytest recurses."""
    try:
        yield
    finally:
        for path in directory.iterdir():
            remove_tree(path)


def _remove_below(flat: dict[str, tuple[Record, int]], path: str, keep: set[str]) -> None:
    for known in [known for known in flat if known.startswith(f"{path}/") and known not in keep]:
        del flat[known]


def _record(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Record:
    xattrs = tuple(
        sorted(
            (name.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
            for name, value in member.pax_headers.items()
            if name.startswith(_XATTR)
        )
    )
    digest, content = "", None
    if member.isreg():
        file = archive.extractfile(member)
        assert file is not None
        data = file.read()
        digest, content = hashlib.sha256(data).hexdigest(), data if len(data) <= SMALL else None
    mode = 0o777 if member.issym() else stat.S_IMODE(member.mode)
    target = member.linkname if member.issym() else ""
    return Record(_TYPES[member.type], mode, member.uid, member.gid, target, digest, content, xattrs)


def _with_names(flat: dict[str, tuple[Record, int]]) -> Tree:
    groups: dict[int, list[str]] = {}
    for path, (record, number) in flat.items():
        if record.type == "file":
            groups.setdefault(number, []).append(path)
    return {
        path: replace(record, names=tuple(sorted(groups[number]))) if len(groups.get(number, ())) > 1 else record
        for path, (record, number) in flat.items()
    }


def directory_tree(root: Path) -> Tree:
    """The tree below the directory `root`. Sockets are left out: no archive holds them."""
    flat: dict[str, tuple[Record, int]] = {}
    pending = [root]
    while pending:
        for item in os.scandir(pending.pop()):
            status = item.stat(follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode):
                continue
            path = os.path.relpath(item.path, root)
            flat[path] = (_on_disk(Path(item.path), status), status.st_ino)
            if stat.S_ISDIR(status.st_mode):
                pending.append(Path(item.path))
    return _with_names(flat)


_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}


def _on_disk(path: Path, status: os.stat_result) -> Record:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    mode = 0o777 if kind == "symlink" else stat.S_IMODE(status.st_mode)
    digest, content = "", None
    if kind == "file":
        data = path.read_bytes()
        digest, content = hashlib.sha256(data).hexdigest(), data if len(data) <= SMALL else None
    names = os.listxattr(path, follow_symlinks=False)
    xattrs = tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names))
    target = str(path.readlink()) if kind == "symlink" else ""
    return Record(kind, mode, status.st_uid, status.st_gid, target, digest, content, xattrs)
