"""A stack of trees, top first, as overlayfs shows it: whiteouts and opaque directories hide what is below."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
"""The attributes that make a directory opaque: as root of the machine, and as root of a user namespace."""


def lower_path(path: str, lowers: Sequence[Path]) -> Path | None:
    """Where `path` is in the topmost of `lowers` (top first) that has it; None when absent or removed."""
    for lower in lowers:
        try:
            status = status_below(lower, path)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return None
        return None if is_whiteout(status) else lower / path
    return None


def status_below(lower: Path, path: str) -> os.stat_result:
    """As lstat, but no parent of `path` in `lower` may be a symlink, which could lead out of it.

    Raises NotADirectoryError when a parent is no directory: what is below it in other trees cannot be seen.
    """
    at = str(lower)
    *parents, name = path.split("/")
    for parent in parents:
        at = f"{at}/{parent}"
        if not stat.S_ISDIR(os.lstat(at).st_mode):
            raise NotADirectoryError
    return os.lstat(f"{at}/{name}")


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Path below `top` and status of everything in it, parents first."""
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(top / directory) as entries:
            for item in sorted(entries, key=lambda e: e.name):
                path = f"{directory}/{item.name}" if directory else item.name
                status = item.stat(follow_symlinks=False)
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)


def is_whiteout(status: os.stat_result) -> bool:
    """Whether it says, in a directory of overlayfs, that a lower directory's entry is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: Path) -> bool:
    """Whether it hides what lies below the directory of that name in lower trees."""
    for name in OPAQUE:
        try:
            if os.getxattr(directory, name) == b"y":
                return True
        except OSError:
            continue
    return False


def merged_names(path: str, lowers: Sequence[Path]) -> set[str]:
    """What is in the directory `path` of the stack `lowers`; nothing where that is no directory."""
    names: set[str] = set()
    for lower in lowers:
        try:
            names.update(os.listdir(lower / path))
        except OSError:
            continue
    return {name for name in names if lower_path(f"{path}/{name}", lowers) is not None}
