"""Paths in a tree that maintainer scripts wrote: their symlinks must not lead this process out of it.

Safe only while no script runs, since nothing is locked between the look and the use.
"""

import os
from collections.abc import Callable
from pathlib import Path

from formation.errors import FormationError

_MAX_SYMLINKS = 40
"""On the way to one file, as Linux counts (path_resolution(7))."""


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


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]
