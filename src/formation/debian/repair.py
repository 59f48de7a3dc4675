"""Mends what marking left broken, in the manner of apt's pkgProblemResolver.

A choice is sometimes undone by a later one. Then what must stay gets another solution of its dependency, and what need
not stay goes.
"""

from collections.abc import Iterator

from formation.debian.marking import Marker, positive_groups
from formation.debian.package import Alternatives, BinaryPackage

_MOST_ROUNDS = 20


def repair(marker: Marker) -> None:
    """Reinstates and deselects packages until nothing is broken, or nothing more can be done.

    What is settled stays, whether or not it could be mended: the caller asks `marker.broken()`.
    """
    tried: set[str] = set()
    for _ in range(_MOST_ROUNDS):
        changed = False
        for package, _, group in list(marker.broken()):
            if marker.is_settled(package) and marker.selected.get(package.name) is package:
                changed |= _meet(marker, group, tried)
        culprits = {culprit.name for culprit in _culprits(marker)}
        for name in culprits:
            marker.deselect(name)
        if not changed and not culprits:
            return


def _meet(marker: Marker, group: Alternatives, tried: set[str]) -> bool:
    """Whether a package that was selected now meets `group`."""
    if marker.is_met(group):
        return True
    for relation in group:
        # apt walks the providers of a name from the last that its lists have to the first.
        matches = marker.choices.matches(relation)[::-1]
        if any(_reinstate(marker, match, tried) for match in sorted(matches, key=lambda m: m.name != relation.name)):
            return True
    return False


def _reinstate(marker: Marker, package: BinaryPackage, tried: set[str]) -> bool:
    """Selects `package` and what it needs, without what is only recommended; undone when it cannot be."""
    if package.name in tried or marker.is_settled(package):
        return False
    tried.add(package.name)
    if not marker.select(package):
        return False
    for _, group in positive_groups(package, recommends=False):
        if not marker.is_met(group) and not _meet(marker, group, tried):
            marker.deselect(package.name)
            return False
    return True


def _culprits(marker: Marker) -> Iterator[BinaryPackage]:
    """What is to go for each broken relation: the package that has it; of two rivals the one that fewer need."""
    for package, _, group in marker.broken():
        rivals = [rival for relation in group for rival in marker.rivals(package, relation)]
        if rivals:
            parties = [party for party in (package, *rivals) if not marker.is_settled(party)]
            yield from sorted(parties, key=lambda party: (_dependents(marker, party), party.name))[:1]
        elif not marker.is_settled(package):
            yield package


def _dependents(marker: Marker, package: BinaryPackage) -> int:
    """How many selected packages name a dependency that `package` satisfies."""
    return sum(
        any(package in marker.choices.matches(relation) for relation in group)
        for dependent in marker.selected.values()
        for _, group in positive_groups(dependent, recommends=True)
    )
