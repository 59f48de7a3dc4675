"""What patch releases cost a host that pulls each: layer by layer, and as an image of one layer.

The sequence of updates is Debian's own, read from the changelogs in the .debs of the lock. The layers and their sizes
are those of images that are built here, one for each layer budget. What is not real: the sizes are today's for all
releases, since older versions are not in the archives, and packages that came or went meanwhile do not count.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import yaml
from contestants import DEFINITION_FILE, FORMATION, LOCK_FILE, lock

from formation.lock.lockfile import read_lock
from formation.lock.model import LockedPackage
from formation.oci.annotations import layer_packages
from formation.oci.manifest import parse_manifest
from formation.release.changelog import ChangelogEntry, parse_changelog
from formation.release.documents import documents_of_deb
from formation.store.store import Store

BUDGETS = (1, 5, 10, 15, 20, 24, 28, 32, 40, 60)
RELEASED = date(2025, 8, 9)
"""Of trixie 13.0."""
FREEZE = timedelta(days=9)
"""A point release takes what was uploaded until the weekend before it; base-files is uploaded some days earlier."""
TEN = 10


@dataclass(frozen=True, slots=True)
class Update:
    """A version of a source package, from the day on which hosts could have it."""

    source: str
    day: date


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a series of releases, in bytes that a host pulls."""

    layers: int
    """Bytes in the layers that change."""
    whole: int
    """Bytes of the image in one layer, for every release."""

    @property
    def saved(self) -> float:
        """Part of the bytes that layers save."""
        return 1 - self.layers / self.whole


def patch_releases(definition: Path, scratch: Path, store: Path) -> Iterator[str]:
    """The facts, each a line of Markdown."""
    packages = read_lock(definition / LOCK_FILE).of("amd64", frozenset({"runtime"}))
    entries, silent = _changelogs(packages, Store(store))
    weeks = _weeks(updates(entries))
    changed = sum(map(len, weeks)) / len(weeks)
    yield (
        f"patch releases, one a week in which something changed: {len(weeks)} since trixie 13.0, {changed:.1f} source "
        f"packages each; {len(silent)} of {len({p.source for p in packages})} sources have no changelog in the image's "
        "packages"
    )
    for variant, budgets in (("runtime", BUDGETS), ("dev", (20, 32))):
        for budget in budgets:
            image = _layers(definition, scratch, store, variant, budget)
            ten, all_of_them = _cost(image, weeks[-TEN:]), _cost(image, weeks)
            yield (
                f"{variant}, layer budget {budget}: the last ten releases {ten.layers / 1e6:.1f} MB instead of "
                f"{ten.whole / 1e6:.1f} MB, {ten.saved:.1%} saved; all {len(weeks)}: {all_of_them.saved:.1%} saved"
            )


def updates(entries: Iterable[ChangelogEntry]) -> tuple[Update, ...]:
    """When each version for trixie reached hosts, sorted by day.

    A security update does on its own day. What goes into the suite waits for the next point release, of which
    base-files has a version each.
    """
    found = [(entry, day) for entry in entries if (day := _day(entry)) is not None]
    points = sorted(day for entry, day in found if entry.source == "base-files")
    reached = set()
    for entry, day in found:
        if not any(name.endswith("-security") for name in entry.distributions):
            day = next((point for point in points if point + FREEZE >= day), day)
        reached.add(Update(entry.source, day))
    return tuple(sorted(reached, key=lambda update: (update.day, update.source)))


def _day(entry: ChangelogEntry) -> date | None:
    """When a version for trixie was uploaded; None for other versions and those that 13.0 had."""
    if not any(name.split("-")[0] == "trixie" for name in entry.distributions):
        return None
    try:
        day = parsedate_to_datetime(entry.date).astimezone(UTC).date()
    except ValueError:
        return None
    return day if day > RELEASED else None


def _weeks(found: Sequence[Update]) -> list[frozenset[str]]:
    """The sources that change in each week in which any does."""
    weeks: dict[tuple[int, int], set[str]] = {}
    for update in found:
        weeks.setdefault(update.day.isocalendar()[:2], set()).add(update.source)
    return [frozenset(weeks[week]) for week in sorted(weeks)]


def _changelogs(packages: Sequence[LockedPackage], store: Store) -> tuple[list[ChangelogEntry], set[str]]:
    """The changelog of each source that a package has one of, and the sources without."""
    found: dict[str, list[ChangelogEntry]] = {}
    for package in sorted(packages, key=lambda package: package.size):
        if package.source not in found:
            texts = documents_of_deb(store.download(package.sha256), package.name).texts
            parsed = [list(parse_changelog(text)) for name, text in texts.items() if name.startswith("changelog")]
            own = [entries for entries in parsed if any(entry.source == package.source for entry in entries)]
            if own:
                found[package.source] = own[0]
    silent = {package.source for package in packages} - found.keys()
    return [entry for entries in found.values() for entry in entries], silent


def _layers(
    definition: Path, scratch: Path, store: Path, variant: str, budget: int
) -> list[tuple[int, frozenset[str]]]:
    """Size of each layer of an image with that layer budget, and the sources in it; none: it is made of effects."""
    copy = scratch / f"budget-{budget}"
    copy.mkdir(exist_ok=True)
    content = yaml.safe_load((definition / DEFINITION_FILE).read_text())
    content["name"], content["layers"] = "bench/budget", {**content.get("layers", {}), "budget": budget}
    (copy / DEFINITION_FILE).write_text(json.dumps(content))
    lock(copy, store)
    sources = {p.name: p.source for p in read_lock(copy / LOCK_FILE).packages["amd64"]}
    options = ["--variant", variant, "--store", store]
    subprocess.run([FORMATION, "build", copy, *options], check=True, stdout=subprocess.DEVNULL)
    name = "bench/budget:" + content["version"] + ("" if variant == "runtime" else f"-{variant}")
    command = [FORMATION, "inspect", name, "--raw", "manifest", "--store", store]
    manifest = parse_manifest(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        (layer.size, frozenset(sources[package] for package, _ in layer_packages(layer))) for layer in manifest.layers
    ]


def _cost(image: Sequence[tuple[int, frozenset[str]]], releases: Sequence[frozenset[str]]) -> Cost:
    """The layers of packages that a release changes are pulled, and those of effects, which every release changes."""
    pulled = sum(size for release in releases for size, sources in image if not sources or sources & release)
    return Cost(pulled, sum(size for size, _ in image) * len(releases))
