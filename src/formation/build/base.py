"""Building a base image: from a plan to an image in the store, or straight to it when nothing has changed."""

from pathlib import Path

from formation.build.fetch import Fetching
from formation.build.image import assemble_image
from formation.build.plan import Plan, make_job, plan_key
from formation.build.recall import BuiltImage, complete_image, tag
from formation.definition.image_files import key_file
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.install.installer import Installer
from formation.network import Downloader
from formation.oci.descriptor import Descriptor, descriptor_json, parse_descriptor
from formation.oci.image import Image
from formation.oci.strict_json import parse_object
from formation.progress import Progress
from formation.store.locking import in_use
from formation.store.store import Store


def build_base(
    plan: Plan,
    store: Store,
    downloader: Downloader,
    progress: Progress,
    installer: Installer,
    *,
    workers: int,
    overlay: bool = True,
) -> BuiltImage:
    """Builds the image of `plan`, tags it and gives it. `installer` has had no job yet.

    Raises FormationError and its kinds; the store keeps what was made until then, and the tags stay where they were.
    """
    with in_use(store):
        key = plan_key(plan)
        image = _known(store, key)
        reused = image is not None
        if image is None:
            descriptor = _build(plan, store, downloader, progress, installer, workers, overlay)
            write_bytes(store.builds / f"{key}.json", json_bytes(descriptor_json(descriptor)))
            image = complete_image(store, descriptor)
            if image is None:
                raise FormationError("the image was built, and is not in the store", hint="formation cache prune")
        references = [f"{plan.definition.name}:{each}" for each in plan.definition.all_tags(plan.variant)]
        return BuiltImage(tag(store, references, image.descriptor), image, len(plan.packages), reused)


def inputs_of(plan: Plan) -> list[Path]:
    """The files that decide the image besides the definition and its lock."""
    sources = [file.source for additions in plan.additions for file in additions.files if file.source is not None]
    keys = [key_file(archive) for archive in plan.definition.archives]
    return sources + [plan.definition.path.parent / key for key in keys if key is not None]


def _build(
    plan: Plan,
    store: Store,
    downloader: Downloader,
    progress: Progress,
    installer: Installer,
    workers: int,
    overlay: bool,
) -> Descriptor:
    job = make_job(plan, store.root, workers=workers, overlay=overlay)
    fetching = Fetching(plan.definition, plan.lock, plan.packages, store, downloader, installer.arrived, installer.stop)
    try:
        variants = installer.run(job, progress, fetching.start)
    except FormationError:
        if fetching.error is not None:
            raise fetching.error from None
        raise
    fetching.join()
    return assemble_image(store, plan, variants)


def _known(store: Store, key: str) -> Image | None:
    """The image that came of this build before, when all its blobs are still there."""
    try:
        data = (store.builds / f"{key}.json").read_bytes()
        return complete_image(store, parse_descriptor(parse_object(data, "build record")))
    except (FileNotFoundError, FormationError):
        return None
