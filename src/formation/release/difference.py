"""Everything that two images or locks differ in, as one value: what is printed, and what a version is judged by."""

from collections.abc import Iterator, Mapping

from formation.dataclass import dataclass, field, replace
from formation.lock.model import Lock
from formation.oci.annotations import LAYER_KIND, layer_packages
from formation.oci.image import Image, Layer
from formation.release.changelog import in_order
from formation.release.changelogs import PackageNews
from formation.release.changes import BUILD_LABELS, TOPICS, Change, FileChange, LayerChange
from formation.release.config_changes import config_changes, other_content
from formation.release.contract_changes import contract_changes
from formation.release.file_changes import file_changes
from formation.release.packages import (
    PackageChange,
    PackageState,
    measured_as_in_locks,
    package_changes,
    suite_family,
)
from formation.release.platforms import platform_changes
from formation.release.snapshot import Snapshot, snapshot_of_lock


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from `old` to `new`."""

    old: Snapshot
    new: Snapshot
    packages: tuple[PackageChange, ...]
    """By name."""
    changes: tuple[Change, ...]
    """Of everything else that somebody may rely on, by topic."""
    files: tuple[FileChange, ...]
    """By path; only of two images."""
    layers: tuple[LayerChange, ...]
    """Those of the new image, base layer first, then those that are gone; only of two images."""
    news: Mapping[str, PackageNews] = field(default_factory=dict)
    """Source package → what its changelog says of the way from one version to the other."""
    notes: tuple[str, ...] = ()
    """What was not compared, and why."""

    @property
    def cves(self) -> tuple[str, ...]:
        """Those that the changelogs of upgraded packages name, by year and number."""
        return tuple(in_order(cve for news in self.news.values() if not news.backwards for cve in news.cves))


def compare(old: Snapshot, new: Snapshot) -> Difference:
    """The difference, without news. What only one side can tell is left out, and a note says so."""
    comparable = old.contract is not None and new.contract is not None and old.kind == new.kind
    changes = [*platform_changes(old, new), *_suites(old, new), *_pinned(old, new)]
    if comparable and old.contract is not None and new.contract is not None:
        changes += _real(contract_changes(old.contract, new.contract), old, new)
    files: tuple[FileChange, ...] = ()
    layers: tuple[LayerChange, ...] = ()
    if old.facts is not None and new.facts is not None:
        images = old.facts.image, new.facts.image
        changes += config_changes(*images)
        files, layers = tuple(file_changes(old.facts, new.facts)), tuple(_layers(*images))
    order = {topic: number for number, topic in enumerate(TOPICS)}
    # Architectures that came or went are told as such, not package by package.
    before, after = _measured_alike(old, new), _measured_alike(new, old)
    common = [name for name in before if name in after]
    if common:
        packages = package_changes(*({name: side[name] for name in common} for side in (before, after)))
    else:
        packages = package_changes(*({"": sum(side.values(), ())} for side in (before, after)))
    told = packages or files or any(layer.kind != "kept" for layer in layers)
    if old.facts is not None and new.facts is not None and not told and all(map(_of_the_build, changes)):
        unsaid = other_content(old.facts.image, new.facts.image)
        changes += () if unsaid is None else (unsaid,)
    return Difference(
        old=old,
        new=new,
        packages=packages,
        changes=tuple(sorted(changes, key=lambda change: order[change.topic])),
        files=files,
        layers=layers,
        notes=tuple(_notes(old, new, comparable)),
    )


def _measured_alike(side: Snapshot, other: Snapshot) -> Mapping[str, tuple[PackageState, ...]]:
    """The packages of `side`, with sizes that mean the same as those of `other`."""
    if side.kind == other.kind or side.kind == "lock":
        return side.packages
    return {name: measured_as_in_locks(packages) for name, packages in side.packages.items()}


def compare_elsewhere(old: Snapshot, new: Snapshot) -> Difference | None:
    """What changed for the architectures that the two images are not for, by the locks that both carry; None when
    nothing did, or one carries none. Those that only one side is for are told with the images, as platforms."""
    if old.lock is None or new.lock is None:
        return None
    common = old.lock.packages.keys() & new.lock.packages.keys() - {*old.packages, *new.packages}
    for side in (old, new):
        common &= set(side.platforms) or common
    sides = []
    for side, lock in ((old, old.lock), (new, new.lock)):
        whole = snapshot_of_lock(lock, side.name, None)
        others = {name: packages for name, packages in whole.packages.items() if name in common}
        sides.append(replace(whole, packages=others, suites=()))
    difference = replace(compare(*sides), notes=())
    return difference if difference.packages or difference.changes else None


def _real(changes: Iterator[Change], old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """`changes` without directories that only passed from a package to nobody, or the other way."""
    for change in changes:
        other = new if change.kind == "removed" else old
        if change.topic == "directory" and change.kind != "changed" and other.facts is not None:
            node = other.facts.files.get(change.name.lstrip("/"))
            if node is not None and node.entry.type == "directory":
                continue
        yield change


def _of_the_build(change: Change) -> bool:
    return change.topic == "label" and change.name in BUILD_LABELS


def _notes(old: Snapshot, new: Snapshot, comparable: bool) -> Iterator[str]:
    if old.facts is not None and new.facts is not None:
        return
    if comparable:
        yield "locks and definitions were compared: what packages bring (files, commands, libraries) is in images only"
    else:
        yield "packages were compared, and nothing else: that takes two images, or two locks beside their definitions"


def _suites(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    before, after = ({suite_family(suite) for suite in side.suites} for side in (old, new))
    # A base and a lock of one distribution are both said to be of trixie, however many suites it has.
    if old.suites and new.suites:
        yield from (Change("suite", "removed", name) for name in sorted(before - after))
        yield from (Change("suite", "added", name) for name in sorted(after - before))
    if old.kind == new.kind == "lock":
        yield from (Change("suite", "removed", name) for name in old.suites if _only(name, new.suites, before, after))
        yield from (Change("suite", "added", name) for name in new.suites if _only(name, old.suites, before, after))


def _pinned(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """Where two locks have a suite that both know from, and the base of a service for an architecture of both."""
    if old.lock is None or new.lock is None or not old.kind == new.kind == "lock":
        return
    before, after = _archives(old.lock), _archives(new.lock)
    # Suites that came or went are told as such; and nothing of them where only architectures are compared.
    for suite in old.suites if new.suites else ():
        if suite in after and before[suite] != after[suite]:
            yield Change("archive", "changed", suite, "", before[suite], after[suite])
    bases = {each.architecture: f"{each.name}@{each.digest}" for each in new.lock.base}
    for base in old.lock.base:
        now, then = bases.get(base.architecture, ""), f"{base.name}@{base.digest}"
        if now and now != then and base.architecture in old.packages and base.architecture in new.packages:
            yield Change("base", "changed", base.architecture, "", then, now)


def _archives(lock: Lock) -> dict[str, str]:
    """Suite → the archives and components that it is taken from."""
    found: dict[str, list[str]] = {}
    for each in lock.suites:
        found.setdefault(each.suite, []).append(f"{each.uri} {' '.join(each.components)}")
    return {suite: ", ".join(sorted(places)) for suite, places in found.items()}


def _only(name: str, others: tuple[str, ...], *families: set[str]) -> bool:
    """Whether `name` is not among `others`, and its family is on both sides: else that is told already."""
    return name not in others and all(suite_family(name) in family for family in families)


def _layers(old: Image, new: Image) -> Iterator[LayerChange]:
    before = {layer.diff_id for layer in old.layers}
    after = {layer.diff_id for layer in new.layers}
    for layer in new.layers:
        kind = "kept" if layer.diff_id in before else "added"
        yield LayerChange("kept" if kind == "kept" else "added", *_described(layer))
    for layer in old.layers:
        if layer.diff_id not in after:
            yield LayerChange("removed", *_described(layer))


def _described(layer: Layer) -> tuple[str, int, str]:
    packages = ", ".join(name for name, _ in layer_packages(layer.descriptor))
    return layer.descriptor.digest, layer.descriptor.size, packages or layer.descriptor.annotations.get(LAYER_KIND, "")
