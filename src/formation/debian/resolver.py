"""Which packages to install for some requests: the same that apt-get chooses on the same archives."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from formation.dataclass import dataclass
from formation.debian.explain import unresolvable
from formation.debian.leftovers import remove_leftovers
from formation.debian.marking import Marker, positive_groups
from formation.debian.package import BinaryPackage
from formation.debian.relation import provisions_of
from formation.debian.repair import repair
from formation.debian.request import PackageRequest
from formation.debian.suite_choice import follow_suites
from formation.debian.universe import Choices, Universe
from formation.debian.version import compare
from formation.errors import UnresolvableError


@dataclass(frozen=True, slots=True)
class Selected:
    """A package of the result."""

    package: BinaryPackage
    because: str
    """`requested`, `essential`, `installed`, or `PULLER FIELD` such as `curl Depends`."""
    essential: bool
    """An essential package, or one that an essential package (pre-)depends on."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Packages that can be installed together."""

    packages: tuple[Selected, ...]
    """Sorted by name."""


def resolve(
    universe: Universe,
    requests: Sequence[PackageRequest],
    *,
    recommends: bool,
    essential: bool = True,
    without: frozenset[str] = frozenset(),
    installed: Sequence[BinaryPackage] = (),
) -> Resolution:
    """The packages to have installed for `requests`, as apt-get would choose them.

    `essential` adds all essential packages, before the requests. `without` names packages that must not be chosen.
    `installed` are there already: they stay as they are unless a request names them, and the result includes them.
    The result depends on nothing but the arguments.

    Raises UnresolvableError when a request names nothing, or not all can be met; its message says why.
    """
    essentials = [package for package in universe.essential() if package.name not in without] if essential else []
    present = {package.name: package for package in installed}
    wanted = {package.name: present.get(package.name, package) for package in essentials}
    asked = [(request, _meant(request, universe, present)) for request in requests]
    for request, package in asked:
        if package.name in without:
            raise UnresolvableError(f"{request} is requested, and left out by the definition as well")
        # The order of the requests counts, whichever of them decides the version.
        wanted.setdefault(package.name, package)
    wanted.update((package.name, package) for _, package in sorted(asked, key=lambda each: _exactness(*each)))
    exact = {package.name for request, package in asked if _exactness(request, package)}
    _check_agreement(asked, wanted)
    suites = [(package, request.suite) for request, package in asked if request.suite is not None]
    pinned = follow_suites(suites, universe, wanted, present, exact=exact, recommends=recommends)
    wanted = {name: pinned[name] for name in wanted}
    choices = Choices(universe, pinned=pinned.values(), installed=installed, without=without)
    marker = Marker(choices, installed, recommends=recommends)
    marker.request(list(wanted.values()))
    repair(marker)
    if any(marker.broken()):
        raise unresolvable(marker, list(wanted.values()), exact, without)
    remove_leftovers(marker)
    return Resolution(tuple(_reasons(marker, [package.name for package in essentials], wanted)))


def _exactness(request: PackageRequest, package: BinaryPackage) -> int:
    """How well `request` knows which version of `package` it means, 0 for any; of several, the best decides."""
    if request.version is None and request.suite is None:
        return 0
    return 2 if request.name == package.name else 1


def _check_agreement(
    asked: Iterable[tuple[PackageRequest, BinaryPackage]], wanted: Mapping[str, BinaryPackage]
) -> None:
    """Raises UnresolvableError for a request of a suite when another one is of the package in another version."""
    for request, package in asked:
        chosen = wanted[package.name]
        if request.suite is not None and chosen is not package:
            raise UnresolvableError(
                f"{request} is {package.name} {package.version} of {package.suite}, and another request is of "
                f"{chosen.version} of {chosen.suite}",
                hint="keep one of them",
            )


def _meant(request: PackageRequest, universe: Universe, present: Mapping[str, BinaryPackage]) -> BinaryPackage:
    """The package that `request` names. One that is there already is enough for a name that it provides, and for its
    own where the archives have nothing newer: apt undoes no upgrade."""
    package = universe.requested(request)
    there = present.get(package.name)
    if there is None or _exactness(request, package):
        return package
    if request.name == package.name:
        return there if compare(there.version, package.version) >= 0 else package
    provided = provisions_of(there.name, there.version, there.multi_arch, there.provides)
    return there if request.name in {name for name, _ in provided} else package


_DEPENDENCIES = ("Pre-Depends", "Depends")


def _reasons(marker: Marker, essentials: Sequence[str], wanted: Iterable[str]) -> Iterator[Selected]:
    """Each selected package with the shortest way to it: from the essential ones, else the requests, else the rest.

    A way over dependencies alone goes before one that needs a recommendation, and that before a suggestion.
    """
    because: dict[str, str] = {}
    needed = _reach(marker, because, dict.fromkeys(essentials, "essential"), _DEPENDENCIES)
    because.update((name, "installed") for name in marker.installed if name not in essentials)
    because.update((name, "requested") for name in wanted if name not in essentials)
    for fields in (_DEPENDENCIES, (*_DEPENDENCIES, "Recommends"), (*_DEPENDENCIES, "Recommends", "Suggests")):
        _reach(marker, because, dict(because), fields)
    for name in sorted(marker.selected):
        yield Selected(marker.selected[name], because[name], essential=name in needed)


def _reach(marker: Marker, because: dict[str, str], starts: dict[str, str], fields: Sequence[str]) -> set[str]:
    """Notes in `because` what leads to each package that `starts` lead to; gives the names that were reached."""
    because.update(starts)
    reached = set(starts)
    waiting = deque(starts)
    while waiting:
        puller = marker.selected[waiting.popleft()]
        for field, group in (*positive_groups(puller, recommends=True), *(("Suggests", g) for g in puller.suggests)):
            if field not in fields:
                continue
            for match in (match for relation in group for match in marker.choices.matches(relation)):
                if marker.selected.get(match.name) is match and match.name not in because:
                    because[match.name] = f"{puller.name} {field}"
                    reached.add(match.name)
                    waiting.append(match.name)
    return reached
