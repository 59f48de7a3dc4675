"""From a Definition and its archives to a Lock."""

from collections.abc import Iterable, Mapping, Sequence

from formation.dataclass import replace
from formation.debian.archive import package_urls
from formation.debian.package import BinaryPackage
from formation.debian.request import PackageRequest
from formation.debian.resolver import Selected, resolve
from formation.debian.universe import Universe
from formation.definition.problems import joined_error
from formation.definition.values import Definition, Variant
from formation.errors import DefinitionError, UnresolvableError
from formation.lock.model import Lock, LockedPackage
from formation.lock.only import check_only
from formation.lock.requests import requests_for
from formation.lock.suites import fetch_suites, locked_suites, universes
from formation.network import Downloader
from formation.progress import Progress, counted
from formation.store.locking import in_use
from formation.store.store import Store


def make_lock(
    definition: Definition,
    *,
    downloader: Downloader,
    store: Store,
    now: int,
    progress: Progress,
    previous: Lock | None = None,
) -> Lock:
    """The lock of `definition` on its archives as they are now.

    `now` is in seconds since 1970. Metadata older than that of `previous` is refused. The result depends on nothing but
    the definition and the archives' content.

    Raises DefinitionError, with file and line, for requests, exclusions and `only` that name nothing; UnresolvableError
    for packages that do not go together; IntegrityError for metadata that is not right; UnreachableError; UsageError.
    """
    with in_use(store):
        suites = fetch_suites(
            definition, downloader=downloader, store=store, now=now, progress=progress, previous=previous
        )
        offers = universes(suites, definition.architectures, store, progress)
        check_exclusions(definition, offers.values())
        progress.start("resolve", len(definition.architectures) * len(definition.variants))
        packages = {
            architecture: _packages(definition, offers[architecture], progress)
            for architecture in definition.architectures
        }
    lock = Lock(
        definition=definition.digest,
        epoch=max(suite.date for suite in suites),
        suites=locked_suites(definition, suites),
        packages=packages,
    )
    check_paths(definition, lock)
    check_only(definition, lock)
    progress.finish("resolve", counted(len({package for each in packages.values() for package in each}), "package"))
    return lock


def _packages(definition: Definition, universe: Universe, progress: Progress) -> tuple[LockedPackage, ...]:
    """The packages of all variants on one architecture, by name."""
    chosen: dict[str, dict[str, Selected]] = {}
    locked: dict[tuple[str, str], LockedPackage] = {}
    check_requests(definition, universe)
    for variant in definition.variants:
        selected = _resolve(definition, variant, universe, _above(variant, chosen))
        chosen[variant.name] = {each.package.name: each for each in selected}
        asked = asked_names(universe, requests_for(variant, universe.architecture))
        for each in selected:
            key = (each.package.name, each.package.sha256)
            if variant.extends is None or each.package.name not in chosen[variant.extends]:
                entry = locked_package(each, variant, asked)
                locked[key] = _joined(locked[key], entry) if key in locked else entry
            elif names := asked.get(each.package.name):
                locked[key] = _also_asked(locked[key], names)
        progress.advance("resolve")
    return tuple(sorted(locked.values(), key=lambda package: (package.name, package.variants)))


def asked_names(universe: Universe, requests: Iterable[PackageRequest]) -> dict[str, tuple[str, ...]]:
    """Each package that `requests` ask for, and the names of virtual packages by which they do."""
    names: dict[str, tuple[str, ...]] = {}
    for request in requests:
        name = universe.requested(request).name
        names[name] = (*names.get(name, ()), *([request.name] if request.name != name else []))
    return names


def _above(variant: Variant, chosen: dict[str, dict[str, Selected]]) -> list[BinaryPackage]:
    """The packages of what `variant` extends."""
    return [] if variant.extends is None else [each.package for each in chosen[variant.extends].values()]


def _resolve(
    definition: Definition, variant: Variant, universe: Universe, above: list[BinaryPackage]
) -> Sequence[Selected]:
    """The packages of `variant`, those of what it extends among them, unchanged."""
    _check_kept(definition, variant, above)
    without = frozenset(name for each in definition.lineage(variant.name) for name in each.without)
    try:
        resolution = resolve(
            universe,
            requests_for(variant, universe.architecture),
            recommends=definition.recommends,
            essential=definition.essential,
            without=without,
            installed=above,
        )
    except UnresolvableError as error:
        place = place_of_error(definition, variant.packages, without, error.message)
        where = f"{place}: for {variant.name} on {universe.architecture}, "
        raise UnresolvableError(where + error.message, hint=error.hint) from error
    _check_shared(definition, variant, above, {each.package.name: each.package for each in resolution.packages})
    return resolution.packages


def place_of_error(
    definition: Definition, requests: Iterable[PackageRequest], without: Iterable[str], message: str
) -> str:
    """FILE:LINE of the first request that the first line of `message` names, else of the first exclusion that any line
    names; only FILE when there is neither."""
    first, every = (text.replace(",", " ").replace(":", " ").split() for text in (message.partition("\n")[0], message))
    named = [request.name for request in requests if request.name in first]
    named += sorted(name for name in without if name in every)
    name = next(iter(named), None)
    return definition.shown_path if name is None else definition.place_of_package(name)


def _check_kept(definition: Definition, variant: Variant, above: list[BinaryPackage]) -> None:
    """Raises DefinitionError that tells every package of what `variant` extends, whose layers it shares, that it leaves
    out."""
    there = {package.name: package for package in above}
    problems: list[tuple[str, str | None]] = [
        (
            f"{definition.place_of_package(name)}: {variant.extends} has {name} {there[name].version}, and "
            f"{variant.name}, which extends it, would go without it",
            f"leave it out of {variant.extends}, or make {variant.name} a definition of its own",
        )
        for name in variant.without
        if name in there
    ]
    if problems:
        raise joined_error(problems)


def _check_shared(
    definition: Definition, variant: Variant, above: list[BinaryPackage], chosen: dict[str, BinaryPackage]
) -> None:
    """Raises DefinitionError when `variant` would change a package of what it extends, whose layers it shares."""
    for package in above:
        now = chosen[package.name]
        if now != package:
            raise DefinitionError(
                f"{definition.place_of_package(package.name)}: {variant.extends} has {package.name} {package.version}, "
                f"and {variant.name}, which extends it, would have {now.version}",
                hint=f"ask for it in {variant.extends}, so that both have the same",
            )


def check_requests(definition: Definition, universe: Universe) -> None:
    """Raises DefinitionError that tells every request that names nothing, each with file and line."""
    problems: dict[str, str | None] = {}
    for variant in definition.variants:
        for request in requests_for(variant, universe.architecture):
            try:
                universe.requested(request)
            except UnresolvableError as error:
                problems[f"{definition.place_of_package(request.name)}: {error.message}"] = error.hint
    if problems:
        raise joined_error(list(problems.items()))


def check_exclusions(definition: Definition, universes: Iterable[Universe]) -> None:
    """Raises DefinitionError that tells every `-name` that cannot be, with file and line: one that is a package of no
    architecture, a virtual one, or an essential one of a definition that has those."""
    offers = tuple(universes)
    names = dict.fromkeys(name for variant in definition.variants for name in variant.without)
    essential = {package.name for each in offers for package in each.essential()} if definition.essential else set()
    problems: list[tuple[str, str | None]] = []
    for name in names:
        if name in essential:
            reason = f"{name} is essential, and what needs it does not say so (Debian Policy 3.8)"
            hint = "keep it, or write `essential: false` and ask for all that the image is to have"
            problems.append((f"{definition.place_of_package(name)}: {reason}", hint))
            continue
        if any(each.versions(name) for each in offers):
            continue
        if providers := sorted({package.name for each in offers for package, _ in each.providers(name)}):
            reason = f"{name} is a virtual package, and nothing is left out by it; {', '.join(providers)} provide it"
            problems.append((f"{definition.place_of_package(name)}: {reason}", "leave them out by their own names"))
            continue
        nearest = " or ".join(f"-{other}" for other in offers[0].nearest(name))
        message = f"{definition.place_of_package(name)}: no archive of the definition has a package {name} to leave out"
        problems.append((message, f"did you mean {nearest}?" if nearest else None))
    if problems:
        raise joined_error(problems)


def locked_package(selected: Selected, variant: Variant, asked: Mapping[str, tuple[str, ...]]) -> LockedPackage:
    """The entry of a package that `variant` adds. `asked` is what `asked_names` gives."""
    package = selected.package
    # What a variant adds comes after a complete system: none of it is needed to unpack and configure the others. Its
    # packages may yet be a second way to meet an essential one's dependency, which is not why they are here.
    adds = variant.extends is not None
    return LockedPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,
        source=package.source,
        source_version=package.source_version,
        sha256=package.sha256,
        size=package.size,
        installed_size=package.installed_size,
        archive=package.archive,
        suite=package.suite,
        path=package.path,
        variants=(variant.name,),
        because="requested" if package.name in asked and selected.because != "essential" else selected.because,
        essential=selected.essential and not adds,
        requested_as=tuple(sorted(set(asked.get(package.name, ())))),
    )


def _joined(first: LockedPackage, again: LockedPackage) -> LockedPackage:
    """One entry for a package that several variants add."""
    return replace(_also_asked(first, again.requested_as), variants=tuple(sorted({*first.variants, *again.variants})))


def _also_asked(package: LockedPackage, names: Iterable[str]) -> LockedPackage:
    """The entry of a package that is asked for by these names of virtual packages as well."""
    return replace(package, requested_as=tuple(sorted({*package.requested_as, *names})))


def check_paths(definition: Definition, lock: Lock) -> None:
    """Raises MalformedError for a package that is not inside its archive."""
    archives = {archive.name: archive for archive in definition.archives}
    for packages in lock.packages.values():
        for package in packages:
            package_urls(archives[package.archive], package.path, epoch=lock.epoch)
