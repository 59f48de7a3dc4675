"""`name/suite` takes from that suite what the package needs as well, where apt's candidate of it would not do."""

from collections.abc import Iterable, Mapping, Sequence

from formation.debian.package import BinaryPackage, Relation
from formation.debian.universe import Universe
from formation.debian.version import satisfies


def follow_suites(
    requested: Iterable[tuple[BinaryPackage, str]],
    universe: Universe,
    wanted: Mapping[str, BinaryPackage],
    installed: Mapping[str, BinaryPackage],
    *,
    recommends: bool,
) -> dict[str, BinaryPackage]:
    """By name, what is to be the candidate: all of `wanted`, and what `requested` packages need of their suites.

    Source: apt's apt-pkg/depcache.cc, pkgDepCache::SetCandidateRelease.
    """
    following = _Following(universe, wanted, installed, recommends=recommends)
    for package, suite in requested:
        following.follow(package, suite)
    return following.chosen


class _Following:
    def __init__(
        self,
        universe: Universe,
        wanted: Mapping[str, BinaryPackage],
        installed: Mapping[str, BinaryPackage],
        *,
        recommends: bool,
    ) -> None:
        self._universe = universe
        self._wanted = wanted
        self._installed = installed
        self._recommends = recommends
        self.chosen = dict(wanted)

    def follow(self, package: BinaryPackage, suite: str) -> bool:
        """Makes `package` the candidate, and what it needs of `suite`. False, and nothing is changed, when that lacks
        something."""
        before = dict(self.chosen)
        self.chosen[package.name] = package
        needed = [(group, True) for group in (*package.pre_depends, *package.depends)]
        needed += [(group, False) for group in package.recommends if self._recommends]
        for group, required in needed:
            if not self._is_fine(group) and not self._switch(group, suite) and required:
                self.chosen = before
                return False
        return True

    def _is_fine(self, group: Sequence[Relation]) -> bool:
        """Whether a candidate would do."""
        return any(
            (package is not None and satisfies(package.version, relation.operator, relation.version))
            or (relation.operator is None and bool(self._universe.providers(relation.name)))
            for relation in group
            for package in (self._candidate(relation.name),)
        )

    def _switch(self, group: Sequence[Relation], suite: str) -> bool:
        """Makes the first of `group` that `suite` has as it must be the candidate; False when there is none."""
        for relation in group:
            # Another version changes nothing for who takes any; and what was asked for stays.
            if relation.operator is None or relation.name in self._wanted:
                continue
            for package in self._universe.versions(relation.name):
                if package.suite == suite and satisfies(package.version, relation.operator, relation.version):
                    if self.follow(package, suite):
                        return True
                    break
        return False

    def _candidate(self, name: str) -> BinaryPackage | None:
        return self.chosen.get(name) or self._installed.get(name) or self._universe.candidate(name)
