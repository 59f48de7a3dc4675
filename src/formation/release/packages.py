"""What happened to the packages between two images or locks."""

from collections.abc import Mapping, Sequence
from typing import Literal

from formation.dataclass import dataclass, replace
from formation.debian.version import compare
from formation.lock.changes import pairs

PackageKind = Literal["added", "removed", "upgraded", "downgraded", "rebuilt", "moved"]
"""`rebuilt`: the same version, another digest. `moved`: the same version in other variants or from another suite."""


@dataclass(frozen=True, slots=True)
class PackageState:
    """A package on one side."""

    name: str
    """With `:ARCHITECTURE` for one of another architecture than the image's."""
    version: str
    source: str
    source_version: str
    size: int
    """Bytes that it takes: of its files in an image, what its control file says in a lock."""
    sha256: str = ""
    """Digest of the .deb, `sha256:…`; empty when nobody says."""
    suite: str = ""
    """`trixie-security`; empty when nobody says."""
    variants: tuple[str, ...] = ()
    """Of a lock: those that add it. Empty for an image."""
    promised_size: int = 0
    """Of an image: bytes that the package's control file says, where it does. They are a lock's measure: an image
    leaves documentation out, and counts no directories."""


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that is not as before."""

    kind: PackageKind
    name: str
    architectures: tuple[str, ...]
    """For which this change is the same; Debian's names."""
    old: PackageState | None
    """None for an added one."""
    new: PackageState | None
    """None for a removed one."""

    @property
    def either(self) -> PackageState:
        """The package as it is now, or as it was when it is gone."""
        state = self.new or self.old
        assert state is not None
        return state

    @property
    def grown(self) -> int:
        """Bytes by which it grew; negative when it shrank."""
        return (self.new.size if self.new else 0) - (self.old.size if self.old else 0)


def measured_as_in_locks(packages: Sequence[PackageState]) -> tuple[PackageState, ...]:
    """The packages of an image, with sizes that can be compared with a lock's."""
    return tuple(replace(each, size=each.promised_size or each.size) for each in packages)


def package_changes(
    old: Mapping[str, Sequence[PackageState]], new: Mapping[str, Sequence[PackageState]]
) -> tuple[PackageChange, ...]:
    """The changes from `old` to `new`, each the packages per architecture; sorted by name."""
    found: dict[PackageChange, list[str]] = {}
    for architecture in dict.fromkeys([*old, *new]):
        for pair in pairs(old.get(architecture, ()), new.get(architecture, ())):
            if (change := _change(*pair)) is not None:
                found.setdefault(change, []).append(architecture)
    changes = (replace(change, architectures=tuple(each)) for change, each in found.items())
    return tuple(sorted(changes, key=lambda change: (change.name, change.architectures)))


def suite_family(suite: str) -> str:
    """The suite whose promises a suite keeps: `trixie` for trixie-updates and trixie-security.

    Backports keep nobody's: they are new versions. Source: the archives' own release notes.
    """
    for ending in ("-updates", "-security", "-proposed-updates", "/updates"):
        suite = suite.removesuffix(ending)
    return suite


def _change(old: PackageState | None, new: PackageState | None) -> PackageChange | None:
    either = new or old
    assert either is not None
    kind = _kind(old, new)
    return None if kind is None else PackageChange(kind, either.name, (), old, new)


def _kind(old: PackageState | None, new: PackageState | None) -> PackageKind | None:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    order = compare(old.version, new.version)
    if order:
        return "upgraded" if order < 0 else "downgraded"
    if old.sha256 and new.sha256 and old.sha256 != new.sha256:
        return "rebuilt"
    suites = (suite_family(old.suite), suite_family(new.suite))
    moved = (all(suites) and suites[0] != suites[1]) or (
        bool(old.variants and new.variants) and old.variants != new.variants
    )
    return "moved" if moved else None
