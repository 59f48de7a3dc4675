"""Whether a lock still is of its definition."""

from collections.abc import Iterable, Iterator, Mapping

from formation.debian.request import PackageRequest
from formation.definition.values import Definition, Variant
from formation.lock.model import Lock, LockedPackage
from formation.lock.only import check_only
from formation.lock.requests import requests_for


def staleness(definition: Definition, lock: Lock) -> str | None:
    """Why `lock` is not of `definition` any more, as the end of a sentence; None when it is.

    Only what decides the packages counts: a definition whose labels or files changed keeps its lock. Nothing is asked
    of the archives, so a lock is not stale because they have something newer.

    Raises DefinitionError as `check_only` when it is of `definition`.
    """
    if lock.definition == definition.digest:
        # The digest is text that anyone can edit; what the build relies on is looked at all the same.
        misfit = next((reason for check in (misfits, _unmet) for reason in check(definition, lock)), None)
        if misfit is None:
            check_only(definition, lock)
        return misfit
    reasons = list(dict.fromkeys([*misfits(definition, lock), *archive_changes(definition, lock)]))
    reasons += dict.fromkeys(_request_changes(definition, lock))
    return "; ".join(reasons) or "what decides its packages was changed in the definition"


def misfits(definition: Definition, lock: Lock) -> Iterator[str]:
    """What of the definition the lock does not have, or has too much."""
    for architecture in definition.architectures:
        if architecture not in lock.packages:
            yield f"it has no packages for {architecture}"
    for architecture in lock.packages:
        if architecture not in definition.architectures:
            yield f"it is for {architecture}, which the definition dropped"
    known = {variant.name for variant in definition.variants}
    locked = {name for packages in lock.packages.values() for package in packages for name in package.variants}
    yield from (f"its variant {name} is not in the definition" for name in sorted(locked - known))
    archives = {archive.name for archive in definition.archives}
    gone = dict.fromkeys(suite.archive for suite in lock.suites if suite.archive not in archives)
    yield from (f"its archive {name} is not in the definition" for name in gone)


def _unmet(definition: Definition, lock: Lock) -> Iterator[str]:
    """Requests that the lock of the very definition does not meet: an entry of it was taken away, or replaced."""
    for architecture in definition.architectures:
        for variant in definition.variants:
            there = named(_packages(definition, lock, variant, architecture))
            for request, package in unmet(requests_for(variant, architecture), there):
                if package is None:
                    yield f"it has no package for {request}, which {variant.name} asks for on {architecture}"
                else:
                    has = f"{package.version} of {package.suite}"
                    yield f"{variant.name} asks for {request}, and it has {has} on {architecture}"


def named(packages: Iterable[LockedPackage]) -> dict[str, LockedPackage]:
    """`packages` by all that requests may call them: their own names, and those of virtual packages."""
    found = {package.name: package for package in packages}
    return {name: package for package in found.values() for name in package.requested_as} | found


def unmet(
    requests: Iterable[PackageRequest], there: Mapping[str, LockedPackage]
) -> Iterator[tuple[PackageRequest, LockedPackage | None]]:
    """The `requests` that a lock does not meet, each with the package that its name leads to; None: there is none.

    `there` is what `named` gives.
    """
    for request in requests:
        package = there.get(request.name)
        if package is None or not _is_met(request, package):
            yield request, package


def _is_met(request: PackageRequest, package: LockedPackage) -> bool:
    """Whether `package`, to which the name of `request` leads, is what it asks for, as far as a lock tells.

    It does not tell which version of a virtual package is provided; nor every suite that has a package, when several
    variants add it.
    """
    if request.name != package.name:
        return True
    return request.version in (None, package.version) and (
        request.suite in (None, package.suite) or len(package.variants) > 1
    )


def _packages(definition: Definition, lock: Lock, variant: Variant, architecture: str) -> tuple[LockedPackage, ...]:
    """All that `variant` has, with what it extends."""
    return lock.of(architecture, frozenset(each.name for each in definition.lineage(variant.name)))


def archive_changes(definition: Definition, lock: Lock) -> Iterator[str]:
    locked = {(suite.archive, suite.suite): suite for suite in lock.suites}
    archives = {archive.name: archive for archive in definition.archives}
    for archive in definition.archives:
        for name in archive.suites:
            suite = locked.get((archive.name, name))
            if suite is None:
                yield f"the suite {name} of {archive.name} was added"
            elif suite.uri != archive.uri:
                yield f"{archive.name} moved to {archive.uri}"
            elif suite.components != archive.components:
                yield f"the components of {archive.name} were changed"
    for suite in lock.suites:
        if suite.archive in archives and suite.suite not in archives[suite.archive].suites:
            yield f"the suite {suite.suite} of {suite.archive} was removed"


def _request_changes(definition: Definition, lock: Lock) -> Iterator[str]:
    """Requests that came and went, as far as the locked packages tell."""
    for architecture, packages in lock.packages.items():
        if architecture in definition.architectures:
            for variant in definition.variants:
                yield from _added(variant, architecture, named(_packages(definition, lock, variant, architecture)))
                yield from _removed(variant, architecture, packages)


def _added(variant: Variant, architecture: str, there: dict[str, LockedPackage]) -> Iterator[str]:
    for request, package in unmet(requests_for(variant, architecture), there):
        if package is None:
            yield f"{request} was added to {variant.name}"
        else:
            yield f"{variant.name} now asks for {request}, and the lock has {package.version} of {package.suite}"
    for name in variant.without:
        if name in there and there[name].name == name:
            yield f"-{name} was added to {variant.name}"


def _removed(variant: Variant, architecture: str, packages: tuple[LockedPackage, ...]) -> Iterator[str]:
    requested = {request.name for request in requests_for(variant, architecture)}
    for package in packages:
        asked = package.because == "requested" and package.variants == (variant.name,)
        if asked and requested.isdisjoint({package.name, *package.requested_as}):
            yield f"{package.name} was removed from {variant.name}"
