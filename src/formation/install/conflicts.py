"""Files that two packages ship: one replaces the other, or the two cannot be installed together.

Source: Debian policy 7.6.1; dpkg's src/main/archives.c.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass

from formation.debian.deb822 import parse_stanza
from formation.debian.relation import parse_relations
from formation.debian.version import satisfies
from formation.entry import Entry
from formation.errors import FormationError


@dataclass(frozen=True, slots=True)
class Shipped:
    """A package and what it puts into the tree."""

    name: str
    version: str
    architecture: str
    digest: str
    entries: Iterable[Entry]
    control: bytes


def find_replaced(
    packages: Iterable[Shipped], owners: MutableMapping[str, Shipped | None]
) -> Mapping[str, frozenset[str]]:
    """Digest of a .deb → paths of it that another package replaces; packages that lose nothing are left out.

    `owners` says which package owns which path so far (None: no package's), and is brought up to date.

    Raises FormationError when two packages ship a path and neither replaces the other.
    """
    lost: dict[str, set[str]] = {}
    for package in packages:
        for entry in package.entries:
            if entry.type == "directory":
                continue
            other = owners.get(entry.path)
            if other is None or other.digest == package.digest:
                owners[entry.path] = package
            elif _replaces(package, other):
                lost.setdefault(other.digest, set()).add(entry.path)
                owners[entry.path] = package
            elif _replaces(other, package):
                lost.setdefault(package.digest, set()).add(entry.path)
            else:
                raise FormationError(
                    f"{package.name} {package.version} and {other.name} {other.version} both ship /{entry.path}, and "
                    "neither replaces the other",
                    hint=f"leave one out: write -{package.name} or -{other.name} under packages:",
                )
    return {digest: frozenset(paths) for digest, paths in lost.items()}


def _replaces(package: Shipped, other: Shipped) -> bool:
    """Whether `package` declares that its files may take the place of those of `other`."""
    stanza = parse_stanza(package.control)
    return any(
        relation.name == other.name and satisfies(other.version, relation.operator, relation.version)
        for group in parse_relations(stanza.get("Replaces", ""), package.architecture)
        for relation in group
    )
