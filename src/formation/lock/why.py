"""Which request, or which essential package, brought a package into a lock."""

import difflib

from formation.dataclass import dataclass
from formation.definition.values import Definition
from formation.errors import AnswerIsNo, UsageError
from formation.lock.model import Lock, LockedPackage


@dataclass(frozen=True, slots=True)
class Link:
    """A package on the way."""

    name: str
    because: str
    """`requested`, `essential`, or the dependency field, such as `Depends`, of the next package on the way."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one locked package is there."""

    architectures: tuple[str, ...]
    """Of the lock, for which this is so."""
    package: LockedPackage
    chain: tuple[Link, ...]
    """From the package to what brought it in: a requested or an essential one."""
    place: str | None
    """`FILE:LINE` of the request at the end; None for an essential package, and for a request that is gone."""

    def __str__(self) -> str:
        """`libnghttp2-14 ← libcurl4t64 Depends ← curl Depends ← requested in formation.yaml:23`."""
        text = self.chain[0].name
        for link, puller in zip(self.chain, self.chain[1:], strict=False):
            text += f" ← {puller.name} {link.because}"
        end = self.chain[-1].because
        return f"{text} ← {end}" + (f" in {self.place}" if self.place else "")


def why(lock: Lock, definition: Definition, name: str) -> tuple[Reason, ...]:
    """The reasons for each locked package of this name, one for each version and architecture that differ.

    Raises AnswerIsNo when the lock has no such package: it is left out by the definition, or there are similar names;
    UsageError for no name.
    """
    if not name:
        raise UsageError("the name of the package is empty", hint="such as: formation why libc6")
    found: dict[Reason, list[str]] = {}
    for architecture, packages in lock.packages.items():
        for package in packages:
            if package.name == name:
                found.setdefault(_reason(packages, definition, package), []).append(architecture)
    if not found:
        for variant in definition.variants:
            if name in variant.without:
                place = definition.place_of_package(name)
                raise AnswerIsNo(f"the lock has no package {name}: {variant.name} leaves it out, in {place}")
        raise AnswerIsNo(f"the lock has no package {name}", hint=_similar(lock, name))
    return tuple(Reason(tuple(each), reason.package, reason.chain, reason.place) for reason, each in found.items())


def _reason(packages: tuple[LockedPackage, ...], definition: Definition, package: LockedPackage) -> Reason:
    chain: list[Link] = []
    passed: set[str] = set()
    current: LockedPackage | None = package
    while current is not None and current.name not in passed:
        passed.add(current.name)
        puller, _, field = current.because.rpartition(" ")
        chain.append(Link(current.name, field))
        current = _puller(packages, definition, puller, package.variants[0])
    last = chain[-1].name
    place = definition.place_of_package(last) if last in definition.package_lines else None
    return Reason((), package, tuple(chain), place if chain[-1].because == "requested" else None)


def _puller(
    packages: tuple[LockedPackage, ...], definition: Definition, name: str, variant: str
) -> LockedPackage | None:
    """The package `name` that `variant` has, from what it extends or of its own."""
    known = {each.name for each in definition.variants}
    lineage = {each.name for each in definition.lineage(variant)} if variant in known else {variant}
    named = [package for package in packages if package.name == name]
    return next((package for package in named if not lineage.isdisjoint(package.variants)), None)


def _similar(lock: Lock, name: str) -> str | None:
    """What the person may have meant: a source package, or another spelling."""
    packages = [package for each in lock.packages.values() for package in each]
    standing = sorted({package.name for package in packages if name in package.requested_as})
    if standing:
        return f"{name} is a virtual package, for which {' and '.join(standing)} stands"
    built = sorted({package.name for package in packages if package.source == name})
    if built:
        return f"{name} is the source of {', '.join(built)}"
    nearest = difflib.get_close_matches(name, sorted({package.name for package in packages}), n=3, cutoff=0.7)
    return f"did you mean {' or '.join(nearest)}?" if nearest else None
