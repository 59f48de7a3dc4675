"""Configuration files that dpkg itself must put in place, since only it knows what to do about what is there.

It unpacks every conffile as FILE.dpkg-new and decides when it configures the package. That is the file of the package
wherever nothing is in its place, so those are unpacked at once. Source: dpkg's src/main/configure.c.
"""

import filecmp
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path

from formation.debian.administration import INFO
from formation.debian.database import conffiles
from formation.entry import Entry, encode_path
from formation.errors import FormationError
from formation.install.inside import follow
from formation.install.landing import Arriving, Landings, land_file
from formation.install.package_files import file_name
from formation.install.placement import listed_places, merged_path
from formation.install.stages import StagePackage
from formation.install.view import TreesView

NEW = ".dpkg-new"


class Waiting:
    """What the packages of a stage find in `trees`, top first, before they are unpacked."""

    def __init__(self, trees: Sequence[Path]) -> None:
        self._view = TreesView(trees)
        self._owned: Callable[[], frozenset[str]] = cache(lambda: _owned(trees))

    def of(self, package: StagePackage, arriving: Arriving, landings: Landings) -> Mapping[str, str]:
        """Where each conffile that waits would be, by the path with which the package comes.

        One waits where somebody has made a file or a symlink of another kind than the package's, which belongs to no
        package, and so do all names of one file; all do where one of them is a symlink, which dpkg judges by what it
        leads to while the others wait. Raises FormationError when a name of one that waits is no conffile.
        """
        declared = {merged_path(path.lstrip("/")) for path, flag in conffiles(package.control) if not flag}
        if not declared:
            return {}
        found = [e for e in arriving.entries if e.path in declared and e.type != "directory"]
        places = {
            entry.path: land_file(arriving.diverted.get(entry.path, entry.path), landings.followed)
            for entry in found
            if entry.path not in landings.covered
        }
        here = [entry for entry in found if entry.path in places]
        if not any(entry.type == "symlink" for entry in found):
            here = [entry for entry in here if self._is_taken(entry, places[entry.path], package.kept)]
        waiting = {entry.first_name for entry in here}
        names = [entry.path for entry in arriving.entries if entry.first_name in waiting] if waiting else []
        if strange := [name for name in names if name not in places]:
            raise FormationError(
                f"{arriving.name} has /{strange[0]}, which is no configuration file, as a hard link with one that dpkg "
                "puts in place when it configures the package",
                hint=f"leave it out: write -{arriving.name} under packages:",
            )
        return {name: places[name] for name in names}

    def new(self, places: AbstractSet[str]) -> Mapping[str, str]:
        """What dpkg calls the files of packages that wait for `places` until it has decided.

        Beside what a symlink leads to; where another one would be there, beside the symlink, as with dpkg, which then
        forgets it.
        """
        found = {place: place for place in places if self._read_link(place) is None}
        for place in sorted(places - found.keys(), key=encode_path):
            target = follow(place, self._read_link)
            found[place] = place if target in found.values() else target
        return {place: there + NEW for place, there in found.items()}

    def _is_taken(self, entry: Entry, place: str, kept: Path) -> bool:
        there = self._view.place(place)
        if there is None:
            return False
        status = there.lstat()
        if stat.S_ISDIR(status.st_mode):
            return False
        same = (
            stat.S_ISREG(status.st_mode)
            and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (entry.mode, entry.uid, entry.gid)
            and filecmp.cmp(there, kept / file_name(entry.path), shallow=False)
        )
        return not same and place not in self._owned()

    def _read_link(self, path: str) -> str | None:
        there = self._view.find(path)
        return there.target if there is not None and there.type == "symlink" else None


def _owned(trees: Sequence[Path]) -> frozenset[str]:
    """The paths that packages of an image have."""
    names = {name for tree in trees if (tree / INFO).is_dir() for name in os.listdir(tree / INFO)}
    view = TreesView(trees)
    return listed_places(view.read(f"{INFO}/{name}") for name in names if name.endswith(".list"))
