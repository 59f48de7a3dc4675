"""What the packages of a service are installed onto: the tree, the packages and the files of its base."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.image import scan_layers
from formation.contents.layer import LayerEntry
from formation.contents.packages import InstalledPackage
from formation.dataclass import dataclass
from formation.debian.database import PackageName
from formation.debian.diversions import FILE as DIVERSIONS
from formation.debian.diversions import Diversion, diverted, parse_diversions
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.base_tree import base_tree, chain_key
from formation.install.conflicts import Shipped
from formation.install.job import Base
from formation.install.layer import Owner
from formation.install.placement import merged_path
from formation.install.stages import Stage, StagePackage
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class Foundation:
    """A base, as an installation goes on from it."""

    tree: Path
    before: Stage
    """What the first stage comes after: its clock is when the base was made."""
    staged: Mapping[str, StagePackage]
    """The packages of the base by a digest that stands for each; their .debs are not known."""
    shipped: tuple[Shipped, ...]
    """The same packages with the files that they own, in the order of `staged`."""
    directories: Mapping[str, Owner]
    unowned: frozenset[str]
    """Files and symlinks that no package has."""


def lay_foundation(store: Store, base: Base, work: Path) -> Foundation:
    """Unpacks `base` and reads its dpkg database. `work` is a directory on the store's file system.

    Raises FormationError for a base onto which no package can be installed, and what `base_tree` raises.
    """
    layers = base.image.layers
    contents = scan_layers(layers, store, workers=1)
    merged = filesystem(contents)
    _check_merged_usr(merged)
    packages = [package for package in merged.packages()[0] if package.installed]
    diversions = parse_diversions(merged.content(DIVERSIONS) or b"")
    tree = base_tree(store, layers, contents, merged, work)
    files = {path: node.entry for path, node in merged if node.entry.type != "directory"}
    listed = {package.stem: tuple(_places(package, merged, diversions)) for package in packages}
    diverting = {diversion.package for diversion in diversions}
    shipped = tuple(
        Shipped(
            package.name,
            package.version,
            package.architecture,
            _stand_in(package),
            tuple(_entry(path, files[path]) for path in listed[package.stem] if path in files),
            _control(package),
            diverts=package.name in diverting,
        )
        for package in packages
    )
    owned = {entry.path for package in shipped for entry in package.entries}
    return Foundation(
        tree,
        Stage((), False, chain_key(layers), base.epoch),
        {_stand_in(package): _staged(package, tree) for package in packages},
        shipped,
        {path: (n.entry.mode, n.entry.uid, n.entry.gid) for path, n in merged if path and n.entry.type == "directory"},
        frozenset(files.keys() - owned),
    )


def _check_merged_usr(merged: Filesystem) -> None:
    """Raises FormationError where /bin is a directory of its own."""
    there = merged.get("bin")
    if there is not None and there.entry.type == "directory":
        raise FormationError(
            "the base has a /bin of its own, and packages can only be added where it is a link to /usr/bin",
            hint="apt-get install usrmerge in the base, or take one of Debian 12 or later",
        )


def _places(package: InstalledPackage, merged: Filesystem, diversions: Sequence[Diversion]) -> Iterator[str]:
    """Where the files of `package` are, diversions followed."""
    listed = merged.package_files(package).paths or ()
    moves = dict(diverted(package.name, [f"/{path}" for path in listed], diversions))
    return (merged_path(moves.get(path, path)) for path in listed)


def _entry(path: str, there: LayerEntry) -> Entry:
    """The file of a package that is at `path`. A layer may have it by another way; size and time mean nothing."""
    return Entry(path, there.type, there.mode, target=there.target)


def _stand_in(package: InstalledPackage) -> str:
    """What stands for the digest of a .deb that is not known."""
    return f"base:{package.name}:{package.architecture}"


def _control(package: InstalledPackage) -> bytes:
    return str(package.stanza).encode("utf-8", "surrogateescape")


def _staged(package: InstalledPackage, tree: Path) -> StagePackage:
    name = PackageName(package.name, package.architecture, package.multi_arch == "same")
    return StagePackage(name, package.version, "", tree, {"control": _control(package)}, (), 0)
