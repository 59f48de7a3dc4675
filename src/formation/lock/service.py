"""From a service, its base and its archives to the service's lock: what it adds to the base or renews there."""

import re
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence

from formation.dataclass import replace
from formation.debian.archive import Archive
from formation.debian.marking import positive_groups
from formation.debian.package import BinaryPackage
from formation.debian.relation import provisions_of
from formation.debian.request import PackageRequest
from formation.debian.resolver import Resolution, Selected, resolve
from formation.debian.universe import Universe
from formation.debian.version import compare, satisfies
from formation.definition.problems import joined_error
from formation.definition.service_packages import package_definition
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import Definition
from formation.errors import DefinitionError, UnresolvableError
from formation.lock.base_facts import BaseFacts, present
from formation.lock.model import Lock, LockedBase, LockedPackage
from formation.lock.requests import requests_for
from formation.lock.resolve import (
    asked_names,
    check_exclusions,
    check_paths,
    check_requests,
    locked_package,
    place_of_error,
)
from formation.lock.suites import fetch_suites, locked_suites, universes
from formation.network import Downloader
from formation.progress import Progress, counted
from formation.store.locking import in_use
from formation.store.store import Store


def make_service_lock(
    service: ServiceDefinition,
    bases: Mapping[str, BaseFacts],
    *,
    downloader: Downloader,
    store: Store,
    now: int,
    progress: Progress,
    previous: Lock | None = None,
) -> Lock:
    """The lock of `service` on `bases`, by architecture, and its archives as they are now.

    No archive is read when the base has all that the service asks for. `now` is in seconds since 1970. Metadata older
    than that of `previous` is refused.

    A package of the base stays as it is unless a request asks for another version or a suite.

    Raises DefinitionError, with file and line, for a request that names nothing, or an older version than the base has;
    UnresolvableError for packages that do not go with those of the base; and what `make_lock` raises.
    """
    requests = {each: _missing(service, each, bases[each]) for each in service.architectures}
    locked = tuple(LockedBase(service.base, each, bases[each].digest) for each in service.architectures)
    epoch = max(facts.epoch for facts in bases.values())
    if not any(requests.values()):
        return Lock(service.digest, epoch, (), dict.fromkeys(service.architectures, ()), locked)
    wanted = package_definition(service, _archives(service, bases))
    with in_use(store):
        suites = fetch_suites(wanted, downloader=downloader, store=store, now=now, progress=progress, previous=previous)
        offers = universes(suites, service.architectures, store, progress)
        check_exclusions(wanted, offers.values())
        packages = _all_added(wanted, requests, bases, offers, progress)
    lock = Lock(
        definition=service.digest,
        epoch=max(epoch, *(suite.date for suite in suites)),
        suites=locked_suites(wanted, suites),
        packages=packages,
        base=locked,
    )
    check_paths(wanted, lock)
    return lock


def _archives(service: ServiceDefinition, bases: Mapping[str, BaseFacts]) -> tuple[Archive, ...]:
    """The service's archives, or those of its base: of the first architecture, should they differ."""
    archives = bases[service.architectures[0]].archives if service.archives is None else service.archives
    if not archives:
        raise DefinitionError(
            f"{service.place(('packages',))}: nothing in {service.base} says which archives it was made from",
            hint="write `distribution: debian/trixie`, or archives",
        )
    for archive in archives:
        if not archive.keys:
            raise DefinitionError(
                f"{service.place(('packages',))}: {service.base} was made from {archive.uri}, and has no keys for it",
                hint="write `archives:` with the keys that sign it",
            )
    return archives


def _missing(service: ServiceDefinition, architecture: str, base: BaseFacts) -> tuple[PackageRequest, ...]:
    """The requests that the base does not meet as it is. Raises DefinitionError for what no service may ask of it."""
    variant = package_definition(service, ()).variants[0]
    requests = requests_for(variant, architecture)
    if base.installed is None:
        if not requests:
            return ()
        raise DefinitionError(
            f"{service.place(('packages',))}: {service.base} has no dpkg database, so no package can be added to it",
            hint="leave out `packages:`, or take a base that was made of Debian packages",
        )
    there = present(base.installed)
    problems: list[tuple[str, str | None]] = []
    for name in service.without:
        if name in there.packages:
            reason = f"{service.base} has {name} {there.packages[name].version}, and a service removes nothing from it"
            problems.append((f"{service.place_of_package(name)}: {reason}", f"take a base without {name}"))
    missing = []
    for request in requests:
        has = there.packages.get(request.name)
        if has is None or request.version not in (None, has.version) or request.suite is not None:
            missing.append(request)
    if problems:
        raise joined_error(problems)
    return tuple(missing)


def _all_added(
    wanted: Definition,
    requests: Mapping[str, Sequence[PackageRequest]],
    bases: Mapping[str, BaseFacts],
    offers: Mapping[str, Universe],
    progress: Progress,
) -> dict[str, tuple[LockedPackage, ...]]:
    """The packages to add, by architecture."""
    progress.start("resolve", len(requests))
    packages = {}
    for architecture, missing in requests.items():
        packages[architecture] = _added(wanted, missing, offers[architecture], bases[architecture].installed or ())
        progress.advance("resolve")
    count = len({package for each in packages.values() for package in each})
    progress.finish("resolve", f"{counted(count, 'package')} beyond the base's")
    return packages


def _added(
    wanted: Definition, missing: Sequence[PackageRequest], universe: Universe, installed: Sequence[BinaryPackage]
) -> tuple[LockedPackage, ...]:
    """The packages to add to `installed` for the requests that are `missing`, sorted by name."""
    there = present(tuple(installed))
    # A virtual package that the base provides is met, whatever else of the archives provides it. It has neither version
    # nor suite.
    requests = [
        each
        for each in missing
        if universe.versions(each.name) or each.version or each.suite or each.name not in there.provided
    ]
    variant = replace(wanted.variants[0], packages=tuple(requests))
    check_requests(replace(wanted, variants=(variant,)), universe)
    _check_age(wanted, requests, universe, there.packages)
    resolution = _resolved(wanted, requests, universe, installed)
    asked = asked_names(universe, requests)
    _check_changes(wanted, asked, there.packages, {each.package.name: each.package for each in resolution.packages})
    selected = [each for each in resolution.packages if _is_new(each.package, there.packages)]
    reasons = _reasons([each.package for each in selected], asked)
    # What the base needs was there before the service: nothing that is added is essential.
    explained = (Selected(each.package, reasons.get(each.package.name, each.because), False) for each in selected)
    return tuple(locked_package(each, variant, asked) for each in explained)


def _resolved(
    wanted: Definition, requests: Sequence[PackageRequest], universe: Universe, installed: Sequence[BinaryPackage]
) -> Resolution:
    """The packages of the base, as they were but for what was asked, and what goes with them."""
    try:
        return resolve(
            universe,
            requests,
            recommends=wanted.recommends,
            essential=False,
            without=frozenset(wanted.variants[0].without),
            installed=installed,
        )
    except UnresolvableError as error:
        place = place_of_error(wanted, requests, wanted.variants[0].without, error.message)
        hint = error.hint or _way_out(error.message, requests, universe, installed)
        where = f"{place}: on {universe.architecture}, with the packages of the base as they are, "
        raise UnresolvableError(where + error.message, hint=hint) from error


def _way_out(
    reasons: str, requests: Iterable[PackageRequest], universe: Universe, installed: Iterable[BinaryPackage]
) -> str | None:
    """What may help where packages do not go with those of the base."""
    words = set(re.findall(r"[a-z0-9][a-z0-9+.-]+", reasons)) - {request.name for request in requests}
    if "is left out by the definition" in reasons:
        return None
    told = [package for package in installed if package.name in words]
    offers = [(there, now) for there in told if (now := universe.candidate(there.name)) is not None]
    older = [there for there, now in offers if compare(now.version, there.version) < 0]
    if older:
        name, version = older[0].name, older[0].version
        suite = next((each.suite for each in universe.versions(name) if compare(each.version, version) >= 0), None)
        if suite is None:
            return "the archives are older than the base: take those that the base was made from"
        return f"the base has {name} of {suite}: ask for what needs it of that suite, too: NAME/{suite}"
    newer = [f"{now.name}={now.version}" for _, now in offers if _would_do(now, reasons)]
    if newer:
        return f"ask for these too: {' '.join(newer)}; or build a base that has them"
    conflict = re.search(r" (Conflicts|Breaks): ", reasons)
    if told and conflict:
        names = ", ".join(package.name for package in told)
        return f"take a base without {names}, or leave out what cannot be with it"
    if conflict:
        return None
    return "a base that is older than its archives is locked and built anew: formation lock, then formation build"


def _would_do(package: BinaryPackage, reasons: str) -> bool:
    """Whether `package` in the place of the base's would take away every one of the `reasons` that name a version."""
    named = re.compile(rf"(?<![a-z0-9+.-]){re.escape(package.name)} \(([<>=]+) ([^)]+)\)")
    relations = [
        (operator, version, re.search(r" (Conflicts|Breaks): ", line) is not None)
        for line in reasons.splitlines()
        for operator, version in named.findall(line)
    ]
    return bool(relations) and all(satisfies(package.version, each, to) != bad for each, to, bad in relations)


def _is_new(package: BinaryPackage, there: Mapping[str, BinaryPackage]) -> bool:
    return package.name not in there or package.version != there[package.name].version


def _check_age(
    wanted: Definition,
    requests: Iterable[PackageRequest],
    universe: Universe,
    there: Mapping[str, BinaryPackage],
) -> None:
    """Raises DefinitionError for a request of an older version than the base has."""
    for request in requests:
        package = universe.requested(request)
        has = there.get(package.name)
        # A request of a name alone is met by the newer one.
        if (request.version, request.suite) != (None, None) and has and compare(package.version, has.version) < 0:
            raise DefinitionError(
                f"{wanted.place_of_package(request.name)}: {package.name} {package.version} is older than the "
                f"{has.version} that the base has, and dpkg undoes no upgrade",
                hint="build a base that has the older version",
            )


def _check_changes(
    wanted: Definition, asked: Container[str], before: Mapping[str, BinaryPackage], after: Mapping[str, BinaryPackage]
) -> None:
    """Raises UnresolvableError when a package of the base goes, or changes that was not `asked` for."""
    changed = [each for name, each in before.items() if name not in after or _is_new(after[name], before)]
    unasked = [each for each in changed if each.name not in asked or each.name not in after]
    if unasked:
        names = ", ".join(f"{package.name} {package.version}" for package in unasked)
        told = [f"{each.name}={after[each.name].version}" for each in unasked if each.name in after]
        hint = "build a base that has what they need"
        if len(told) == len(unasked):
            hint += f", or ask for these too: {' '.join(told)}"
        raise UnresolvableError(f"{wanted.shown_path}: its packages would change what the base has: {names}", hint=hint)


def _reasons(added: Sequence[BinaryPackage], asked: Iterable[str]) -> dict[str, str]:
    """Why each of `added` is there, over packages that are added themselves: the shortest way from what was asked for.

    The resolver tells the shortest way from anything, and a package of the base may recommend what a service adds.
    """
    by_name = {package.name: package for package in added}
    meets: dict[str, list[str]] = {}
    for package in added:
        offers = provisions_of(package.name, package.version, package.multi_arch, package.provides)
        for name in {package.name, *(offer.removesuffix(":any") for offer, _ in offers)}:
            meets.setdefault(name, []).append(package.name)
    because = {name: "requested" for name in asked if name in by_name}
    for recommends in (False, True):
        waiting = deque(because)
        while waiting:
            puller = by_name[waiting.popleft()]
            for kind, group in positive_groups(puller, recommends=recommends):
                for name in (name for relation in group for name in meets.get(relation.name, ())):
                    if name not in because:
                        because[name] = f"{puller.name} {kind}"
                        waiting.append(name)
    return because
