"""Paths in a tree that maintainer scripts wrote: their symlinks must not lead this process out of it.

Safe only while no script runs, since nothing is locked between the look and the use.
"""

import os
from pathlib import Path

from formation.errors import FormationError

_MAX_SYMLINKS = 40


def inside(root: Path, path: str) -> Path:
    """Where `path` of the tree `root` is on this machine: a path without symlinks, which need not exist.

    Every symlink is followed as if `root` were the root directory. Raises FormationError for a loop of them.
    """
    done: list[str] = []
    parts = path.split("/")
    links = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            done = done[:-1]
        elif part not in ("", "."):
            place = root.joinpath(*done, part)
            if place.is_symlink():
                links += 1
                if links > _MAX_SYMLINKS:
                    raise FormationError(f"/{path} leads through a loop of symlinks")
                target = os.readlink(place)
                done = [] if target.startswith("/") else done
                parts = target.split("/") + parts
            else:
                done.append(part)
    return root.joinpath(*done)
