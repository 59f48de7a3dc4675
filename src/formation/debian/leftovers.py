"""Takes back what was selected on the way to a choice that was then not made, as apt's autoremover does."""

from collections import defaultdict
from collections.abc import Iterator

from formation.debian.marking import Marker
from formation.debian.package import Alternatives, BinaryPackage
from formation.debian.version import sort_key


def remove_leftovers(marker: Marker) -> None:
    """Deselects every package that nothing requested, installed or essential leads to.

    Recommends and Suggests lead to a package as well: APT::AutoRemove::RecommendsImportant and SuggestsImportant are
    apt's defaults.
    """
    reached: set[str] = set()
    waiting = [
        package
        for package in marker.selected.values()
        if package.name in marker.requested
        or package.name in marker.installed
        or package.essential
        or package.important
    ]
    while waiting:
        package = waiting.pop()
        if package.name in reached:
            continue
        reached.add(package.name)
        for group in _leading(package):
            waiting.extend(match for match in _followed(marker, group) if match.name not in reached)
    for name in [name for name in marker.selected if name not in reached]:
        del marker.selected[name]


def _leading(package: BinaryPackage) -> Iterator[Alternatives]:
    yield from package.pre_depends
    yield from package.depends
    yield from package.recommends
    yield from package.suggests


def _followed(marker: Marker, group: Alternatives) -> Iterator[BinaryPackage]:
    """The selected packages that satisfy an alternative; of one source package only those of its highest version."""
    for relation in group:
        by_source: dict[str, list[BinaryPackage]] = defaultdict(list)
        for match in marker.choices.matches(relation):
            if marker.selected.get(match.name) is match:
                by_source[match.source].append(match)
        for matches in by_source.values():
            highest = max((match.source_version for match in matches), key=sort_key)
            yield from (match for match in matches if match.source_version == highest)
