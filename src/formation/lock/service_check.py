"""Whether a lock still is of its service, and of what the service's base is now."""

from collections.abc import Iterable, Iterator, Mapping

from formation.debian.archive import Archive
from formation.debian.package import BinaryPackage
from formation.debian.request import PackageRequest
from formation.definition.distribution import snapshot_of
from formation.definition.service_packages import package_definition
from formation.definition.service_values import ServiceDefinition
from formation.lock.base_facts import present
from formation.lock.check import archive_changes, misfits, named, unmet
from formation.lock.model import Lock
from formation.lock.requests import requests_for


def service_staleness(service: ServiceDefinition, lock: Lock, digests: Mapping[str, str]) -> str | None:
    """Why `lock` is not of `service` any more, as the end of a sentence; None when it is.

    `digests` are those of the base's manifests as it is now, by architecture. Nothing is asked of the archives.
    """
    wanted = package_definition(service, locked_archives(lock) if service.archives is None else service.archives)
    reasons = list(misfits(wanted, lock))
    if not lock.base:
        reasons.append("it is of a base, and the definition is a service")
    reasons += _base_changes(service, lock, digests)
    if lock.definition != service.digest:
        reasons += archive_changes(wanted, lock) if lock.suites else ()
        reasons += _request_changes(service, lock)
        reasons = reasons or ["what decides its packages was changed in the definition"]
    return "; ".join(dict.fromkeys(reasons)) or None


def unlocked(service: ServiceDefinition, lock: Lock, architecture: str) -> tuple[PackageRequest, ...]:
    """The requests that the lock itself does not meet: the base does, or nothing, which `lacking` tells."""
    requests = requests_for(package_definition(service, ()).variants[0], architecture)
    return tuple(request for request, package in unmet(requests, named(lock.packages[architecture])) if package is None)


def lacking(requests: Iterable[PackageRequest], installed: tuple[BinaryPackage, ...], architecture: str) -> str | None:
    """Why a lock without packages for `requests` is not of a service on a base that has `installed`, as the end of a
    sentence; None when the base meets them all, in the version asked for.

    The suite that a package of the base is from leaves no trace.
    """
    base = present(installed)
    for request in requests:
        has = base.packages.get(request.name)
        if has is None and request.name not in base.provided:
            return f"it has no package for {request} on {architecture}, nor has the base"
        if has is not None and request.version not in (None, has.version):
            return f"it has no package for {request} on {architecture}, and the base has {has.version}"
    return None


def locked_archives(lock: Lock) -> tuple[Archive, ...]:
    """The archives as far as a lock knows them: without keys."""
    suites: dict[str, list[str]] = {}
    for suite in lock.suites:
        suites.setdefault(suite.archive, []).append(suite.suite)
    first = {suite.archive: suite for suite in reversed(lock.suites)}
    return tuple(
        Archive(name, first[name].uri, tuple(names), first[name].components, (), None, snapshot_of(first[name].uri))
        for name, names in suites.items()
    )


def _base_changes(service: ServiceDefinition, lock: Lock, digests: Mapping[str, str]) -> Iterator[str]:
    for base in lock.base:
        now = digests.get(base.architecture, base.digest)
        if base.name != service.base:
            yield f"its base is {base.name}, and the definition has {service.base}"
        elif base.digest != now:
            yield f"the base {base.name} moved since: it was {base.digest}, and is {now}"


def _request_changes(service: ServiceDefinition, lock: Lock) -> Iterator[str]:
    """What the locked packages tell of requests that came and went. What the base has leaves no trace in a lock."""
    variant = package_definition(service, ()).variants[0]
    for architecture, packages in lock.packages.items():
        there, own = named(packages), {package.name for package in packages}
        requests = requests_for(variant, architecture)
        for request, package in unmet(requests, there):
            if package is not None:
                yield f"the definition asks for {request}, and it has {package.version} of {package.suite}"
        yield from (f"-{name} was added to the definition" for name in service.without if name in own)
        asked = {request.name for request in requests}
        for package in packages:
            if package.because == "requested" and asked.isdisjoint({package.name, *package.requested_as}):
                yield f"{package.name} was removed from the definition"
