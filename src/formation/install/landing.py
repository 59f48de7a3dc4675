"""Where files land whose directory is reached through a symlink: where the kernel would put them for dpkg.

A package ships ./var/run/foo/pid, and /var/run is a symlink to /run: dpkg unpacks /run/foo/pid, and its database goes
on calling the file /var/run/foo/pid. Source: dpkg's src/main/archives.c, `tarobject`.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from formation.dataclass import dataclass, replace
from formation.entry import Entry, encode_path
from formation.errors import FormationError
from formation.install.additions import parents
from formation.install.inside import follow
from formation.install.placement import SegmentSpec, merged_path

_IMPLIED = 0o755


@dataclass(frozen=True, slots=True)
class Arriving:
    """A package that is about to be unpacked."""

    name: str
    entries: Sequence[Entry]
    """Sorted by path."""
    diverted: Mapping[str, str]
    """Where a path goes by dpkg's diversions."""


@dataclass(frozen=True, slots=True)
class Landings:
    """Where the packages of a stage differ from what they ship."""

    followed: Mapping[str, str]
    """Symlink → the directory that it leads to; neither has a symlink on its way."""
    covered: frozenset[str]
    """Symlinks of the packages that are not made: dpkg keeps the directory that is there, and the symlink that leads to
    the same one."""
    waiting: frozenset[str] = frozenset()
    """Where conffiles would be that dpkg itself puts in place, or leaves aside."""


NOWHERE_ELSE = Landings({}, frozenset())
"""Everything is where it is shipped."""


class Ground:
    """A stack of trees, top first, that is asked about many paths. Whiteouts of overlayfs hide what is below."""

    def __init__(self, trees: Sequence[Path]) -> None:
        self._stacks: dict[str, tuple[str, ...]] = {"": tuple(map(str, trees))}
        self._found: dict[str, os.stat_result | None] = {}
        self._links: dict[str, str] = {}

    def directory(self, path: str) -> os.stat_result | None:
        """The status of a directory; None when `path` is none."""
        status = self._look(path)
        return status if status is not None and stat.S_ISDIR(status.st_mode) else None

    def read_link(self, path: str) -> str | None:
        """The target of a symlink; None when `path` is none."""
        self._look(path)
        return self._links.get(path)

    def _look(self, path: str) -> os.stat_result | None:
        if path not in self._found:
            parent, _, name = path.rpartition("/")
            if parent:
                self._look(parent)
            stack = self._stacks.get(parent, ())
            self._found[path] = self._find(path, [f"{tree}/{name}" for tree in stack])
        return self._found[path]

    def _find(self, path: str, places: Iterable[str]) -> os.stat_result | None:
        """The topmost of `places`, and, where it is a directory, what merges with it."""
        merged: list[str] = []
        found = None
        for place in places:
            try:
                status = os.lstat(place)
            except FileNotFoundError:
                continue
            if found is None:
                found = status
                if stat.S_ISLNK(status.st_mode):
                    self._links[path] = os.readlink(place)
            if not stat.S_ISDIR(status.st_mode):
                break
            merged.append(place)
        self._stacks[path] = tuple(merged)
        return None if found is not None and stat.S_ISCHR(found.st_mode) else found


def find_landings(packages: Sequence[Arriving], ground: Ground) -> Landings:
    """What `packages`, unpacked together onto `ground`, follow and find taken.

    A symlink that one of them ships counts as there before the directory of another, where it leads to a directory and
    makes no two files one. Raises FormationError for a directory in the place of a symlink that leads to none.
    """
    shipped = {
        entry.path: entry.target
        for package in packages
        for entry in package.entries
        if entry.type == "symlink" and not ground.directory(entry.path)
    }
    wanted = _directories(packages)
    kept = {path for path in shipped.keys() & wanted.keys() if _must_give_way(path, packages, shipped, wanted, ground)}
    links = {path: target for path, target in shipped.items() if path not in kept}

    def read_link(path: str) -> str | None:
        return links.get(path) or ground.read_link(path)

    followed: dict[str, str] = {}
    for path in sorted(wanted, key=encode_path):
        parent, _, name = path.rpartition("/")
        place = _join(land(parent, followed) if parent else "", name)
        if place in followed or read_link(place) is None:
            continue
        target = follow(place, read_link)
        if not _is_directory(target, wanted, ground):
            raise FormationError(
                f"{wanted[path]} ships a directory /{path}, where there is a symlink that leads to no directory: "
                f"/{place} → {read_link(place)}",
                hint=f"leave one out: write -{wanted[path]} under packages:",
            )
        followed[place] = target

    def is_taken(link: Entry, diverted: Mapping[str, str]) -> bool:
        place = land_file(link.path, followed)
        if ground.directory(place):
            return True
        return link.path not in diverted and _leads_there(place, link.target, read_link, wanted, ground)

    taken = {
        entry.path
        for package in packages
        for entry in package.entries
        if entry.type == "symlink" and is_taken(entry, package.diverted)
    }
    return Landings(followed, frozenset(kept | taken))


def land(directory: str, followed: Mapping[str, str]) -> str:
    """Where the directory of a package is in the tree."""
    if not followed:
        return directory
    done = ""
    for name in directory.split("/"):
        done = _join(done, name)
        done = followed.get(done, done)
    return done


def land_file(path: str, followed: Mapping[str, str]) -> str:
    """Where anything but a directory of a package is in the tree."""
    parent, _, name = path.rpartition("/")
    return _join(land(parent, followed), name) if parent else path


def placed(package: Arriving, landings: Landings) -> Iterator[tuple[Entry, str]]:
    """What of `package` is unpacked, in its order, and where."""
    for entry in package.entries:
        if entry.type == "directory":
            yield entry, land(entry.path, landings.followed)
        elif entry.path not in landings.covered:
            yield entry, land_file(package.diverted.get(entry.path, entry.path), landings.followed)


def landed(package: Arriving, landings: Landings, before: Ground) -> tuple[tuple[Entry, ...], Mapping[str, str]]:
    """What to unpack, directories before their content, and where to put those files that go elsewhere.

    A directory that was there `before` keeps its owner and mode. Those that preinst scripts made or changed keep them
    too, but as a difference to what the packages ship: that is what makes it an effect.
    """
    directories: dict[str, Entry] = {}
    files: list[Entry] = []
    moved: dict[str, str] = {}
    for entry, place in placed(package, landings):
        if entry.type == "directory":
            directories[place] = replace(entry, path=place)
        else:
            files.append(entry)
            if place != entry.path:
                moved[entry.path] = place
        for parent in parents(place):
            directories.setdefault(parent, Entry(parent, "directory", _IMPLIED))
    for path, entry in directories.items():
        status = before.directory(path) if path else None
        if status is not None:
            mode = stat.S_IMODE(status.st_mode)
            directories[path] = replace(entry, mode=mode, uid=status.st_uid, gid=status.st_gid)
    made = sorted(directories.values(), key=lambda entry: encode_path(entry.path))
    return (*made, *files), moved


def settled_spec(
    spec: SegmentSpec, listed: Iterable[str], entries: Iterable[Entry], away: Mapping[str, str], landings: Landings
) -> SegmentSpec:
    """`spec`, by which a package was unpacked, with where its files are once its stage is configured.

    `listed` are the absolute paths that it ships, `entries` what is unpacked of them, `away` the diversions of them.
    """
    types = {entry.path: entry.type for entry in entries}
    renames = {}
    waiting = set()
    for path in (line[1:] for line in listed):
        target = merged = merged_path(away.get(path, path))
        kind = types.get(merged_path(path))
        if kind is not None:
            target = (land if kind == "directory" else land_file)(merged, landings.followed)
        if target in landings.waiting:
            waiting.add(target)
        if target != merged:
            renames[path] = target
        elif path in away:
            renames[path] = away[path]
    covered = {land_file(path, landings.followed) for path in landings.covered if types.get(path) == "symlink"}
    return replace(
        spec,
        omit=frozenset(land_file(path, landings.followed) for path in spec.omit),
        covered=spec.covered | covered | waiting,
        renames=tuple(sorted(renames.items())),
    )


def _directories(packages: Iterable[Arriving]) -> dict[str, str]:
    """Every directory that the packages ship or imply, and the first package that does."""
    found: dict[str, str] = {}
    for package in packages:
        for entry in package.entries:
            path = package.diverted.get(entry.path, entry.path)
            if entry.type == "directory" and path:
                found.setdefault(path, package.name)
            parent = path.rpartition("/")[0]
            while parent and parent not in found:
                found[parent] = package.name
                parent = parent.rpartition("/")[0]
    return found


def _must_give_way(
    link: str, packages: Iterable[Arriving], links: Mapping[str, str], wanted: Mapping[str, str], ground: Ground
) -> bool:
    """Whether a symlink cannot stand where another package of its stage ships a directory."""
    target = follow(link, lambda path: links.get(path) or ground.read_link(path))
    if not _is_directory(target, wanted, ground):
        return True
    paths = [entry.path for package in packages for entry in package.entries if entry.type != "directory"]
    moved = {target + path.removeprefix(link) for path in paths if path.startswith(f"{link}/")}
    return not moved.isdisjoint(paths)


def _leads_there(
    path: str, target: str, read_link: Callable[[str], str | None], wanted: Mapping[str, str], ground: Ground
) -> bool:
    """Whether the symlink that is at `path` leads to the very directory to which one to another `target` would.

    dpkg keeps it then (`linktosameexistingdir`). With the same target nobody could tell: the package's own is made.
    """
    there = ground.read_link(path)
    if there is None or there == target:
        return False

    def link(name: str) -> str | None:
        return there if name == path else read_link(name)

    shipped = target if target.startswith("/") else _join(path.rpartition("/")[0], target)
    try:
        found = follow(path, link)
        return found == follow(shipped, link) and _is_directory(found, wanted, ground)
    except FormationError:
        # A loop leads nowhere.
        return False


def _is_directory(path: str, wanted: Mapping[str, str], ground: Ground) -> bool:
    return not path or path in wanted or ground.directory(path) is not None


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name
