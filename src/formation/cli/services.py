"""What commands need of the world to work on services: their bases, wherever those are."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.registry_options import open_registry

if TYPE_CHECKING:
    from formation.build.base_files import BaseFiles
    from formation.build.opened_base import Places
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.lock.base_facts import BaseFacts
    from formation.lock.model import Lock
    from formation.network import Downloader
    from formation.oci.descriptor import Platform
    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.progress import Progress


@contextmanager
def places(arguments: Namespace, context: Context, progress: "Progress") -> "Iterator[Places]":
    """Where bases may be. A registry is spoken to when a base is in one, and not before."""
    from formation.build.opened_base import Places

    with ExitStack() as opened:

        def pull(name: "ImageName", platform: "Platform") -> "Image":
            from formation.registry.pull import pull_image

            registry = opened.enter_context(open_registry(arguments, context, progress))
            return pull_image(name, context.store, registry, platform=platform, tag=False)

        yield Places(context.store, context.environment, pull)


def read_files(image: "Image", name: str, context: Context, progress: "Progress") -> "BaseFiles":
    """The file system of a base."""
    from formation.build.base_files import read_base

    return read_base(image, name, context.store, workers=context.workers, progress=progress)


def base_facts(
    service: "ServiceDefinition",
    architectures: tuple[str, ...],
    arguments: Namespace,
    context: Context,
    progress: "Progress",
) -> "dict[str, BaseFacts]":
    """What the service's lock needs of its base, by architecture. The caller uses the store."""
    from formation.build.base_facts import facts_for_lock, needs_files
    from formation.build.opened_base import open_base

    facts = {}
    with places(arguments, context, progress) as where:
        for architecture in architectures:
            image = open_base(service, architecture, where)
            files = read_files(image, service.base, context, progress) if needs_files(service) else None
            facts[architecture] = facts_for_lock(service, architecture, image, files, context.store)
    return facts


def new_service_lock(
    service: "ServiceDefinition",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
    downloader: "Downloader",
    previous: "Lock | None",
) -> "Lock":
    """As `lock.service.make_service_lock`, on the service's base as it is now. The caller uses the store."""
    from formation.lock.service import make_service_lock

    return make_service_lock(
        service,
        base_facts(service, service.architectures, arguments, context, progress),
        downloader=downloader,
        store=context.store,
        now=context.now,
        progress=progress,
        previous=previous,
    )


def lock_staleness(
    definition: "Definition | ServiceDefinition",
    lock: "Lock",
    architectures: tuple[str, ...],
    arguments: Namespace,
    context: Context,
    progress: "Progress",
) -> str | None:
    """Why `lock` is not of `definition` any more, as the end of a sentence; None when it is.

    That of a service is held to its base as it is now for these `architectures`.
    """
    from formation.definition.service_values import ServiceDefinition
    from formation.lock.check import staleness

    if not isinstance(definition, ServiceDefinition):
        return staleness(definition, lock)
    from formation.build.opened_base import open_base
    from formation.lock.service_check import service_staleness
    from formation.store.locking import in_use

    with in_use(context.store):
        with places(arguments, context, progress) as where:
            digests = {each: open_base(definition, each, where).digest for each in architectures}
        bases = cache(lambda: base_facts(definition, architectures, arguments, context, progress))
        return service_staleness(definition, lock, digests, lambda architecture: bases()[architecture].installed or ())
