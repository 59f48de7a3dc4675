"""Who ships what: the files and directories of all packages so far, and of what came with no package."""

from collections.abc import Container, Iterable, Mapping, Sequence
from io import BytesIO

from formation.debian.diversions import Diversion
from formation.entry import Entry, decode_path
from formation.errors import FormationError
from formation.install.additions import parents
from formation.install.conflicts import Contested, Overlaps, Shipped, find_overlaps, is_diverted, replaces
from formation.install.effects_record import Effects
from formation.install.layer import Owner
from formation.install.placement import merged_path

_ORDINARY: Owner = (0o755, 0, 0)


class Ownership:
    """Grows with every group of packages that is installed, and with every variant that is complete."""

    def __init__(self) -> None:
        self._directories: dict[str, Owner] = {}
        self._files: dict[str, Shipped | None] = {}
        """None where no package of ours owns it."""
        self._contested: list[Contested] = []

    def start(self, packages: Iterable[Shipped], directories: Mapping[str, Owner], others: Iterable[str]) -> None:
        """Takes down what a base has: its packages' files, all directories, and the files that no package owns.

        Nothing is there yet. The packages get along with each other: they are installed.
        """
        self._directories.update(directories)
        self._files.update((entry.path, package) for package in packages for entry in package.entries)
        self._files.update(dict.fromkeys(others))

    def add(self, packages: Iterable[Shipped]) -> Overlaps:
        """Takes down what `packages` ship; the first package to bring a directory decides its owner and mode.

        Gives the paths that packages, these or earlier ones, have in common; those that `contested` has are settled
        later. Raises FormationError when two packages cannot be installed together.
        """
        arrived = list(packages)
        for package in arrived:
            for entry in package.entries:
                if entry.type == "directory":
                    self._check_directory(package, entry.path)
                    self._add_directory(entry)
                elif entry.type != "symlink" and entry.path in self._directories:
                    raise FormationError(
                        f"{package.name} {package.version} ships a file /{entry.path}, where a directory is",
                        hint=f"leave it out: write -{package.name} under packages:",
                    )
        overlaps = find_overlaps(arrived, self._files, self._directories)
        self._contested.extend(overlaps.contested)
        return overlaps

    def renew(self, packages: Sequence[Shipped], effects: Effects) -> None:
        """Takes down what `packages` ship, of which there were other versions; what only those had is nobody's now.

        dpkg has installed them with these `effects`, so there is nothing to be said against them.
        """
        names = {package.name for package in packages}
        for path, owner in self._files.items():
            if owner is not None and owner.name in names:
                self._files[path] = None
        gone = {*effects.removed, *(entry.path for entry in effects.changed if entry.type != "directory")}
        for path in [path for path in self._directories if not gone.isdisjoint((path, *parents(path)))]:
            del self._directories[path]
            # Still a path of the layers below.
            self._files.setdefault(path, None)
        for package in packages:
            for entry in package.entries:
                other = self._files.get(entry.path)
                if entry.type == "directory":
                    self._add_directory(entry)
                elif other is None or not replaces(other, package):
                    self._files[entry.path] = package

    def override(self, directories: Iterable[Entry]) -> None:
        """Takes down directories that a package brings with other owners or modes than it has them."""
        self._directories.update((entry.path, (entry.mode, entry.uid, entry.gid)) for entry in directories)

    def _add_directory(self, entry: Entry) -> None:
        self._directories.setdefault(entry.path, (entry.mode, entry.uid, entry.gid))

    def _check_directory(self, package: Shipped, path: str) -> None:
        """Raises FormationError when another package ships a file there; a symlink may lead to a directory."""
        other = self._files.get(path)
        if other is not None and any(entry.path == path and entry.type != "symlink" for entry in other.entries):
            raise FormationError(
                f"{package.name} {package.version} ships a directory /{path}, where {other.name} {other.version} ships "
                "a file",
                hint=f"leave one out: write -{package.name} or -{other.name} under packages:",
            )

    def yielded(self, digest: str, present: Container[str]) -> Mapping[str, frozenset[str]]:
        """What the package whose .deb has `digest` loses to those of `present` where neither has diverted it: path →
        names of both.
        """
        mine = (each for each in self._contested if each.loser is not None and each.loser.digest == digest)
        return {each.path: each.names for each in mine if each.winner.digest in present}

    def settle(self, diversions: Sequence[Diversion]) -> Mapping[str, frozenset[str]]:
        """The paths that packages lose since nobody has diverted them, by the digest of their .deb.

        Raises FormationError when two packages ship a file, and neither replaces the other or diverts its file.
        """
        contested, self._contested = self._contested, []
        lost: dict[str, frozenset[str]] = {}
        for each in contested:
            if is_diverted(each.path, each.names, diversions):
                continue
            if each.loser is None:
                raise each.error()
            lost[each.loser.digest] = lost.get(each.loser.digest, frozenset()) | {each.path}
        return lost

    def move(self, digest: str, renames: Iterable[tuple[str, str]], away: Container[str]) -> None:
        """The package whose .deb has `digest` has its files elsewhere: as it ships them, and where they are.

        Those of `away` were diverted, the others lie beyond a symlink. Raises FormationError where another package has
        a file already.
        """
        for shipped, there in renames:
            path, target = merged_path(shipped), merged_path(there)
            owner = self._leave(digest, path)
            if shipped in away:
                self._files.setdefault(target, None)
            elif owner is not None:
                self._check_free(owner, path, target)
                self._files[target] = owner
            elif path in self._directories:
                # One that was there before keeps its owner and mode.
                self._directories.setdefault(target, self._directories[path])

    def _check_free(self, owner: Shipped, path: str, target: str) -> None:
        other = self._files.get(target)
        if other is not None and other.digest != owner.digest:
            raise FormationError(
                f"{owner.name} {owner.version} ships /{path}, which a symlink makes /{target}, and that is a file of "
                f"{other.name} {other.version}",
                hint=f"leave one out: write -{owner.name} or -{other.name} under packages:",
            )

    def _leave(self, digest: str, path: str) -> Shipped | None:
        owner = self._files.get(path)
        if owner is None or owner.digest != digest:
            return None
        del self._files[path]
        return owner

    def add_top(self, entries: Iterable[Entry]) -> None:
        """Takes down a top layer: what comes above it must repeat its directories as it left them."""
        for entry in entries:
            self._files.setdefault(entry.path, None)
            if entry.type == "directory":
                self._directories[entry.path] = (entry.mode, entry.uid, entry.gid)

    def special_directories(self) -> Mapping[str, Owner]:
        """The directories that are not root's with mode 0755."""
        return {path: owner for path, owner in self._directories.items() if owner != _ORDINARY}

    def owner(self, path: str) -> Shipped | None:
        """The package whose file is at `path`; None when it is no package's."""
        return self._files.get(path)

    def has_directory(self, path: str) -> bool:
        """Whether a directory is at `path`."""
        return path in self._directories

    def paths(self) -> frozenset[str]:
        """Everything in the tree, directories included."""
        return frozenset(self._files) | frozenset(self._directories)


def without_lost(listed: bytes, lost: Container[str]) -> bytes:
    """dpkg's file list of a package, one absolute path a line, without those that it loses; those as in the tree."""
    return b"".join(
        line for line in BytesIO(listed) if merged_path(decode_path(line[1:].removesuffix(b"\n"))) not in lost
    )
