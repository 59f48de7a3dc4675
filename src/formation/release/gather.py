"""Where changelogs are read: in the image, else in the .debs of the lock, from the store or from the archive.

Images leave documentation out as a rule. One changelog stands for all binary packages of a source; the smallest of
them is asked first.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from formation.debian.archive import Archive, package_urls
from formation.definition.distribution import snapshot_of
from formation.errors import FormationError
from formation.lock.lockfile import entries
from formation.lock.model import Lock, LockedPackage
from formation.network import Download, Downloader, GoneError
from formation.progress import Progress
from formation.release.changelogs import PackageNews, Way, news, ways
from formation.release.difference import Difference
from formation.release.documents import Documents, documents_of_deb, documents_of_image
from formation.release.packages import PackageState
from formation.release.snapshot import Snapshot
from formation.store.store import Store

_STAGE: Final = "read changelogs"
_ROUNDS: Final = 3
"""Packages of one source that are asked. The documentation of some is a link to another's."""
_NAMES_SHOWN: Final = 6


class Gathering:
    """One search for what changelogs say. `notes` tells afterwards what could not be had."""

    def __init__(self, difference: Difference, store: Store, downloader: Downloader | None, progress: Progress) -> None:
        """Without a `downloader` only what is here already is read."""
        self._sides = {"old": difference.old, "new": difference.new}
        self._locked = {name: _by_digest(side.lock) for name, side in self._sides.items()}
        self._ways = ways(difference.packages)
        self._store = store
        self._downloader = downloader
        self._progress = progress
        self._found: dict[str, PackageNews] = {}
        self._reasons: dict[str, str] = {}
        """Source → why its changelog is not there."""

    def run(self) -> Mapping[str, PackageNews]:
        """Source package → its news, for all that could be had; raises nothing that the packages could cause."""
        if not self._ways:
            return {}
        self._progress.start(_STAGE, len(self._ways))
        self._from_images()
        left = {way.source: _candidates(self._sides[way.side], way.source) for way in self._missing()}
        for _ in range(_ROUNDS):
            turn = [(way, left[way.source].pop(0)) for way in self._missing() if left[way.source]]
            if not turn:
                break
            self._fetch(turn)
            for way, package in turn:
                elsewhere = self._read(way, package)
                left[way.source].sort(key=lambda other: other.name not in elsewhere)
        self._progress.finish(_STAGE, f"{len(self._found)} of {len(self._ways)}")
        return dict(sorted(self._found.items()))

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each reason why changelogs are missing."""
        by_reason: dict[str, list[str]] = {}
        for way in self._missing():
            reason = self._reasons.get(way.source, "no package of theirs is pinned by a lock")
            by_reason.setdefault(reason, []).append(way.source)
        return tuple(f"no changelog of {_names(sources)}: {reason}" for reason, sources in sorted(by_reason.items()))

    def _missing(self) -> list[Way]:
        return [way for way in self._ways if way.source not in self._found]

    def _take(self, way: Way, texts: Mapping[str, str]) -> bool:
        found = news(way, texts)
        if found is not None:
            self._found[way.source] = found
            self._progress.advance(_STAGE)
        return found is not None

    def _from_images(self) -> None:
        for name, side in self._sides.items():
            mine = [way for way in self._missing() if way.side == name]
            if side.facts is None or not mine:
                continue
            by_source = {way.source: _candidates(side, way.source) for way in mine}
            packages = [each.name for each_source in by_source.values() for each in each_source]
            try:
                documents = documents_of_image(side.facts.image, side.facts.files, packages)
            except FormationError as error:
                self._progress.note(f"the documentation in {side.name} cannot be read: {error.message}")
                continue
            for way in mine:
                for package in by_source[way.source]:
                    if package.name in documents and self._take(way, documents[package.name]):
                        break

    def _fetch(self, turn: Sequence[tuple[Way, PackageState]]) -> None:
        """Brings the packages into the store that are not there; those that cannot be had are missing afterwards."""
        jobs = {}
        for way, package in turn:
            pinned = self._locked[way.side].get(package.sha256)
            if pinned is None or self._path(package).exists():
                continue
            if self._downloader is None:
                self._reasons[way.source] = "the packages are not in the store, and nothing was to be downloaded"
                continue
            try:
                jobs[package.sha256] = _download(pinned, self._sides[way.side].lock, self._store)
            except FormationError as error:
                self._reasons[way.source] = error.message
        if not jobs or self._downloader is None:
            return
        try:
            for _ in self._downloader.fetch_all(jobs.values()):
                pass
        except GoneError:
            self._blame(turn, "the archive has other versions by now")
        except FormationError as error:
            self._blame(turn, error.message)

    def _blame(self, turn: Iterable[tuple[Way, PackageState]], reason: str) -> None:
        for way, package in turn:
            if not self._path(package).exists():
                self._reasons[way.source] = reason

    def _read(self, way: Way, package: PackageState) -> tuple[str, ...]:
        """Looks into the package, where it is there. Gives the packages that have the documents instead."""
        path = self._path(package)
        if not package.sha256 or not path.exists():
            return ()
        try:
            documents: Documents = documents_of_deb(path, package.name.partition(":")[0])
        except FormationError as error:
            self._reasons[way.source] = error.message
            return ()
        if not self._take(way, documents.texts):
            self._reasons[way.source] = "their packages have none"
        return documents.elsewhere

    def _path(self, package: PackageState) -> Path:
        return self._store.download(package.sha256)


def _by_digest(lock: Lock | None) -> dict[str, LockedPackage]:
    return {} if lock is None else {package.sha256: package for package, _ in entries(lock)}


def _candidates(side: Snapshot, source: str) -> list[PackageState]:
    """The packages of `source`, the smallest first, each file once."""
    found = {
        (package.name, package.sha256): package
        for packages in side.packages.values()
        for package in packages
        if package.source == source
    }
    return sorted(found.values(), key=lambda package: (not package.sha256, package.size, package.name))


def _download(package: LockedPackage, lock: Lock | None, store: Store) -> Download:
    """Raises FormationError when the lock does not say where the package is."""
    for suite in () if lock is None else lock.suites:
        if (suite.archive, suite.suite) == (package.archive, package.suite):
            archive = Archive(suite.archive, suite.uri, (), (), (), None, snapshot_of(suite.uri))
            urls = package_urls(archive, package.path, epoch=suite.date)
            return Download(urls, store.download(package.sha256), package.sha256, package.size)
    raise FormationError(f"the lock does not have the suite {package.suite} of {package.archive}")


def _names(sources: Sequence[str]) -> str:
    more = len(sources) - _NAMES_SHOWN
    return ", ".join(sources[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
