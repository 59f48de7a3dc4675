"""Who may use the store now. The locks are flock(2)'s: the kernel drops them when their owner dies, however it dies."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from formation.errors import FormationError
from formation.store.store import Store

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

RemoveTree = Callable[[Path], None]
"""Removes a directory tree, or a file, that may belong to subordinate user ids: the caller knows the namespace."""


@contextmanager
def in_use(store: Store) -> Iterator[None]:
    """While the block runs nobody prunes the store. Any number of processes may be in it; they wait for a prune.

    One that may only be read can be looked into all the same.
    """
    with _held(store.lock, fcntl.LOCK_SH):
        yield


@contextmanager
def alone(store: Store, *, wait: bool = False, note: Callable[[str], None] = lambda message: None) -> Iterator[None]:
    """While the block runs nobody else uses the store. When somebody does, waits, telling `note`, or raises
    FormationError."""
    descriptor = _open_lock(store.lock)
    try:
        if not _try_exclusive(descriptor):
            busy = f"the store {store.root} is in use"
            if not wait:
                raise FormationError(busy, hint="wait until the other formation has ended: --wait does")
            note(f"{busy}: waiting until the other formation has ended")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def changing_images(store: Store) -> Iterator[None]:
    """While the block runs nobody else is in one of these: what it has read of an image's record is still so."""
    # Root's, where root was the first to pull into somebody's store.
    with _held(store.images_lock, fcntl.LOCK_EX):
        yield


@contextmanager
def work_directory(store: Store, remove: RemoveTree | None = None) -> Iterator[Path]:
    """A new empty directory, mode 0700, on the store's file system, removed when the block ends.

    The store is in use meanwhile. The directory of an owner that was killed is removed by the next call. `remove` is
    for trees of subordinate user ids; None removes what this user can remove, and leaves the rest to a prune.
    """
    remove = remove or remove_tree
    with in_use(store):
        store.work.mkdir(exist_ok=True)
        remove_abandoned(store, remove)
        path, descriptor = _claim(store.work)
        try:
            path.mkdir(mode=0o700)
            yield path
        finally:
            _remove_claimed(path, remove)
            os.close(descriptor)


def remove_abandoned(store: Store, remove: RemoveTree) -> None:
    """Removes the work directories whose owner is gone. What cannot be removed stays, for a caller who can."""
    for lock in sorted(store.work.glob("*.lock")):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            if _try_exclusive(descriptor) and _is(descriptor, lock):
                _remove_claimed(lock.with_suffix(""), remove)
        finally:
            os.close(descriptor)


def remove_tree(path: Path) -> None:
    """Removes the file or directory tree `path`, also where directories in it may not be written to.

    It may be deeper than Python recurses, and paths in it longer than the system takes. Does nothing when it is not
    there. Raises OSError when it belongs to somebody else.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        path.unlink()
        return
    # Packages have directories without the write permission; only root could remove what is in those.
    path.chmod(0o700)
    here = os.open(path, _DIRECTORY)
    try:
        # The directories from `path` to where we are, each with its name and the directories that are left in it.
        way = [(path.name, _without_files(here))]
        while len(way) > 1 or way[0][1]:
            name, left = way[-1]
            if left:
                name = left.pop()
                os.chmod(name, 0o700, dir_fd=here)
                here = _change_directory(here, name)
                way.append((name, _without_files(here)))
            else:
                way.pop()
                here = _change_directory(here, "..")
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)
    path.rmdir()


def _without_files(directory: int) -> list[str]:
    """Removes what is no directory from the open `directory`; gives the names of the rest."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]


def _change_directory(directory: int, name: str) -> int:
    """Opens `name` below the open `directory`, which it closes."""
    opened = os.open(name, _DIRECTORY, dir_fd=directory)
    os.close(directory)
    return opened


def _claim(directory: Path) -> tuple[Path, int]:
    """A fresh name in `directory`, and a descriptor that holds the lock of it."""
    while True:
        path = directory / os.urandom(8).hex()
        lock = path.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Between open and flock another process may have taken the file for an abandoned one, and removed it.
        if _try_exclusive(descriptor) and _is(descriptor, lock):
            return path, descriptor
        os.close(descriptor)


def _remove_claimed(path: Path, remove: RemoveTree) -> None:
    """The directory goes before its lock file: a directory without one would have no owner to look for."""
    try:
        remove(path)
        path.with_suffix(".lock").unlink(missing_ok=True)
    except OSError:
        pass


def _open_lock(path: Path) -> int:
    # The trees in it have setuid programs, and private archives may be somebody's secret.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


@contextmanager
def _held(path: Path, operation: int) -> Iterator[None]:
    """While the block runs the lock file `path` is held as `operation` of flock(2) says."""
    descriptor = _open_lock_as_it_is(path)
    try:
        fcntl.flock(descriptor, operation)
        yield
    finally:
        os.close(descriptor)


def _open_lock_as_it_is(path: Path) -> int:
    """As `_open_lock`; only to read what cannot be written to, which is enough for flock."""
    try:
        return _open_lock(path)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            # There is no store yet, and this is why.
            raise error from None


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the file that `descriptor` has open."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
