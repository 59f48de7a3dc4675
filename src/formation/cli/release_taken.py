"""Whether the version that `formation release` judges is there already, with other content."""

from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.registry_options import open_registry

if TYPE_CHECKING:
    from formation.oci.image import Image
    from formation.progress import Progress
    from formation.release.previous import Releases
    from formation.release.snapshot import Snapshot
    from formation.release.taken import Taken


def taken_version(
    releases: "Releases",
    version: str,
    made: "Mapping[str, Snapshot]",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
    *,
    same_version: bool,
) -> "Taken | None":
    """What is in the way of `version`; None when nothing is, or it is the previous release, with which all is compared.

    `made` is variant → what the definition makes of it, under `version` where it is the `same_version`. Raises as
    `open_tree`.
    """
    from formation.release.taken import Taken, is_other
    from formation.release.versions import following

    if version == releases.previous:
        return None
    for variant, side in made.items():
        name = releases.named(version, variant)
        if name is None:
            continue
        images = _images(name, arguments, context, progress)
        if any(is_other(image, side, same_version=same_version) for image in images):
            return Taken(name, following(version, releases.tags))
    return None


def _images(name: str, arguments: Namespace, context: Context, progress: "Progress") -> "tuple[Image, ...]":
    """All that `name` stands for, one for each platform: manifests and configs, and no layer is read."""
    from formation.oci.name import parse_name
    from formation.registry.open_image import open_tree

    with open_registry(arguments, context, progress) as registry, ExitStack() as stack:
        tree = open_tree(
            parse_name(name), context.store, registry, directory=context.directory, environment=context.environment
        )
        return stack.enter_context(tree).images()
