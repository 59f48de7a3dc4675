"""What a new lock changes against the one before."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

from formation.dataclass import dataclass, replace
from formation.debian.version import compare, sort_key
from formation.lock.model import Lock, LockedPackage


class Versioned(Protocol):
    """A package of any kind; equal ones are the same package."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def __hash__(self) -> int: ...


Package = TypeVar("Package", bound=Versioned)


class Kind(StrEnum):
    """What happened to a package."""

    ADDED = "added"
    REMOVED = "removed"
    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    REBUILT = "rebuilt"
    """The same version with another digest."""
    MOVED = "moved"
    """The same package in other variants, or from another suite or archive."""


@dataclass(frozen=True, slots=True)
class Change:
    """One package that is not as before."""

    kind: Kind
    name: str
    architectures: tuple[str, ...]
    """Of the locks, for which this change is the same."""
    old: LockedPackage | None
    """None for an added one."""
    new: LockedPackage | None
    """None for a removed one."""

    @property
    def variants(self) -> tuple[str, ...]:
        """That add the package; for a removed one, that added it."""
        package = self.new or self.old
        return () if package is None else package.variants

    @property
    def way(self) -> tuple[str, str] | None:
        """From where to where a package moved: variants, suites or archives; None for another change."""
        if self.kind is not Kind.MOVED or self.old is None or self.new is None:
            return None
        before, after = _place(self.old), _place(self.new)
        return next((was, now) for was, now in zip(before, after, strict=True) if was != now)


def lock_changes(old: Lock | None, new: Lock) -> tuple[Change, ...]:
    """What `new` changes, by name; everything is added when there is no `old`.

    A package that is there for another reason, and otherwise as it was, is none of it.
    """
    found: dict[Change, list[str]] = {}
    before = {} if old is None else old.packages
    for architecture in dict.fromkeys([*before, *new.packages]):
        for pair in pairs(before.get(architecture, ()), new.packages.get(architecture, ())):
            if (change := _change(*pair)) is not None:
                found.setdefault(change, []).append(architecture)
    changes = (replace(change, architectures=tuple(each)) for change, each in found.items())
    return tuple(sorted(changes, key=lambda change: (change.name, change.architectures)))


def is_same(old: Lock, new: Lock) -> bool:
    """Whether `new` differs from `old` in the dates and signatures of the archives' metadata only.

    Such a lock builds the same packages, so a review has nothing to look at.
    """
    return (
        old.definition == new.definition
        and old.base == new.base
        and list(old.packages.items()) == list(new.packages.items())
        and [(s.archive, s.uri, s.suite, s.components) for s in old.suites]
        == [(s.archive, s.uri, s.suite, s.components) for s in new.suites]
    )


def pairs(old: Sequence[Package], new: Sequence[Package]) -> Iterator[tuple[Package | None, Package | None]]:
    """Each package that is not the same in `old` and `new`, beside the one of its name on the other side, or None.

    Variants may lock several versions of one name: then the highest that is left of each side goes with the other.
    """
    same = set(old) & set(new)
    before, after = _by_name(old, same), _by_name(new, same)
    for name in {**before, **after}:
        gone, came = before.get(name, []), after.get(name, [])
        while gone or came:
            yield gone.pop() if gone else None, came.pop() if came else None


def _by_name(packages: Sequence[Package], leave_out: set[Package]) -> dict[str, list[Package]]:
    """The packages of each name, the lowest version first."""
    found: dict[str, list[Package]] = {}
    for package in sorted(packages, key=lambda package: sort_key(package.version)):
        if package not in leave_out:
            found.setdefault(package.name, []).append(package)
    return found


def _change(old: LockedPackage | None, new: LockedPackage | None) -> Change | None:
    either = new or old
    assert either is not None
    kind = _kind(old, new)
    return None if kind is None else Change(kind, either.name, (), old, new)


def _kind(old: LockedPackage | None, new: LockedPackage | None) -> Kind | None:
    if old is None:
        return Kind.ADDED
    if new is None:
        return Kind.REMOVED
    order = compare(old.version, new.version)
    if order:
        return Kind.UPGRADED if order < 0 else Kind.DOWNGRADED
    if old.sha256 != new.sha256:
        return Kind.REBUILT
    return Kind.MOVED if _place(old) != _place(new) else None


def _place(package: LockedPackage) -> tuple[str, ...]:
    """Where a package is, and where it is from."""
    return ", ".join(package.variants), package.suite, package.archive
