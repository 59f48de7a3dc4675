"""What preinst scripts changed, as it is once the packages are unpacked onto it: dpkg unpacks after they have run.

A file takes the place of whatever is there, and a directory joins the directory that is there.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from formation.dataclass import dataclass
from formation.entry import Entry
from formation.install.inside import inside
from formation.install.landing import Arriving, Ground, Landings, placed
from formation.install.stacked import OPAQUE, is_opaque, merged_names
from formation.store.locking import remove_tree


def make_way(upper: Path, files: Path, before: Sequence[Path]) -> None:
    """Makes an overlay's changes over `before` (top first) ones over `files` and `before`, `upper` being closed.

    What `files` would replace is taken away. Where scripts have removed a directory that `files` has too, an opaque one
    or a whiteout would hide what is shipped: whiteouts of all that it held stand in for it.
    """
    _Way(upper, files, before).clear()


def brought_back(packages: Iterable[Arriving], landings: Landings, now: Ground, before: Ground) -> dict[str, Entry]:
    """The directories of `packages` that were there `before` and are not there `now`, as the first package has them.

    dpkg makes them anew, with the owner and mode that the package gives; a preinst script has removed them.
    """
    found: dict[str, Entry] = {}
    for package in packages:
        for entry, place in placed(package, landings):
            if entry.type == "directory" and not now.directory(place) and before.directory(place):
                found.setdefault(place, entry)
    return found


def give_back(root: Path, directories: Mapping[str, Entry]) -> None:
    """Gives those of `directories`, by path, that are in the tree `root` their owners and modes."""
    for path, entry in directories.items():
        parent, _, name = path.rpartition("/")
        place = inside(root, parent) / name
        status = _status(place)
        if status is not None and stat.S_ISDIR(status.st_mode):
            os.chown(place, entry.uid, entry.gid)
            # After chown, which clears setuid and setgid.
            place.chmod(entry.mode)


@dataclass(frozen=True, slots=True)
class _Way:
    upper: Path
    files: Path
    before: Sequence[Path]

    def clear(self) -> None:
        """Makes way in every directory of both `upper` and `files`."""
        pending = [""]
        while pending:
            directory = pending.pop()
            for name in os.listdir(self.upper / directory):
                path = f"{directory}/{name}" if directory else name
                shipped = _status(self.files / path)
                if shipped is not None and self._clear(path, shipped):
                    pending.append(path)

    def _clear(self, path: str, shipped: os.stat_result) -> bool:
        """Makes way for `path` of `files`, which has the status `shipped`. Whether both have a directory there now."""
        place = self.upper / path
        if not stat.S_ISDIR(shipped.st_mode):
            remove_tree(place)
            return False
        if not stat.S_ISDIR(place.lstat().st_mode):
            place.unlink()
            self._make(path, shipped)
            self._hide(path)
        elif is_opaque(place):
            for attribute in OPAQUE:
                with contextlib.suppress(OSError):
                    os.removexattr(place, attribute)
            self._hide(path)
        return True

    def _make(self, path: str, shipped: os.stat_result) -> None:
        """Makes a directory that is gone, and of which `files` has one with the status `shipped`."""
        place = self.upper / path
        place.mkdir()
        os.chown(place, shipped.st_uid, shipped.st_gid)
        place.chmod(stat.S_IMODE(shipped.st_mode))

    def _hide(self, directory: str) -> None:
        """Hides what `before` has in a directory of `upper`, but for what is above it."""
        pending = [directory]
        while pending:
            directory = pending.pop()
            for name in merged_names(directory, self.before):
                path = f"{directory}/{name}"
                place = self.upper / path
                made, shipped = _status(place), _status(self.files / path)
                if made is not None:
                    if stat.S_ISDIR(made.st_mode) and not is_opaque(place):
                        pending.append(path)
                elif shipped is None:
                    os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
                elif stat.S_ISDIR(shipped.st_mode):
                    self._make(path, shipped)
                    pending.append(path)


def _status(place: Path) -> os.stat_result | None:
    try:
        return place.lstat()
    except FileNotFoundError:
        return None
