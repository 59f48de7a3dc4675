"""What maintainer scripts did to a tree, captured as the difference they made.

Two things are left out of the difference: what is the same as before (a file that was copied up or touched, and has
its old content), and traces of the run (logs, locks, caches with inode numbers, backups).
"""

import filecmp
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from formation.entry import DEEPEST, WHITEOUT, Entry, encode_path, is_too_deep
from formation.errors import FormationError
from formation.install.facts import capabilities
from formation.install.stacked import is_opaque, is_whiteout, lower_path, merged_names, status_below, walk

TRACES = re.compile(
    r"""
    var/log/((dpkg|alternatives|bootstrap|fontconfig)\.log|apt/.+)
    | var/cache/ldconfig(/.*)?                  # aux-cache holds inode numbers and change times
    | var/cache/apt/.+ | var/lib/apt/lists/.+
    | var/cache/debconf/.*-old | var/lib/dpkg/(available|diversions|statoverride|status)-old
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


def capture(
    candidates: Iterable[tuple[str, os.stat_result | None]], source: Path, lowers: Sequence[Path], *, epoch: int
) -> tuple[list[Entry], list[str]]:
    """The changed entries and removed paths among `candidates`, both sorted.

    A candidate is a path and what is there now in `source` (None: nothing). `lowers` is the state before, top first.
    Times later than `epoch` become `epoch`. A file of which scripts have made another name is changed, since all names
    of a file are in one layer.
    """
    changed, removed = [], []
    linked: set[tuple[int, int]] = set()
    as_before: list[tuple[str, os.stat_result]] = []
    for path, status in candidates:
        if TRACES.fullmatch(path) or _is_running_state(path, status):
            continue
        before = lower_path(path, lowers)
        if status is None:
            if before is not None:
                removed.append(path)
        elif before is None or not _same(source / path, status, before):
            changed.append(entry_of(source / path, path, status, epoch))
            if _has_names(status):
                linked.add((status.st_dev, status.st_ino))
        elif _has_names(status):
            as_before.append((path, status))
    for path, status in as_before:
        if (status.st_dev, status.st_ino) in linked:
            changed.append(entry_of(source / path, path, status, epoch))
    return sorted(changed, key=lambda entry: encode_path(entry.path)), sorted(removed)


def restore_links(
    candidates: Iterable[tuple[str, os.stat_result | None]], changes: Path, root: Path, lowers: Sequence[Path]
) -> None:
    """Gives every name of a file what scripts did to one of them, which an overlay and a copy keep apart: a change of
    the file, or a further name.

    `changes` has the content of the candidates, `root` is the whole tree, into which the names are linked. What cannot
    be told is whether a script wrote the file anew under the one name; then the others should have stayed as they were.
    """
    names: dict[Path, dict[str, list[str]]] = {}
    found = [path for path, status in candidates if status is not None and stat.S_ISREG(status.st_mode)]
    if changes == root:
        # Of a copy everything is a candidate: the trees below tell sooner which files have several names.
        names = {lower: _linked_names(lower) for lower in lowers}
        found = [path for path in found if any(path in linked for linked in names.values())]
    for path in found:
        before = lower_path(path, lowers)
        if before is None or not stat.S_ISREG(before.lstat().st_mode) or before.lstat().st_nlink == 1:
            continue
        lower = next(lower for lower in lowers if lower / path == before)
        if lower not in names:
            names[lower] = _linked_names(lower)
        others = names[lower].get(path, ())
        status = (changes / path).lstat()
        if others and (_has_names(status) or not _same(changes / path, status, before)):
            for other in others:
                if other != path and _is_untouched(root, other, lower):
                    (root / other).unlink()
                    (root / other).hardlink_to(root / path)


def _has_names(status: os.stat_result) -> bool:
    """Whether scripts gave a file several names: of one that has them from before, an overlay and a copy make several
    files."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _linked_names(top: Path) -> dict[str, list[str]]:
    """Path below `top` of each file with several names there, and all of these."""
    by_inode: dict[int, list[str]] = {}
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(top / directory) as entries:
            for item in entries:
                path = f"{directory}/{item.name}" if directory else item.name
                if item.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif item.is_file(follow_symlinks=False):
                    by_inode.setdefault(item.inode(), []).append(path)
    return {path: sorted(paths) for paths in by_inode.values() if len(paths) > 1 for path in paths}


def _is_untouched(root: Path, path: str, lower: Path) -> bool:
    try:
        status = status_below(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return _same(root / path, status, lower / path)


def _is_running_state(path: str, status: os.stat_result | None) -> bool:
    """Whether it is a file or pipe below /run, such as a lock. Directories there, such as /run/lock, are kept."""
    types = (stat.S_IFREG, stat.S_IFIFO)
    return path.startswith("run/") and status is not None and stat.S_IFMT(status.st_mode) in types


def upper_candidates(upper: Path, lowers: Sequence[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything that lies in the upper directory of an overlay; whiteouts as None.

    A directory that replaced another one (opaque) hides what that held, at any depth: each of those is a removal.
    """
    anew: set[str] = set()
    for path, status in walk(upper):
        if is_whiteout(status) or stat.S_ISSOCK(status.st_mode):
            # A socket is nothing to keep; what was there in its place is gone.
            yield path, None
            continue
        yield path, status
        if stat.S_ISDIR(status.st_mode) and (os.path.dirname(path) in anew or is_opaque(upper / path)):
            anew.add(path)
            present = set(os.listdir(upper / path))
            for name in merged_names(path, lowers) - present:
                yield f"{path}/{name}", None


def copy_candidates(root: Path, lowers: Sequence[Path]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Everything in `root`, a full copy of `lowers` that scripts ran in, and everything that is gone from it."""
    present = set()
    directories = {""}
    for path, status in walk(root):
        if stat.S_ISSOCK(status.st_mode):
            continue
        present.add(path)
        if stat.S_ISDIR(status.st_mode):
            directories.add(path)
        yield path, status
    gone = {path for lower in lowers for path, _ in walk(lower)} - present
    # What is gone because its directory is gone, or has become something else, is no removal of its own.
    yield from ((path, None) for path in sorted(gone) if os.path.dirname(path) in directories)


def entry_of(file: Path, path: str, status: os.stat_result, epoch: int) -> Entry:
    """The entry for what lies at `file`, to be known as `path`.

    Raises FormationError for what no image may hold: a device, a name that stands for a removal, or a path too deep.
    """
    if path.rpartition("/")[2].startswith(WHITEOUT):
        raise FormationError(f"a maintainer script made /{path}, which as part of a layer would remove a file")
    if is_too_deep(path):
        raise FormationError(f"a maintainer script made a path below more than {DEEPEST} directories: /{path[:100]}…")
    mode = stat.S_IMODE(status.st_mode)
    mtime = min(int(status.st_mtime), epoch)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, "directory", mode, status.st_uid, status.st_gid, mtime)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, "symlink", 0o777, status.st_uid, status.st_gid, mtime, target=os.readlink(file))
    if stat.S_ISREG(status.st_mode):
        owner = (status.st_uid, status.st_gid)
        return Entry(path, "file", mode, *owner, mtime, status.st_size, xattrs=capabilities(file))
    if stat.S_ISFIFO(status.st_mode):
        # Policy 10.6: a package makes its named pipes in its postinst.
        return Entry(path, "fifo", mode, status.st_uid, status.st_gid, mtime)
    raise FormationError(
        f"a maintainer script made /{path}, which is neither a file, a directory, a symlink nor a pipe"
    )


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
    # Times tell nothing: a script may edit a file and set back its time.
    return capabilities(file) == capabilities(before) and filecmp.cmp(file, before, shallow=False)
