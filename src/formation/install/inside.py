"""Paths in a tree that maintainer scripts wrote: their symlinks must not lead this process out of it.

Safe only while no script runs, since nothing is locked between the look and the use. What lies at such a path may be a
pipe, at which a reader waits for ever: it is opened by `read_file` and `write_file` alone.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from formation.errors import FormationError

_MAX_SYMLINKS = 40
"""On the way to one file, as Linux counts (path_resolution(7))."""
_GUARDED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
"""Nothing, or a symlink, or a socket or a device that nobody has."""


def follow(path: str, read_link: Callable[[str], str | None], *, last: bool = True) -> str:
    """What `path` of a tree leads to: without leading slash, without symlinks. It need not exist.

    `read_link` gives the target of a path that is a symlink, None for any other. Targets are followed as if the tree's
    root were the root directory. Unless `last`, a symlink at the very end is not followed. Raises FormationError for a
    loop of them.
    """
    done: list[str] = []
    waiting = _names(path)[::-1]
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            done = done[:-1]
            continue
        target = read_link("/".join([*done, part])) if waiting or last else None
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _MAX_SYMLINKS:
            raise FormationError(f"/{path.lstrip('/')} leads through a loop of symlinks")
        done = [] if target.startswith("/") else done
        waiting += _names(target)[::-1]
    return "/".join(done)


def inside(root: Path, path: str) -> Path:
    """Where `path` of the tree `root` is on this machine: a path without symlinks, which need not exist.

    Every symlink is followed as if `root` were the root directory. Raises FormationError for a loop of them.
    """

    def read_link(name: str) -> str | None:
        place = root / name
        return os.readlink(place) if place.is_symlink() else None

    return root / follow(path, read_link)


def read_file(place: Path) -> bytes | None:
    """The content of the regular file at `place`; None when there is anything else, such as a symlink, or nothing."""
    try:
        descriptor = os.open(place, os.O_RDONLY | _GUARDED)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def write_file(place: Path, data: bytes) -> None:
    """Makes `data` the content of the regular file at `place`, which need not exist.

    Raises OSError when there is anything else: it is not followed, and not waited for.
    """
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _GUARDED, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]
