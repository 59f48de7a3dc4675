"""What could be installed: every version that the indexes of a definition offer, and what each one provides."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from formation.debian.index import PackageIndex
from formation.debian.package import BinaryPackage, Relation
from formation.debian.relation import provisions_of
from formation.debian.request import PackageRequest
from formation.debian.version import provided_satisfies, satisfies, sort_key
from formation.errors import UnresolvableError


class Universe:
    """The packages of some indexes for one architecture. Built once, read by any number of resolutions.

    The order of `indexes` is the order of the archives, suites and components in the definition: as in apt, the
    first index wins between equal versions, and the order in which names first appear breaks ties between providers.
    """

    def __init__(self, indexes: Sequence[PackageIndex], *, architecture: str, priorities: Sequence[int]) -> None:
        """`priorities` are those of the indexes' suites, as `Release.priority` has them."""
        self.architecture = architecture
        self._indexes = tuple(indexes)
        self._priorities = tuple(priorities)
        self._positions: dict[str, list[tuple[int, int]]] = {}
        self._packages: dict[tuple[int, int], BinaryPackage] = {}
        installable = {architecture, "all"}
        positions = self._positions
        for number, index in enumerate(self._indexes):
            for position, (name, its_architecture) in enumerate(zip(index.names, index.architectures, strict=True)):
                if its_architecture in installable:
                    positions.setdefault(name, []).append((number, position))

    def candidate(self, name: str) -> BinaryPackage | None:
        """The version of `name` to install: the highest of the suites with the highest priority, from the first index
        that has it."""
        positions = self._positions.get(name)
        if not positions:
            return None
        if len(positions) > 1:
            return self._package(max(positions, key=self._sort_key))
        return self._package(positions[0])

    def versions(self, name: str) -> tuple[BinaryPackage, ...]:
        """All versions of `name`, the candidate first; empty when no index has it."""
        found = sorted(self._positions.get(name, ()), key=self._sort_key, reverse=True)
        return tuple(map(self._package, found))

    def requested(self, request: PackageRequest) -> BinaryPackage:
        """The package that `request` names.

        A virtual package stands for its provider when there is just one, as for apt-get.
        Raises UnresolvableError when there is none; the message has what there is instead.
        """
        name = request.name
        if request.architecture not in (None, self.architecture, "native", "all"):
            raise UnresolvableError(f"{request}: only packages of {self.architecture} and all can be installed")
        versions = self.versions(name)
        if not versions:
            return self._single_provider(request)
        for package in versions:
            if request.version in (None, package.version) and request.suite in (None, package.suite):
                return package
        offered = ", ".join(f"{package.version} ({package.suite})" for package in versions)
        suites = dict.fromkeys(index.suite for index in self._indexes)
        if request.suite is not None and request.suite not in suites:
            raise UnresolvableError(
                f"{request}: no archive has the suite {request.suite}; there are {', '.join(suites)}",
                hint="name an archive that has it under `archives:`",
            )
        if request.suite is not None:
            raise UnresolvableError(
                f"{request}: the suite {request.suite} does not have it; there is {offered}",
                hint=f"request {name}/{versions[0].suite}",
            )
        raise UnresolvableError(
            f"{request}: no archive has that version; there is {offered}", hint=f"request {name}={versions[0].version}"
        )

    def providers(self, name: str) -> Sequence[tuple[BinaryPackage, str | None]]:
        """The packages that provide `name`, with the version they provide it as. Not only candidates."""
        offers = self._offers.get(name, ())
        return [(self._package(position), version) for position, version in offers]

    def essential(self) -> tuple[BinaryPackage, ...]:
        """The candidates with Essential: yes, by name."""
        marked = {index.names[position] for index in self._indexes for position in index.essential}
        candidates = (self.candidate(name) for name in sorted(marked))
        return tuple(package for package in candidates if package and package.essential)

    def rank(self, name: str) -> int:
        """How late `name` first appears in the indexes, in any field. apt prefers the later of two equal providers."""
        return self._ranks.get(name, -1)

    def nearest(self, name: str) -> list[str]:
        """Up to three names of packages that look like `name`, the most alike first."""
        return difflib.get_close_matches(name, self._positions, n=3, cutoff=0.7)

    def _single_provider(self, request: PackageRequest) -> BinaryPackage:
        providers = {
            package.name: package
            for package, version in self.providers(request.name)
            if package is self._best(package.name, request.suite) and request.version in (None, version)
        }
        if len(providers) == 1:
            return next(iter(providers.values()))
        if providers:
            names = ", ".join(sorted(providers))
            raise UnresolvableError(
                f"{request} is a virtual package; {names} provide it", hint="request one of them by its own name"
            )
        offered = dict.fromkeys(
            f"{each.name} {each.version} ({each.suite})" for each, _ in self.providers(request.name)
        )
        if request.suite is not None and offered:
            raise UnresolvableError(
                f"{request}: nothing of the suite {request.suite} provides it; there is {', '.join(offered)}"
            )
        nearest = self.nearest(request.name)
        raise UnresolvableError(
            f"no archive of the definition has a package {request.name}",
            hint=f"did you mean {' or '.join(nearest)}?" if nearest else None,
        )

    def _best(self, name: str, suite: str | None) -> BinaryPackage | None:
        """The candidate; with a suite, what would be if there were no other."""
        if suite is None:
            return self.candidate(name)
        return next((package for package in self.versions(name) if package.suite == suite), None)

    def _package(self, position: tuple[int, int]) -> BinaryPackage:
        package = self._packages.get(position)
        if package is None:
            package = self._packages[position] = self._indexes[position[0]][position[1]]
        return package

    def _sort_key(self, position: tuple[int, int]) -> tuple[int, object, int]:
        number, place = position
        return self._priorities[number], sort_key(self._indexes[number].versions[place]), -number

    @cached_property
    def _offers(self) -> dict[str, list[tuple[tuple[int, int], str | None]]]:
        native = f":{self.architecture}"
        offers = defaultdict(list)
        for number, index in enumerate(self._indexes):
            for position, name, version in index.provisions:
                offers[name.removesuffix(native)].append(((number, position), version))
        return dict(offers)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        native = f":{self.architecture}"
        ranks: dict[str, int] = {}
        for index in self._indexes:
            for name in index.mentions:
                ranks.setdefault(name.removesuffix(native), len(ranks))
        return ranks


class Choices:
    """A universe as one resolution sees it: one candidate a name, after requests, exclusions and what is installed."""

    def __init__(
        self,
        universe: Universe,
        *,
        pinned: Iterable[BinaryPackage],
        installed: Iterable[BinaryPackage],
        without: frozenset[str],
    ) -> None:
        self.universe = universe
        self._without = without
        self._fixed = {package.name: package for package in installed}
        self._fixed.update((package.name, package) for package in pinned)
        self._candidates: dict[str, BinaryPackage | None] = {}
        self._matches: dict[tuple[str, str | None, str | None], tuple[BinaryPackage, ...]] = {}
        self._fixed_offers: dict[str, list[tuple[BinaryPackage, str | None]]] = defaultdict(list)
        for package in self._fixed.values():
            for name, version in provisions_of(package.name, package.version, package.multi_arch, package.provides):
                self._fixed_offers[name].append((package, version))

    def candidate(self, name: str) -> BinaryPackage | None:
        """The one version of `name` that may be installed; None when there is none or it is left out."""
        if name not in self._candidates:
            self._candidates[name] = self._find_candidate(name)
        return self._candidates[name]

    def matches(self, relation: Relation) -> tuple[BinaryPackage, ...]:
        """The candidates that satisfy `relation`: the package of that name first, then its providers."""
        key = (self.target(relation), relation.operator, relation.version)
        matches = self._matches.get(key)
        if matches is None:
            matches = self._matches[key] = self._find_matches(*key)
        return matches

    def target(self, relation: Relation) -> str:
        """The name that satisfies `relation`: with its qualifier, unless that says the architecture anyway."""
        if relation.qualifier in (None, "native", self.universe.architecture):
            return relation.name
        return f"{relation.name}:{relation.qualifier}"

    def _find_candidate(self, name: str) -> BinaryPackage | None:
        if name in self._without:
            return None
        return self._fixed.get(name) or self.universe.candidate(name)

    def _find_matches(self, name: str, operator: str | None, wanted: str | None) -> tuple[BinaryPackage, ...]:
        found: dict[str, BinaryPackage] = {}
        real = self.candidate(name)
        if real and satisfies(real.version, operator, wanted):
            found[name] = real
        for package, version in (*self.universe.providers(name), *self._fixed_offers.get(name, ())):
            chosen = self.candidate(package.name)
            if chosen is None or chosen is not package:
                continue
            if provided_satisfies(version, operator, wanted):
                found[package.name] = package
        return tuple(found.values())
