"""The images that a definition makes now, for a look at them: built where the store lacks them, and given no tag."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.dataclass import replace

if TYPE_CHECKING:
    from formation.build.origin import Origin
    from formation.build.plan import Plan
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.oci.image import Image
    from formation.progress import Progress

_NAME = "localhost/formation-release"
"""The name that the images have meanwhile: the release that carries their own stays where it is."""


@contextmanager
def built_images(
    definition: "Definition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[dict[str, Image]]":
    """Variant → image for this machine, usable while the block runs. The lock is fresh. Raises as a build."""
    from formation.build.plan import make_plan, plan_key
    from formation.build.recall import known_image
    from formation.build.repair import repair_store
    from formation.lock.lockfile import lock_path, lock_text, read_lock
    from formation.store.locking import in_use

    lock = read_lock(lock_path(definition.path))
    text, architecture = lock_text(lock), looked_at(definition, arguments.platform)
    repair_store(context.store, progress)
    with in_use(context.store):
        images = {}
        for variant in definition.variants:
            plan = make_plan(definition, lock, text, variant.name, architecture)
            image = known_image(context.store, plan_key(plan))
            images[variant.name] = image or _build(plan, arguments, context, progress)
        yield images


@contextmanager
def built_service_image(
    service: "ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[Image]":
    """What `service` makes now, usable while the block runs. Raises as a build, and UsageError for a stale lock."""
    from formation.build.origin import origin_of
    from formation.build.repair import repair_store
    from formation.build.service_build import known_service_image, service_image
    from formation.cli.build_service import planned
    from formation.store.locking import in_use

    repair_store(context.store, progress)
    with in_use(context.store):
        architecture = looked_at(service, arguments.platform)
        words = {"directory": str(service.path), "variant": "runtime", "arch": architecture, "locked": True}
        asked = Namespace(**{**vars(arguments), **words})
        with planned(service, asked, context, progress) as (plan, tools):
            before = _tagged_origin(service, architecture, context)
            image = known_service_image(plan, context.store, before) if before is not None else None
            if image is None:
                origin = origin_of(service.path.parent, context.environment)
                image, _ = service_image(plan, context.store, tools, origin)
        yield image


def _tagged_origin(service: "ServiceDefinition", architecture: str, context: Context) -> "Origin | None":
    """The commit that the image of the service's version in the store names; None when there is no such image.

    What was built and committed afterwards is still what the definition makes, although its label lacks the commit.
    """
    from formation.build.image import platform_of
    from formation.build.labels import REVISION, SOURCE
    from formation.build.origin import Origin
    from formation.errors import FormationError
    from formation.oci.reference import parse_reference
    from formation.store.images import open_stored

    reference = parse_reference(f"{service.name}:{service.version}")
    try:
        image = open_stored(context.store, reference, platform_of(architecture))
    except FormationError:
        return None
    labels = image.config.execution.labels
    return Origin(labels.get(REVISION), labels.get(SOURCE))


def _build(plan: "Plan", arguments: Namespace, context: Context, progress: "Progress") -> "Image":
    from formation.build.base import build_base
    from formation.errors import FormationError
    from formation.install.installer import Installer
    from formation.oci.reference import parse_reference
    from formation.store.images import remove_image

    definition = replace(plan.definition, name=_NAME, tags=())
    with context.downloader(progress, offline=arguments.offline) as downloader, Installer() as agent:
        built = build_base(
            replace(plan, definition=definition),
            context.store,
            downloader,
            progress,
            agent,
            workers=context.workers,
            overlay=context.environment.get("FORMATION_OVERLAY") != "0",
        )
    for reference in built.references:
        # Another look at a release may have taken the name away already.
        with suppress(FormationError):
            remove_image(context.store, parse_reference(reference))
    return built.image


def looked_at(definition: "Definition | ServiceDefinition", platform: str | None) -> str:
    """The Debian architecture to look at: what was asked for, this machine's, or the definition's first.

    Raises UsageError for a platform that the definition is not for.
    """
    from formation.build.image import platform_of
    from formation.errors import UsageError
    from formation.oci.descriptor import parse_platform_name
    from formation.registry.platforms import machine_platform

    known = {platform_of(each).architecture: each for each in definition.architectures}
    if platform is None:
        return known.get(machine_platform(os.uname().machine).architecture, definition.architectures[0])
    wanted = parse_platform_name(platform).architecture
    if wanted not in known:
        hint = f"it is for: {', '.join(definition.architectures)}"
        raise UsageError(f"{definition.shown_path} is not for {platform}", hint=hint)
    return known[wanted]
