"""What maintainer scripts did to a tree: captured as the difference they made, and kept as a tree of its own.

Two things are left out of the difference: what is the same as before (a file that was copied up or touched, and has
its old content), and traces of the run (logs, locks, caches with inode numbers, backups).
"""

import filecmp
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from formation.entry import Entry
from formation.files import write_bytes

TRACES = re.compile(
    r"""
    var/log/((dpkg|alternatives|bootstrap|fontconfig)\.log|apt/.+)
    | var/cache/ldconfig(/.*)?                  # aux-cache holds inode numbers and change times
    | var/cache/apt/.+ | var/lib/apt/lists/.+
    | var/cache/debconf/.*-old | var/lib/dpkg/.*-old
    | var/lib/dpkg/(lock|lock-frontend|triggers/Lock|tmp\.ci(/.*)?|updates/.+)
    | etc/machine-id | var/lib/dbus/machine-id | var/lib/systemd/random-seed
    | etc/(hostname|resolv\.conf) | etc/ssh/ssh_host_.*_key(\.pub)?
    | (tmp|var/tmp|proc|sys|dev)/.+
    | var/lib/sgml-base/supercatalog\.old | etc/sgml/catalog\.old
    | usr/sbin/policy-rc\.d
    """,
    re.VERBOSE,
)
"""Paths that never enter an image from a script. Source: debuerreotype's fixup, mmdebstrap's cleanup."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The difference that one stage of configuring made."""

    files: Path
    """The files of the stage's packages, merged by hard links to their trees; read only."""
    tree: Path
    """Holds the changed entries, and overlayfs whiteouts for the removed ones; readable, and fit as a lower layer."""
    changed: tuple[Entry, ...]
    """Sorted by path; files, directories and symlinks."""
    removed: tuple[str, ...]
    """Paths that were there before and are gone; sorted."""


def lower_path(path: str, lowers: Sequence[Path]) -> Path | None:
    """Where `path` is in the topmost of `lowers` (top first) that has it; None when absent or removed."""
    for lower in lowers:
        candidate = lower / path
        try:
            status = candidate.lstat()
        except FileNotFoundError:
            if _hidden(path, lower):
                return None
            continue
        except NotADirectoryError:
            return None
        return None if _is_whiteout(status) else candidate
    return None


def capture(
    candidates: Iterable[tuple[str, os.stat_result | None]], source: Path, lowers: Sequence[Path], *, epoch: int
) -> tuple[list[Entry], list[str]]:
    """The changed entries and removed paths among `candidates`, both sorted.

    A candidate is a path and what is there now in `source` (None: nothing). `lowers` is the state before, top first.
    Times later than `epoch` become `epoch`.
    """
    changed, removed = [], []
    for path, status in candidates:
        if TRACES.fullmatch(path) or _is_running_state(path, status):
            continue
        before = lower_path(path, lowers)
        if status is None:
            if before is not None:
                removed.append(path)
        elif before is None or not _same(source / path, status, before):
            changed.append(entry_of(source / path, path, status, epoch))
    return sorted(changed, key=lambda entry: entry.path.encode("utf-8", "surrogateescape")), sorted(removed)


def _is_running_state(path: str, status: os.stat_result | None) -> bool:
    """Whether it is a file below /run: a lock or a process id. Directories there, such as /run/lock, are kept."""
    return path.startswith("run/") and status is not None and stat.S_ISREG(status.st_mode)


def upper_candidates(upper: Path, lowers: Sequence[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything that lies in the upper directory of an overlay; whiteouts as None.

    A directory that replaced another one (opaque) hides what the lower one held: each of those is a removal.
    """
    for path, status in _walk(upper):
        if _is_whiteout(status):
            yield path, None
            continue
        yield path, status
        if stat.S_ISDIR(status.st_mode) and _is_opaque(upper / path):
            present = set(os.listdir(upper / path))
            for name in _merged_names(path, lowers) - present:
                yield f"{path}/{name}", None


def copy_candidates(root: Path, lowers: Sequence[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything in `root`, a full copy of `lowers` that scripts ran in, and everything that is gone from it."""
    present = set()
    for path, status in _walk(root):
        present.add(path)
        yield path, status
    gone = set()
    for lower in lowers:
        for path, _ in _walk(lower):
            if path not in present:
                gone.add(path)
    # A removed directory takes its content along: only its own path is a removal.
    yield from ((path, None) for path in sorted(gone) if os.path.dirname(path) not in gone)


def store_effects(
    changed: Sequence[Entry], removed: Sequence[str], source: Path, target: Path, scratch: Path
) -> Effects:
    """Keeps a difference as the directory `target`, beside the `files/` that are in `scratch`, which is renamed to it.

    When another run stored the same effects first, theirs stay; by their key both are the same.
    """
    tree = scratch / "tree"
    tree.mkdir()
    directory_times = []
    for entry in changed:
        destination = tree / entry.path
        _make_parents(tree, entry.path, source)
        if entry.type == "directory":
            destination.mkdir(exist_ok=True)
            directory_times.append((destination, entry))
        elif entry.type == "symlink":
            destination.symlink_to(entry.target)
        else:
            shutil.copyfile(source / entry.path, destination)
        _apply_metadata(destination, entry)
    for path in removed:
        _make_parents(tree, path, source)
        os.mknod(tree / path, stat.S_IFCHR, os.makedev(0, 0))
    for destination, entry in reversed(directory_times):
        os.utime(destination, (entry.mtime, entry.mtime))
    document = {"changed": [_to_json(entry) for entry in changed], "removed": list(removed)}
    write_bytes(scratch / "effects.json", json.dumps(document).encode())
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.rename(target)
    except OSError:
        if not (target / "effects.json").exists():
            raise
    return load_effects(target)


def load_effects(directory: Path) -> Effects:
    """The effects that `store_effects` kept in `directory`. Raises FileNotFoundError when there are none."""
    document = json.loads((directory / "effects.json").read_bytes())
    changed = tuple(_from_json(value) for value in document["changed"])
    return Effects(directory / "files", directory / "tree", changed, tuple(document["removed"]))


def entry_of(file: Path, path: str, status: os.stat_result, epoch: int) -> Entry:
    """The entry for what lies at `file`, to be known as `path`. Sockets, pipes and devices become nothing useful:

    Raises ValueError for them.
    """
    mode = stat.S_IMODE(status.st_mode)
    mtime = min(int(status.st_mtime), epoch)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, "directory", mode, status.st_uid, status.st_gid, mtime)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, "symlink", 0o777, status.st_uid, status.st_gid, mtime, target=os.readlink(file))
    if stat.S_ISREG(status.st_mode):
        xattrs = tuple(sorted((n, os.getxattr(file, n)) for n in os.listxattr(file) if n.startswith("security.cap")))
        return Entry(path, "file", mode, status.st_uid, status.st_gid, mtime, status.st_size, xattrs=xattrs)
    raise ValueError(f"{path} is neither a file, a directory nor a symlink")


def _walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Path below `top` and status of everything in it, parents first, sockets and pipes left out."""
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(top / directory) as entries:
            for item in sorted(entries, key=lambda e: e.name):
                path = f"{directory}/{item.name}" if directory else item.name
                status = item.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode) or stat.S_ISFIFO(status.st_mode):
                    continue
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: Path) -> bool:
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(directory, name) == b"y":
                return True
        except OSError:
            continue
    return False


def _hidden(path: str, lower: Path) -> bool:
    """Whether a parent of `path` is removed, or is no directory, in `lower`."""
    parent = lower
    for part in path.split("/")[:-1]:
        parent /= part
        try:
            status = parent.lstat()
        except OSError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            return True
    return False


def _merged_names(path: str, lowers: Sequence[Path]) -> set[str]:
    names: set[str] = set()
    for lower in lowers:
        try:
            names.update(os.listdir(lower / path))
        except OSError:
            continue
    return {name for name in names if lower_path(f"{path}/{name}", lowers) is not None}


def _same(file: Path, status: os.stat_result, before: Path) -> bool:
    old = before.lstat()
    if stat.S_IFMT(status.st_mode) != stat.S_IFMT(old.st_mode) or (status.st_uid, status.st_gid) != (
        old.st_uid,
        old.st_gid,
    ):
        return False
    if stat.S_ISLNK(status.st_mode):
        return os.readlink(file) == os.readlink(before)
    if status.st_mode != old.st_mode:
        return False
    if not stat.S_ISREG(status.st_mode):
        return True
    if status.st_size != old.st_size:
        return False
    if os.listxattr(file) != os.listxattr(before) and _capabilities(file) != _capabilities(before):
        return False
    return status.st_mtime_ns == old.st_mtime_ns or filecmp.cmp(file, before, shallow=False)


def _capabilities(file: Path) -> bytes:
    try:
        return os.getxattr(file, "security.capability")
    except OSError:
        return b""


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
