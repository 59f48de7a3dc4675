"""The effects of a stage as the store keeps them.

KEY/files/        the files of the stage's packages, merged
KEY/tree/         what the scripts changed, fit as a lower layer of overlayfs
KEY/effects.json  the list of what changed, digests of the content and of the trees, and where packages' files landed
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from formation.dataclass import dataclass
from formation.entry import Entry
from formation.errors import IntegrityError
from formation.files import write_bytes
from formation.install.facts import capabilities, is_as, trees_digest
from formation.install.landing import NOWHERE_ELSE, Landings
from formation.install.stacked import is_whiteout
from formation.store.locking import remove_tree


@dataclass(frozen=True, slots=True)
class Effects:
    """The difference that one stage of configuring made."""

    files: Path
    """The files of the stage's packages, merged by hard links to those in the store; read only."""
    tree: Path
    """Holds the changed entries, and overlayfs whiteouts for the removed ones; readable, and fit as a lower layer."""
    changed: tuple[Entry, ...]
    """Sorted by path; files, directories, symlinks and pipes."""
    removed: tuple[str, ...]
    """Paths that were there before and are gone; sorted."""
    landings: Landings = NOWHERE_ELSE
    """Where the packages' files are, if not where the packages ship them."""


def store_effects(
    changed: Sequence[Entry],
    removed: Sequence[str],
    source: Path,
    target: Path,
    scratch: Path,
    landings: Landings = NOWHERE_ELSE,
) -> Effects:
    """Keeps a difference as the directory `target`, beside the `files/` that are in `scratch`, which is renamed to it.

    Names of one file in `source` are names of one file in the store.

    When another run stored the same effects first, theirs stay; by their key both are the same.
    """
    tree = scratch / "tree"
    _write_tree(tree, changed, removed, source)
    document = {
        "changed": [_to_json(entry) for entry in changed],
        "removed": list(removed),
        "content": _content_digest(tree, changed),
        "trees": trees_digest((scratch / "files", tree)),
        "made": _made(scratch),
        "followed": dict(landings.followed),
        "covered": sorted(landings.covered),
        "waiting": sorted(landings.waiting),
    }
    write_bytes(scratch / "effects.json", json.dumps(document).encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.rename(target)
    except OSError:
        try:
            return load_effects(target)
        except (FileNotFoundError, IntegrityError):
            # What is there has rotted, or somebody has taken a part of it.
            remove_tree(target)
            scratch.rename(target)
    return load_effects(target)


def _write_tree(tree: Path, changed: Sequence[Entry], removed: Sequence[str], source: Path) -> None:
    """Makes `tree` of what is at the `changed` paths of `source`, and whiteouts of what is `removed` there."""
    tree.mkdir()
    directory_times = []
    names: dict[int, Path] = {}
    for entry in changed:
        destination = tree / entry.path
        _make_parents(tree, entry.path, source)
        if entry.type == "directory":
            destination.mkdir(exist_ok=True)
            directory_times.append((destination, entry))
        elif entry.type == "symlink":
            destination.symlink_to(entry.target)
        elif entry.type == "fifo":
            os.mkfifo(destination)
        elif (first := names.setdefault((source / entry.path).lstat().st_ino, destination)) != destination:
            destination.hardlink_to(first)
            continue
        else:
            shutil.copyfile(source / entry.path, destination)
        _apply_metadata(destination, entry)
    for path in removed:
        _make_parents(tree, path, source)
        os.mknod(tree / path, stat.S_IFCHR, os.makedev(0, 0))
    for destination, entry in reversed(directory_times):
        os.utime(destination, (entry.mtime, entry.mtime))


def load_effects(directory: Path) -> Effects:
    """The effects that `store_effects` kept in `directory`.

    Raises FileNotFoundError when there are none, IntegrityError when they are not as they were stored: what changed is
    looked at one by one, the rest where it is a copy, or was given to somebody else.
    """
    data = (directory / "effects.json").read_bytes()
    tree = directory / "tree"
    try:
        document = json.loads(data)
        changed = tuple(_from_json(value) for value in document["changed"])
        removed = tuple(document["removed"])
        landings = Landings(dict(document["followed"]), frozenset(document["covered"]), frozenset(document["waiting"]))
        intact = (
            (directory / "files").is_dir()
            and all(_is_intact(tree / entry.path, entry) for entry in changed)
            and all(is_whiteout((tree / path).lstat()) for path in removed)
            and document["content"] == _content_digest(tree, changed)
            and (document["made"] == _made(directory) or document["trees"] == trees_digest((directory / "files", tree)))
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        intact = False
    if not intact:
        raise IntegrityError(f"the stored effects {directory.name} are damaged", hint="formation cache prune --all")
    return Effects(directory / "files", tree, changed, removed, landings)


def _is_intact(place: Path, entry: Entry) -> bool:
    """Whether `place` has what was recorded of it but the content of a file. Raises OSError when it is not there."""
    if not is_as(place.lstat(), entry):
        return False
    if entry.type == "symlink":
        return os.readlink(place) == entry.target
    return entry.type != "file" or capabilities(place) == entry.xattrs


def _made(directory: Path) -> list[int]:
    """When the two trees were made, or were last given another owner or mode: nobody can set this time.

    So a copy has another, and the thousands of files in them are looked at in a copy only.
    """
    return [(directory / name).stat().st_ctime_ns for name in ("files", "tree")]


def _content_digest(tree: Path, changed: Iterable[Entry]) -> str:
    """Of the content of all files, one after the other."""
    digest = hashlib.sha256()
    for entry in changed:
        if entry.type == "file":
            with (tree / entry.path).open("rb") as file:
                digest.update(f"{os.fstat(file.fileno()).st_size}\n".encode())
                while data := file.read(1 << 20):
                    digest.update(data)
    return digest.hexdigest()


def _make_parents(tree: Path, path: str, source: Path) -> None:
    """The missing parents of `path` in `tree`, with the owner and mode that they have in `source`.

    As part of a lower layer such a directory merges with the ones below it, and its own metadata would win.
    """
    parent = tree
    at = source
    for part in path.split("/")[:-1]:
        parent /= part
        at /= part
        if not parent.is_symlink() and not parent.exists():
            parent.mkdir()
            status = at.lstat()
            os.chown(parent, status.st_uid, status.st_gid)
            parent.chmod(stat.S_IMODE(status.st_mode))


def _apply_metadata(path: Path, entry: Entry) -> None:
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.type != "symlink":
        path.chmod(entry.mode)
    for name, value in entry.xattrs:
        os.setxattr(path, name, value)
    os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)


def _to_json(entry: Entry) -> list[Any]:
    xattrs = [[name, value.hex()] for name, value in entry.xattrs]
    return [entry.path, entry.type, entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, entry.target, xattrs]


def _from_json(value: list[Any]) -> Entry:
    xattrs = tuple((name, bytes.fromhex(data)) for name, data in value[8])
    path, type_, mode, uid, gid, mtime, size, target = value[:8]
    return Entry(path, type_, mode, uid, gid, mtime, size, target, xattrs)
