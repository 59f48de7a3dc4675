"""The world as planning a service uses it: the base, the packages' files, and the archives when a program lacks one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from formation.build.base_files import BaseFiles, read_base
from formation.build.opened_base import Places
from formation.build.programs import Having
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
    downloader: "Callable[[], Downloader]",
    now: int,
    progress: Progress,
    workers: int,
) -> Means:
    """What `plan_service` needs for `service` and its `lock`. `now` is in seconds since 1970.

    `downloader` gives the one to use. Nothing is read, downloaded or even imported before the plan asks for it.
    """
    store = places.store
    base: tuple[Image, BaseFiles] | None = None

    def read(image: Image) -> BaseFiles:
        nonlocal base
        files = read_base(image, service.base, store, workers=workers, progress=progress)
        base = image, files
        return files

    def fetch(packages: Sequence[LockedPackage]) -> Sequence[Path]:
        from formation.build.service_packages import fetch_packages

        return fetch_packages(service, lock, packages, store, downloader())

    def providers(names: Sequence[str]) -> Having:
        from formation.build.base_facts import archives_of_base
        from formation.build.service_packages import ArchivePackages

        archives = service.archives
        if archives is None and base is not None:
            # The base that was read says which archives to ask.
            archives = archives_of_base(*base, store, service.base)
        ask = ArchivePackages(
            service, archives or (), architecture, downloader=downloader(), store=store, now=now, progress=progress
        )
        return ask(names)

    return Means(places, read, fetch, providers)
