"""Which packages share a layer: those that change often stand alone, the rest share a few that stay as they are.

The plan depends on names alone, so that a new version, a new package or a new size moves no other package to another
layer: packages go together by source package, the sources known to change often each get a layer, the others go to a
fixed number of shared layers, chosen by a hash of the source's name.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from formation.lock.model import LockedPackage

PLAN_FORMAT = 1
"""Part of an image's cache key: a change of the plan must raise it."""

_SHARED_PART = 4
"""One in so many of the layers is for sources that share."""


def plan_layers(packages: Iterable[LockedPackage], budget: int) -> tuple[tuple[LockedPackage, ...], ...]:
    """Groups of packages, one for each layer, the seldom changing ones first (lowest). At most `budget` groups.

    Packages in a group are sorted by name; no group is empty.
    """
    by_source: dict[str, list[LockedPackage]] = {}
    for package in packages:
        by_source.setdefault(package.source, []).append(package)
    shared = max(1, budget // _SHARED_PART)
    alone = _alone(by_source, budget - shared, update_frequency())
    groups: dict[tuple[int, int, str], list[LockedPackage]] = {}
    for source, members in by_source.items():
        key = (1, alone[source], source) if source in alone else (0, _bucket(source, shared), "")
        groups.setdefault(key, []).extend(members)
    return tuple(tuple(sorted(groups[key], key=lambda p: (p.name, p.architecture))) for key in sorted(groups))


@cache
def update_frequency() -> Mapping[str, int]:
    """Source package → how often it changed in a stable release. Shipped data; see the file's head for its origin."""
    text = files("formation.build").joinpath("update_frequency.txt").read_text()
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {source: int(count) for source, count in lines}


def _alone(sources: Iterable[str], room: int, frequency: Mapping[str, int]) -> dict[str, int]:
    """The sources that get a layer of their own, with their frequency; the most frequent ones first."""
    known = sorted((source for source in sources if source in frequency), key=lambda s: (-frequency[s], s))
    return {source: frequency[source] for source in known[:room]}


def _bucket(source: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8]) % count
