"""What the lock of a service takes from its base. A build asks for it only when a program lacks something."""

from collections.abc import Mapping

from formation.build.base_archives import AptFiles, base_archives
from formation.build.base_files import APT, KEYRINGS, BaseFiles
from formation.build.opened_base import created, lock_of
from formation.debian.administration import STATUS
from formation.debian.archive import Archive
from formation.debian.installed import installed_packages
from formation.definition.service_values import ServiceDefinition
from formation.lock.base_facts import BaseFacts
from formation.oci.image import Image
from formation.store.store import Store


def facts_for_lock(
    service: ServiceDefinition, architecture: str, image: Image, files: BaseFiles | None, store: Store
) -> BaseFacts:
    """What the lock of `service` needs of its base.

    `files` may be None when the service asks for no packages. Raises MalformedError for a damaged database or sources.
    """
    if files is None:
        return BaseFacts(image.digest, created(image), (), ())
    installed = None
    if files.has_database:
        installed = installed_packages(files.texts[STATUS], architecture, service.base)
    archives: tuple[Archive, ...] = ()
    if service.archives is None:
        archives = archives_of_base(image, files, store, service.base)
    return BaseFacts(image.digest, created(image), installed, archives)


def archives_of_base(image: Image, files: BaseFiles, store: Store, name: str) -> tuple[Archive, ...]:
    """The archives that `image`, which is called `name` in messages, was made from; empty when nothing in it says."""
    return base_archives(lock_of(image, store), _apt_files(files.texts), store, name)


def needs_files(service: ServiceDefinition) -> bool:
    """Whether the lock of `service` depends on what is in its base."""
    return bool(service.packages or service.without)


def _apt_files(texts: Mapping[str, bytes]) -> AptFiles:
    sources = {path: data for path, data in texts.items() if path.startswith(f"{APT}/sources.list")}
    return AptFiles(sources, {path: data for path, data in texts.items() if path.startswith(KEYRINGS)})
