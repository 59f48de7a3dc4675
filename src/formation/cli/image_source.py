"""The image that a command looks at, from whatever source its name says: the one place that knows of all."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Parser
from formation.cli.registry_options import add_registry_options, open_registry

if TYPE_CHECKING:
    from formation.oci.descriptor import Platform
    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.progress import Progress
    from formation.registry.registry import Registry


def add_image_options(parser: Parser) -> None:
    """Adds the argument IMAGE and the options that say which one is meant."""
    parser.add_argument(
        "image", metavar="IMAGE", help="formation/base:1.0.0, oci:DIR[:TAG], docker-archive:FILE[:REF], docker://REF, …"
    )
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="which image, where the name stands for several: linux/arm64"
    )
    add_registry_options(parser)


@contextmanager
def opened_image(
    arguments: Namespace, context: Context, progress: "Progress", registry: "Registry | None" = None
) -> Iterator[tuple["ImageName", "Image"]]:
    """As `opened_name` for the argument IMAGE."""
    with opened_name(arguments.image, arguments, context, progress, registry) as opened:
        yield opened


@contextmanager
def opened_name(
    text: str, arguments: Namespace, context: Context, progress: "Progress", registry: "Registry | None" = None
) -> Iterator[tuple["ImageName", "Image"]]:
    """The name that `text` is and its image, as the options in `arguments` say, usable while the block runs.

    One of a registry is brought into the store first, without a name there; by `registry`, where one is open already.
    Raises as `store.open_image` and `registry.pull`.
    """
    from formation.oci.name import Transport, parse_name
    from formation.store.open_image import open_image

    name = parse_name(text)
    platform = chosen_platform(arguments.platform, name, context)
    if name.transport is Transport.REGISTRY:
        from formation.registry.platforms import machine_platform
        from formation.registry.pull import pull_image
        from formation.store.locking import in_use

        machine = machine_platform(os.uname().machine)
        client = open_registry(arguments, context, progress) if registry is None else nullcontext(registry)
        with client as opened, in_use(context.store):
            yield name, pull_image(name, context.store, opened, platform=platform, machine=machine, tag=False)
        return
    with open_image(
        name, context.store, directory=context.directory, environment=context.environment, platform=platform
    ) as image:
        if arguments.platform is not None and platform is not None:
            from formation.registry.platforms import require_platform

            require_platform(image, platform, str(name))
        yield name, image


def chosen_platform(asked: str | None, name: "ImageName", context: Context) -> "Platform | None":
    """Which image of several is meant: what was `asked` for, else that for this machine; None: there is only one.

    Raises UsageError for what is no platform.
    """
    from formation.oci.descriptor import parse_platform_name
    from formation.oci.media_types import INDEXES
    from formation.oci.name import Transport
    from formation.registry.platforms import machine_platform
    from formation.store.images import find_image

    if asked is not None:
        return parse_platform_name(asked)
    if name.transport is not Transport.STORE or name.reference is None:
        return None
    several = find_image(context.store, name.reference).descriptor.media_type in INDEXES
    return machine_platform(os.uname().machine) if several else None
