"""`name/suite` takes from that suite what the package needs as well, where apt's candidate of it would not do."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from formation.debian.deep import Steps, run_deep
from formation.debian.package import BinaryPackage, Relation
from formation.debian.universe import Universe
from formation.debian.version import satisfies


def follow_suites(
    requested: Iterable[tuple[BinaryPackage, str]],
    universe: Universe,
    wanted: Mapping[str, BinaryPackage],
    installed: Mapping[str, BinaryPackage],
    *,
    exact: Collection[str],
    recommends: bool,
) -> dict[str, BinaryPackage]:
    """By name, what is to be the candidate: all of `wanted`, and what `requested` packages need of their suites.

    What is `wanted` in one version, because its name is among the `exact` ones, stays; others may be of the suite too.

    Source: apt's apt-pkg/depcache.cc, pkgDepCache::SetCandidateRelease.
    """
    following = _Following(universe, wanted, installed, exact, recommends=recommends)
    for package, suite in requested:
        following.follow(package, suite)
    return following.chosen


_Steps = Steps[BinaryPackage]
"""One call of `_follow`, which yields the packages that must be followed before it can go on."""


class _Following:
    def __init__(
        self,
        universe: Universe,
        wanted: Mapping[str, BinaryPackage],
        installed: Mapping[str, BinaryPackage],
        exact: Collection[str],
        *,
        recommends: bool,
    ) -> None:
        self._universe = universe
        self._installed = installed
        self._exact = exact
        self._recommends = recommends
        self._failed: set[str] = set()
        """Names that the suite at work has, and not what they need. Without it, who is needed in many ways would be
        tried in each: 2 to the power of the depth."""
        self._undo: list[tuple[str, BinaryPackage | None]] = []
        self.chosen = dict(wanted)

    def follow(self, package: BinaryPackage, suite: str) -> None:
        """Makes `package` the candidate, and what it needs of `suite`. Nothing is changed when that lacks something."""
        self._failed.clear()
        self._undo.clear()
        run_deep(self._follow(package, suite), lambda needed, depth: self._follow(needed, suite))

    def _follow(self, package: BinaryPackage, suite: str) -> _Steps:
        """As `follow`; False when the suite lacks something."""
        before = len(self._undo)
        self._undo.append((package.name, self.chosen.get(package.name)))
        self.chosen[package.name] = package
        needed = [(group, True) for group in (*package.pre_depends, *package.depends)]
        needed += [(group, False) for group in package.recommends if self._recommends]
        for group, required in needed:
            if not self._is_fine(group) and not (yield from self._switch(group, suite)) and required:
                self._failed.add(package.name)
                self._go_back(before)
                return False
        return True

    def _go_back(self, before: int) -> None:
        """Undoes all but the first `before` choices."""
        while len(self._undo) > before:
            name, package = self._undo.pop()
            if package is None:
                del self.chosen[name]
            else:
                self.chosen[name] = package

    def _is_fine(self, group: Sequence[Relation]) -> bool:
        """Whether a candidate would do."""
        return any(
            (package is not None and satisfies(package.version, relation.operator, relation.version))
            or (relation.operator is None and bool(self._universe.providers(relation.name)))
            for relation in group
            for package in (self._candidate(relation.name),)
        )

    def _switch(self, group: Sequence[Relation], suite: str) -> _Steps:
        """Makes the first of `group` that `suite` has as it must be the candidate; False when there is none."""
        for relation in group:
            # Another version changes nothing for who takes any.
            if relation.operator is None or relation.name in self._exact or relation.name in self._failed:
                continue
            for package in self._universe.versions(relation.name):
                if package.suite == suite and satisfies(package.version, relation.operator, relation.version):
                    if (yield package):
                        return True
                    break
        return False

    def _candidate(self, name: str) -> BinaryPackage | None:
        return self.chosen.get(name) or self._installed.get(name) or self._universe.candidate(name)
