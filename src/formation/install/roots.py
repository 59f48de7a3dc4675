"""The tree that the scripts of a stage see: everything before it, its own packages, and a place for the changes."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from formation.dataclass import dataclass
from formation.errors import FormationError
from formation.install import namespaces
from formation.install.effects import copy_candidates, upper_candidates
from formation.install.inside import inside
from formation.install.making_way import make_way
from formation.install.stacked import lower_path, walk
from formation.store.locking import remove_tree

_OVERLAY_OPTIONS = "redirect_dir=off,metacopy=off,index=off"
_POLICY = "#!/bin/sh\n# No daemon starts while an image is built.\nexit 101\n"


@dataclass(frozen=True, slots=True)
class Isolation:
    """What the installer may do on this machine."""

    namespaces: bool
    """Scripts get namespaces of their own; else a chroot is all."""
    overlay: bool
    """Trees are stacked by overlayfs; else they are copied."""
    user_namespace: bool
    """The installer is root of a user namespace only."""


@dataclass(frozen=True, slots=True)
class Root:
    """A writable view of a stack of read-only trees."""

    path: Path
    lowers: tuple[Path, ...]
    """What was there before, top first."""
    upper: Path | None
    """Where an overlay keeps the changes; None when `path` is a copy."""

    def candidates(self) -> Iterator[tuple[str, os.stat_result | None]]:
        """The paths that may differ from `lowers`, for `effects.capture`."""
        if self.upper is None:
            return copy_candidates(self.path, self.lowers)
        return upper_candidates(self.upper, self.lowers)

    @property
    def changes(self) -> Path:
        """Where the content of a changed path can be read."""
        return self.upper if self.upper is not None else self.path


class RootBuilder:
    """Makes roots below `work`, with overlayfs where this process may mount it, else by copying."""

    def __init__(self, work: Path, isolation: Isolation) -> None:
        self._work = work
        self.isolation = isolation
        self._count = 0
        self._memories: list[Path] = []
        self._policy = work / "policy"
        (self._policy / "usr/sbin").mkdir(parents=True)
        for directory in (self._policy, self._policy / "usr", self._policy / "usr/sbin"):
            directory.chmod(0o755)
        script = self._policy / "usr/sbin/policy-rc.d"
        script.write_text(_POLICY)
        script.chmod(0o755)

    @contextmanager
    def open(self, lowers: Sequence[Path], *, upper: Path | None = None) -> Iterator[Root]:
        """A root over `lowers` (top first). `upper` goes on with the changes of an earlier one, which must be closed.

        It had all of `lowers` but the first, whose files take the place of what is in those changes.

        Raises FormationError when it cannot be mounted.
        """
        self._count += 1
        place = self._work / f"root-{self._count}"
        place.mkdir()
        if not self.isolation.overlay:
            with self._copy(lowers, place, upper) as root:
                yield root
            return
        if upper is None:
            upper = self._changes_directory(place)
        else:
            make_way(upper, lowers[0], lowers[1:])
        mounted = place / "merged"
        mounted.mkdir()
        scratch = upper.parent / f"scratch-{self._count}"
        scratch.mkdir()
        self._mount(mounted, (self._policy, *lowers), upper, scratch)
        try:
            yield Root(mounted, tuple(lowers), upper)
        finally:
            namespaces.unmount(mounted)

    def close(self) -> None:
        """Forgets the changes of all roots."""
        while self._memories:
            namespaces.unmount(self._memories.pop())

    def _changes_directory(self, place: Path) -> Path:
        """A directory in memory: dpkg syncs its status file three times a package, and nothing here must survive."""
        memory = place / "memory"
        memory.mkdir()
        try:
            namespaces.mount("tmpfs", memory, "tmpfs", namespaces.MS_NODEV, "mode=0755")
            probe = memory / "probe"
            probe.mkdir()
            # overlayfs in a user namespace marks directories with user.* attributes; tmpfs has them since Linux 6.6.
            if self.isolation.user_namespace:
                os.setxattr(probe, "user.overlay.probe", b"y")
            probe.rmdir()
            self._memories.append(memory)
        except OSError:
            if memory.is_mount():
                namespaces.unmount(memory)
        upper = memory / "upper"
        upper.mkdir()
        upper.chmod(0o755)
        return upper

    def _mount(self, target: Path, lowers: Sequence[Path], upper: Path, scratch: Path) -> None:
        # mount(2) takes one page of options: relative paths keep fifty layers inside it.
        here = Path.cwd()
        os.chdir(self._work)
        try:
            relative = ":".join(os.path.relpath(path, self._work) for path in lowers)
            options = (
                f"lowerdir={relative},upperdir={os.path.relpath(upper, self._work)},"
                f"workdir={os.path.relpath(scratch, self._work)},{_OVERLAY_OPTIONS}"
            )
            if self.isolation.user_namespace:
                options += ",userxattr"
            namespaces.mount("overlay", target, "overlay", 0, options)
        except OSError as error:
            raise FormationError(
                f"cannot mount an overlay of {len(lowers)} trees: {error.strerror}",
                hint="set FORMATION_OVERLAY=0 to copy files instead",
            ) from error
        finally:
            os.chdir(here)

    @contextmanager
    def _copy(self, lowers: Sequence[Path], place: Path, upper: Path | None) -> Iterator[Root]:
        """A root of real copies; `upper` is an earlier copy, to which the topmost tree is added."""
        root = upper if upper is not None else place / "copy"
        if upper is None:
            root.mkdir()
            root.chmod(0o755)
            for lower in reversed(lowers):
                copy_over(lower, root)
        else:
            copy_over(lowers[0], root, before=lowers[1:])
        policy = inside(root, "usr/sbin") / "policy-rc.d"
        ours = not os.path.lexists(policy) and policy.parent.is_dir()
        if ours:
            shutil.copy2(self._policy / "usr/sbin/policy-rc.d", policy)
        try:
            yield Root(root, tuple(lowers), None)
        finally:
            if ours:
                (inside(root, "usr/sbin") / "policy-rc.d").unlink(missing_ok=True)


def copy_over(source: Path, target: Path, *, before: Sequence[Path] | None = None) -> None:
    """Copies everything of `source` onto `target` with owners, modes, times and attributes, as an overlay shows it.

    Whiteouts remove; sockets and devices are left out. `before` are the trees that `target` was copied from:
    directories that are no longer as they were there keep their owner and mode.
    """
    directories = []
    for path, status in walk(source):
        if stat.S_ISDIR(status.st_mode):
            _copy_directory(status, target, path, before)
            directories.append((path, status))
        else:
            _copy_file(source / path, status, target / path)
    for path, status in reversed(directories):
        os.utime(target / path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _copy_directory(status: os.stat_result, root: Path, path: str, before: Sequence[Path] | None) -> None:
    target = root / path
    there = os.path.lexists(target)
    # A symlink must not be followed: it may lead out of the tree.
    if there and (target.is_symlink() or not target.is_dir()):
        target.unlink()
        there = False
    if not there:
        target.mkdir()
    if not there or not _changed(target, path, before):
        os.chown(target, status.st_uid, status.st_gid)
        target.chmod(stat.S_IMODE(status.st_mode))


def _copy_file(source: Path, status: os.stat_result, target: Path) -> None:
    remove_tree(target)
    if stat.S_ISFIFO(status.st_mode):
        os.mkfifo(target)
    elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        shutil.copyfile(source, target, follow_symlinks=False)
    else:
        return
    os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    # After chown, which clears setuid bits and capabilities.
    shutil.copystat(source, target, follow_symlinks=False)


def _changed(directory: Path, path: str, before: Sequence[Path] | None) -> bool:
    """Whether a script has made a directory, or changed its owner or mode; not so when `before` is None."""
    if before is None:
        return False
    old = lower_path(path, before)
    if old is None:
        return True
    now, then = directory.lstat(), old.lstat()
    return (now.st_mode, now.st_uid, now.st_gid) != (then.st_mode, then.st_uid, then.st_gid)


def overlay_works(work: Path, *, user_namespace: bool) -> bool:
    """Whether this process can mount an overlay whose changes lie in or beside `work`."""
    probe = work / "overlay-probe"
    for name in ("lower", "upper", "scratch", "merged"):
        (probe / name).mkdir(parents=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/scratch,{_OVERLAY_OPTIONS}"
    try:
        namespaces.mount("overlay", probe / "merged", "overlay", 0, options + (",userxattr" if user_namespace else ""))
        namespaces.unmount(probe / "merged")
    except OSError:
        return False
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return True
