"""Whether a lock still is of its definition."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from formation.debian.request import PackageRequest
from formation.definition.values import Definition
from formation.lock.model import Lock, LockedPackage
from formation.lock.only import check_only
from formation.lock.requests import requests_for

UNKNOWN_CHANGE = "what decides its packages was changed in the definition"
"""Where nothing in a lock tells what."""


def staleness(definition: Definition, lock: Lock) -> str | None:
    """Why `lock` is not of `definition` any more, as the end of a sentence; None when it is.

    Only what decides the packages counts: a definition whose labels or files changed keeps its lock. Nothing is asked
    of the archives, so a lock is not stale because they have something newer.

    Raises DefinitionError as `check_only` when it is of `definition`.
    """
    own = lock.definition == definition.digest
    reasons = list(misfits(definition, lock))
    if not own:
        reasons += archive_changes(definition, lock)
    # The digest is text that anyone can edit; what the build relies on is looked at all the same.
    reasons += told(_request_changes(definition, lock, own=own), definition.architectures)
    if own and not reasons:
        check_only(definition, lock)
        return None
    return "; ".join(dict.fromkeys(reasons)) or UNKNOWN_CHANGE


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


def _request_changes(definition: Definition, lock: Lock, *, own: bool) -> Iterator[tuple[str, str]]:
    """Architectures, and what the definition asks for that the lock has otherwise there, or had to have.

    `own`: the lock says that it is of this very definition.
    """
    for architecture in definition.architectures:
        for variant in definition.variants if architecture in lock.packages else ():
            lineage = frozenset(each.name for each in definition.lineage(variant.name))
            requests, packages = requests_for(variant, architecture), lock.of(architecture, lineage)
            for request in missing(requests, packages):
                reason = f"it has no package for {request}, which {variant.name} asks for"
                yield architecture, reason + (older(lock) if own else "")
            for reason in contradictions(variant.name, requests, variant.without, packages):
                yield architecture, reason
            if not own:
                alone = [package for package in packages if package.variants == (variant.name,)]
                yield from (
                    (architecture, f"{name} was removed from {variant.name}") for name in unasked(requests, alone)
                )


def told(found: Iterable[tuple[str, str]], architectures: Collection[str]) -> Iterator[str]:
    """Each reason once, with the architectures for which it was found unless it was for all."""
    where: dict[str, list[str]] = {}
    for architecture, reason in found:
        where.setdefault(reason, []).append(architecture)
    for reason, those in where.items():
        yield reason if set(those) == set(architectures) else f"{reason}, on {' and '.join(dict.fromkeys(those))}"


def missing(requests: Iterable[PackageRequest], packages: Iterable[LockedPackage]) -> tuple[PackageRequest, ...]:
    """The `requests` whose names lead to none of `packages`."""
    there = _named(packages)
    return tuple(request for request in requests if request.name not in there)


def contradictions(
    who: str, requests: Iterable[PackageRequest], without: Iterable[str], packages: Sequence[LockedPackage]
) -> Iterator[str]:
    """What `who` asks for in another version or suite than `packages` have it, and what it leaves out and they have."""
    there = _named(packages)
    for request in requests:
        package = there.get(request.name)
        if package is not None and not _is_met(request, package):
            yield f"{who} asks for {request}, and it has {package.version} of {package.suite}"
    names = {package.name for package in packages}
    yield from (f"{who} leaves out {name}, and it has that" for name in without if name in names)


def unasked(requests: Iterable[PackageRequest], packages: Iterable[LockedPackage]) -> Iterator[str]:
    """The names by which `packages` were requested when they were locked, and none of `requests` does now."""
    asked = {request.name for request in requests}
    for package in packages:
        if package.because == "requested" and asked.isdisjoint({package.name, *package.requested_as}):
            yield from package.requested_as or (package.name,)


def older(lock: Lock) -> str:
    """What may explain that a lock of the very definition has no package for a request; empty when nothing does."""
    if any(package.requested_as for packages in lock.packages.values() for package in packages):
        return ""
    return " (one of an older Formation does not tell which package stands for a virtual one)"


def _named(packages: Iterable[LockedPackage]) -> dict[str, LockedPackage]:
    """`packages` by all that requests may call them: their own names, and those of virtual packages."""
    found = {package.name: package for package in packages}
    return {name: package for package in found.values() for name in package.requested_as} | found


def _is_met(request: PackageRequest, package: LockedPackage) -> bool:
    """Whether `package`, to which the name of `request` leads, is what it asks for, as far as a lock tells.

    It does not tell which version of a virtual package is provided; nor every suite that has a package, when several
    variants add it.
    """
    is_version = request.name != package.name or request.version in (None, package.version)
    return is_version and (request.suite in (None, package.suite) or len(package.variants) > 1)


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
