"""Building a base image: from a plan to an image in the store, or straight to it when nothing has changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from formation.build.plan import Plan, make_job, plan_key
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.network import Downloader
from formation.oci.descriptor import Descriptor, descriptor_json, parse_descriptor
from formation.oci.image import Image, read_image
from formation.oci.reference import parse_reference
from formation.oci.strict_json import JsonObject
from formation.progress import Progress
from formation.store.blobs import StoreBlobs, has_blob
from formation.store.images import tag_image
from formation.store.locking import in_use
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is in the store under its tags."""

    references: tuple[str, ...]
    """The version's first: formation/base:1.0.0."""
    image: Image
    packages: int
    """How many are installed."""
    reused: bool
    """Whether the store had the very image already."""


def build_base(
    plan: Plan, store: Store, downloader: Downloader, progress: Progress, *, workers: int, overlay: bool = True
) -> BuiltImage:
    """Builds the image of `plan`, tags it and gives it.

    Raises FormationError and its kinds; the store keeps what was made until then, and the tags stay where they were.
    """
    with in_use(store):
        key = plan_key(plan)
        descriptor = _known(store, key)
        reused = descriptor is not None
        if descriptor is None:
            descriptor = _build(plan, store, downloader, progress, workers, overlay)
            write_bytes(store.builds / f"{key}.json", json_bytes(descriptor_json(descriptor)))
        references = [f"{plan.definition.name}:{tag}" for tag in plan.definition.all_tags(plan.variant)]
        for reference in references:
            tag_image(store, parse_reference(reference), descriptor)
        image = read_image(StoreBlobs(store), descriptor)
    return BuiltImage(tuple(references), image, len(plan.packages), reused)


def _build(
    plan: Plan, store: Store, downloader: Downloader, progress: Progress, workers: int, overlay: bool
) -> Descriptor:
    # Neither is needed when nothing has changed, and both take time to import.
    from formation.build.fetch import Fetching
    from formation.build.image import assemble_image
    from formation.install.installer import Installer

    job = make_job(plan, store.root, workers=workers, overlay=overlay)
    with Installer() as installer:
        fetching = Fetching(
            plan.definition, plan.lock, plan.packages, store, downloader, installer.arrived, installer.stop
        )
        try:
            variants = installer.run(job, progress, fetching.start)
        except FormationError:
            if fetching.error is not None:
                raise fetching.error from None
            raise
    fetching.join()
    return assemble_image(store, plan, variants)


def _known(store: Store, key: str) -> Descriptor | None:
    """The image that came of this build before, when all its blobs are still there."""
    try:
        value: Mapping[str, object] = json.loads((store.builds / f"{key}.json").read_bytes())
        descriptor = parse_descriptor(JsonObject(dict(value), "build record"))
        image = read_image(StoreBlobs(store), descriptor)
    except (FileNotFoundError, ValueError, FormationError):
        return None
    complete = all(has_blob(store, layer.digest, layer.size) for layer in image.manifest.layers)
    return descriptor if complete else None
