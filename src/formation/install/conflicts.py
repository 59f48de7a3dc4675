"""Files that two packages ship: one replaces or diverts the other's, or the two cannot be installed together.

Source: Debian policy 7.6.1; dpkg's src/main/archives.c.
"""

from collections.abc import Container, Iterable, Mapping, MutableMapping
from posixpath import dirname, join, normpath

from formation.dataclass import dataclass
from formation.debian.deb822 import parse_stanza
from formation.debian.diversions import Diversion
from formation.debian.relation import parse_relations
from formation.debian.version import satisfies
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.placement import merged_path


@dataclass(frozen=True, slots=True)
class Shipped:
    """A package and what it puts into the tree."""

    name: str
    version: str
    architecture: str
    digest: str
    entries: Iterable[Entry]
    control: bytes
    diverts: bool
    """Whether its preinst may divert files of others."""


@dataclass(frozen=True, slots=True)
class Contested:
    """A path that two packages ship, and that a diversion of one of them may give to both."""

    path: str
    package: Shipped
    other: Shipped
    loser: Shipped | None
    """The one that loses it when neither has diverted it; None when they cannot be installed together then."""

    @property
    def winner(self) -> Shipped:
        """The one that has it then."""
        return self.package if self.loser is self.other else self.other

    @property
    def names(self) -> frozenset[str]:
        """Of the two packages."""
        return frozenset({self.package.name, self.other.name})

    def error(self) -> FormationError:
        """That neither does."""
        return FormationError(
            f"{self.package.name} {self.package.version} and {self.other.name} {self.other.version} both ship "
            f"/{self.path}, and neither replaces the other",
            hint=f"leave one out: write -{self.package.name} or -{self.other.name} under packages:",
        )


def is_diverted(path: str, names: Container[str], diversions: Iterable[Diversion]) -> bool:
    """Whether one of the packages with these `names` moves what others ship at `path` away."""
    return any(d.package in names and merged_path(d.path) == path for d in diversions)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """What several packages ship."""

    lost: Mapping[str, frozenset[str]]
    """Digest of a .deb → paths of it that another package replaces; packages that lose nothing are left out."""
    contested: tuple[Contested, ...]
    alike: Mapping[str, frozenset[str]]
    """Digest of a .deb → symlinks of it; another package has one to the same directory, which dpkg keeps."""


def find_overlaps(
    packages: Iterable[Shipped], owners: MutableMapping[str, Shipped | None], directories: Container[str] = ()
) -> Overlaps:
    """The paths that two of `packages` ship, or one of them and one before.

    `owners` says which package owns which path so far (None: no package's), and is brought up to date. `directories`
    are there, or come with `packages`.

    Raises FormationError when neither of two packages can take the path from the other.
    """
    lost: dict[str, set[str]] = {}
    alike: dict[str, set[str]] = {}
    contested: list[Contested] = []
    for package in packages:
        for entry in package.entries:
            if entry.type == "directory":
                continue
            other = owners.get(entry.path)
            if other is None or other.digest == package.digest:
                owners[entry.path] = package
                continue
            if not (package.diverts or other.diverts) and _is_kept(entry, other, directories):
                alike.setdefault(package.digest, set()).add(entry.path)
                continue
            loser = other if replaces(package, other) else package if replaces(other, package) else None
            if package.diverts or other.diverts:
                contested.append(Contested(entry.path, package, other, loser))
            elif loser is None:
                raise Contested(entry.path, package, other, None).error()
            else:
                lost.setdefault(loser.digest, set()).add(entry.path)
            if loser is other:
                owners[entry.path] = package
    return Overlaps(_frozen(lost), tuple(contested), _frozen(alike))


def _frozen(paths: Mapping[str, set[str]]) -> Mapping[str, frozenset[str]]:
    return {digest: frozenset(them) for digest, them in paths.items()}


def _is_kept(entry: Entry, other: Shipped, directories: Container[str]) -> bool:
    """Whether `entry` is a symlink to a directory, and `other` has one to the same (dpkg's `linktosameexistingdir`)."""
    if entry.type != "symlink" or (place := _led_to(entry)) not in directories:
        return False
    its = (each for each in other.entries if (each.path, each.type) == (entry.path, "symlink"))
    return any(_led_to(each) == place for each in its)


def _led_to(link: Entry) -> str:
    """Where a symlink leads, as far as its words say that."""
    return merged_path(normpath(join("/", dirname(link.path), link.target)).lstrip("/"))


def replaces(package: Shipped, other: Shipped) -> bool:
    """Whether `package` declares that its files may take the place of those of `other`."""
    stanza = parse_stanza(package.control)
    return any(
        relation.name == other.name and satisfies(other.version, relation.operator, relation.version)
        for group in parse_relations(stanza.get("Replaces", ""), package.architecture)
        for relation in group
    )
