"""What a service's lock needs to know of the base."""

from collections.abc import Mapping

from formation.dataclass import dataclass, field
from formation.debian.archive import Archive
from formation.debian.package import BinaryPackage
from formation.debian.relation import provisions_of


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """A base on one architecture."""

    digest: str
    """Of its manifest, `sha256:…`."""
    epoch: int
    """When it was made, in seconds since 1970; 0 when it does not say."""
    installed: tuple[BinaryPackage, ...] | None
    """Sorted by name; None: it has no dpkg database, so no package can be added."""
    archives: tuple[Archive, ...]
    """Those that it was made from; empty when nothing in it says. Key files are absolute paths."""


@dataclass(frozen=True, slots=True)
class Present:
    """The installed packages of a base, by what they are asked for as."""

    packages: Mapping[str, BinaryPackage]
    """By name."""
    provided: frozenset[str] = field(default_factory=frozenset)
    """Names that some of them provides beside its own."""


def present(packages: tuple[BinaryPackage, ...]) -> Present:
    """`packages` by name, and what they provide."""
    offers = (provisions_of(each.name, each.version, each.multi_arch, each.provides) for each in packages)
    return Present({each.name: each for each in packages}, frozenset(name for offer in offers for name, _ in offer))
