"""The world as planning a service uses it: the base, the packages' files, and the archives when a program lacks one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from formation.build.base_files import BaseFiles, archives_of_base, read_base
from formation.build.opened_base import Places
from formation.build.service import Means
from formation.definition.service_values import ServiceDefinition
from formation.lock.model import Lock, LockedPackage
from formation.oci.image import Image
from formation.progress import Progress

if TYPE_CHECKING:
    from formation.network import Downloader


def service_means(
    service: ServiceDefinition,
    lock: Lock,
    architecture: str,
    *,
    places: Places,
    downloader: "Downloader",
    now: int,
    progress: Progress,
    workers: int,
) -> Means:
    """What `plan_service` needs for `service` and its `lock`. `now` is in seconds since 1970.

    Nothing is read, downloaded or even imported before the plan asks for it.
    """
    world = _World(service, lock, architecture, places, downloader, now, progress, workers)
    return Means(places, world.read, world.fetch, world.providers)


class _World:
    """Remembers the base that was read: it says which archives to ask."""

    def __init__(
        self,
        service: ServiceDefinition,
        lock: Lock,
        architecture: str,
        places: Places,
        downloader: "Downloader",
        now: int,
        progress: Progress,
        workers: int,
    ) -> None:
        self._service = service
        self._lock = lock
        self._architecture = architecture
        self._store = places.store
        self._downloader = downloader
        self._now = now
        self._progress = progress
        self._workers = workers
        self._base: tuple[Image, BaseFiles] | None = None

    def read(self, image: Image) -> BaseFiles:
        """The file system of the base."""
        files = read_base(image, self._service.base, self._store, workers=self._workers, progress=self._progress)
        self._base = image, files
        return files

    def fetch(self, packages: Sequence[LockedPackage]) -> Sequence[Path]:
        """The files of packages of the lock."""
        from formation.build.service_packages import fetch_packages

        return fetch_packages(self._service, self._lock, packages, self._store, self._downloader)

    def providers(self, names: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """The packages that have libraries and programs, as the service's archives or those of its base say."""
        from formation.build.service_packages import ArchivePackages

        archives = self._service.archives
        if archives is None and self._base is not None:
            archives = archives_of_base(*self._base, self._store, self._service.base)
        ask = ArchivePackages(
            self._service,
            archives or (),
            self._architecture,
            downloader=self._downloader,
            store=self._store,
            now=self._now,
            progress=self._progress,
        )
        return ask(names)
