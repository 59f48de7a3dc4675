"""The packages of a service: brought into the store, and found for what a program needs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from formation.build.fetch import Fetching
from formation.build.programs import Having
from formation.dataclass import dataclass
from formation.debian.archive import Archive
from formation.debian.contents_index import packages_having
from formation.debian.keys import keys_of
from formation.definition.service_packages import package_definition
from formation.definition.service_values import ServiceDefinition
from formation.errors import FormationError
from formation.lock.model import Lock, LockedPackage
from formation.lock.service_check import service_archives
from formation.lock.suites import fetch_suites, universes
from formation.network import Downloader
from formation.progress import Progress
from formation.store.store import Store

_SONAME = re.compile(r"(.+?)(-[0-9.]+)?\.so(?:\.([A-Za-z0-9.]+))?")


def fetch_packages(
    service: ServiceDefinition,
    lock: Lock,
    packages: Sequence[LockedPackage],
    store: Store,
    downloader: Downloader,
) -> tuple[Path, ...]:
    """Brings `packages` of `lock` into the store; gives their files, in the same order. Idempotent.

    Raises UnreachableError, IntegrityError and FormationError.
    """
    definition = package_definition(service, service_archives(service, lock))
    fetching = Fetching(definition, lock, packages, store, downloader, lambda digest, checked: None, lambda: None)
    fetching.start([package.sha256 for package in packages])
    fetching.join()
    if fetching.error is not None:
        raise fetching.error
    return tuple(store.download(package.sha256) for package in packages)


@dataclass(frozen=True, slots=True)
class ArchivePackages:
    """Tells which packages of a service's archives have a library or program. Asks the archives when it is called."""

    service: ServiceDefinition
    archives: Sequence[Archive]
    """Those without keys are not asked."""
    architecture: str
    downloader: Downloader
    store: Store
    now: int
    """In seconds since 1970."""
    progress: Progress

    @property
    def _asked(self) -> tuple[Archive, ...]:
        return tuple(archive for archive in self.archives if archive.keys)

    def __call__(self, names: Sequence[str]) -> Having:
        """The packages that have these libraries and programs.

        First by the names that Debian gives to the packages of libraries, which the indexes at hand tell; then, for the
        rest, by the archives' Contents, where those can be had. Raises FormationError and its kinds.
        """
        if not self._asked:
            return Having()
        found = dict(self._by_name(names))
        missing = [name for name in names if name not in found]
        unknown = None
        try:
            found.update(self._by_contents(missing) if missing else {})
        except FormationError as error:
            unknown = f"the archive's Contents index could not be had: {error.message}"
        return Having(found, unknown)

    def _by_name(self, names: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        definition = package_definition(self.service, self._asked)
        suites = fetch_suites(
            definition,
            downloader=self.downloader,
            store=self.store,
            now=self.now,
            progress=self.progress,
            previous=None,
        )
        universe = universes(suites, (self.architecture,), self.store, self.progress)[self.architecture]
        for name in names:
            known = [package for package in library_package_names(name) if universe.candidate(package)]
            if known:
                yield name, (known[0],)

    def _by_contents(self, names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for archive in self._asked:
            keys = keys_of(archive.keys, self.service.path.parent)
            for suite in archive.suites:
                packages = packages_having(
                    archive,
                    suite,
                    self.architecture,
                    names,
                    downloader=self.downloader,
                    keys=keys,
                    now=self.now,
                    cache_dir=self.store.metadata,
                )
                for name, these in packages.items():
                    found[name] = tuple(dict.fromkeys((*found.get(name, ()), *these)))
        return found


def library_package_names(soname: str) -> tuple[str, ...]:
    """What Debian calls the package of a library, the likeliest first; empty for what is no library's name.

    Source: Debian policy 8.1. The suffix t64 marks those that were rebuilt for 64-bit times in trixie.
    """
    match = _SONAME.fullmatch(soname)
    if match is None:
        return ()
    stem, release, version = match.groups()
    stem = stem.lower().replace("_", "-")
    if release is not None:
        names = [f"{stem}{release}", f"{stem}{release}-{version}" if version else ""]
    elif version is not None:
        names = [f"{stem}-{version}" if stem[-1:].isdigit() else f"{stem}{version}"]
    else:
        names = [stem]
    return tuple(form for name in names if name for form in (f"{name}t64", name))
