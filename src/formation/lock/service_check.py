"""Whether a lock still is of its service, and of what the service's base is now."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from formation.debian.archive import Archive
from formation.debian.package import BinaryPackage
from formation.definition.distribution import snapshot_of
from formation.definition.service_packages import package_definition
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import Variant
from formation.lock.base_facts import Present, present
from formation.lock.check import (
    UNKNOWN_CHANGE,
    archive_changes,
    contradictions,
    misfits,
    missing,
    older,
    told,
    unasked,
)
from formation.lock.model import Lock
from formation.lock.requests import requests_for

_WHO = "the definition"


Installed = Callable[[str], Sequence[BinaryPackage]]
"""Gives the packages of the base as it is now, on an architecture."""


def service_staleness(
    service: ServiceDefinition, lock: Lock, digests: Mapping[str, str], installed: Installed
) -> str | None:
    """Why `lock` is not of `service` any more, as the end of a sentence; None when it is.

    `digests` are those of the base's manifests as it is now, by architecture; what the base is to have is looked for on
    these, in what `installed` gives. That is called only where the lock does not have all that the service asks for.
    Nothing is asked of the archives.
    """
    wanted = package_definition(service, service_archives(service, lock))
    own = lock.definition == service.digest
    reasons = list(misfits(wanted, lock))
    if not lock.base:
        reasons.append("it is of a base, and the definition is a service")
    reasons += _base_changes(service, lock, digests)
    if not own and lock.suites:
        reasons += archive_changes(wanted, lock)
    reasons += told(_request_changes(wanted.variants[0], lock, own=own), service.architectures)
    if own and not reasons:
        reasons += told(_lacking(wanted.variants[0], lock, digests, installed), service.architectures)
    if not own and not reasons:
        return UNKNOWN_CHANGE
    return "; ".join(dict.fromkeys(reasons)) or None


def _request_changes(variant: Variant, lock: Lock, *, own: bool) -> Iterator[tuple[str, str]]:
    """Architectures, and what the locked packages tell of requests that came and went: what the base has leaves no
    trace in a lock. `own`: the lock says that it is of this very service."""
    for architecture, packages in lock.packages.items():
        requests = requests_for(variant, architecture)
        for reason in contradictions(_WHO, requests, variant.without, packages):
            yield architecture, reason
        if not own:
            yield from ((architecture, f"{name} was removed from {_WHO}") for name in unasked(requests, packages))


def _lacking(
    variant: Variant, lock: Lock, architectures: Iterable[str], installed: Installed
) -> Iterator[tuple[str, str]]:
    """Architectures, and what neither the lock nor the base has of what was asked for. The suite that a package of the
    base is from leaves no trace."""
    for architecture in architectures:
        requests = missing(requests_for(variant, architecture), lock.packages[architecture])
        base = present(tuple(installed(architecture))) if requests else Present({})
        for request in requests:
            has = base.packages.get(request.name)
            if has is None and request.name not in base.provided:
                yield architecture, f"it has no package for {request}, nor has the base{older(lock)}"
            if has is not None and request.version not in (None, has.version):
                yield architecture, f"it has no package for {request}, and the base has {has.version}"


def service_archives(service: ServiceDefinition, lock: Lock) -> tuple[Archive, ...]:
    """Where the packages of `lock` may be had: the service's archives, or those that the lock names."""
    return locked_archives(lock) if service.archives is None else service.archives


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
