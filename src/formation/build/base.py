"""Building a base image: from a plan to an image in the store, or straight to it when nothing has changed."""

import time

from formation.build.fetch import install_fetching
from formation.build.image import assemble_image
from formation.build.plan import Plan, make_job, plan_key, sibling_keys
from formation.build.recall import BuiltImage, Read, known_or_built, place, tag_beside
from formation.build.repair import repair_store
from formation.definition.archives import is_key_file
from formation.definition.image_files import key_file, keyring_path
from formation.digest import sha256, sha256_file
from formation.install.installer import Installer
from formation.network import Downloader
from formation.oci.annotations import layer_packages
from formation.oci.descriptor import Descriptor
from formation.oci.image import Image
from formation.progress import Progress
from formation.store.locking import in_use
from formation.store.store import Store
from formation.store.unsynced import boot_id, sync_behind


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

    A caller who uses the store meanwhile has called `repair_store` before.

    Raises FormationError and its kinds; the store keeps what was made until then, and the tags stay where they were.
    """
    repair_store(store, progress)
    with in_use(store):
        image, reused = known_or_built(
            store,
            plan_key(plan),
            lambda: _build(plan, store, downloader, progress, installer, workers, overlay),
        )
        references = [f"{plan.definition.name}:{each}" for each in plan.definition.all_tags(plan.variant)]
        siblings = sibling_keys(plan)
        tagged = tag_beside(store, references, image, siblings)
        return BuiltImage(tagged, image, _count(plan, image), reused, siblings=siblings)


def _count(plan: Plan, image: Image) -> int:
    """How many packages are installed: of a minimal variant only its layers tell."""
    if plan.lineage[-1].only is None:
        return len(plan.packages)
    return sum(len(layer_packages(layer)) for layer in image.manifest.layers)


def inputs_of(plan: Plan) -> Read | None:
    """The files that decide the image besides the definition and its lock, and the digests of what the plan is of.

    None when one has gone meanwhile. Those of other variants have a place, too: a definition is refused without them.
    """
    directory = plan.definition.path.parent
    added = [file for additions in plan.additions for file in additions.files]
    files = {file.source: file.pinned.digest for file in added if file.source is not None and file.pinned is not None}
    named = [file for variant in plan.definition.variants for file in variant.files if file.source is not None]
    places = {directory / file.written: str(file.source) for file in named}
    keys = [(archive, key) for archive in plan.definition.archives for key in archive.keys if is_key_file(key)]
    try:
        for archive, key in keys:
            path = directory / key
            places[path] = place(path)
            if key == key_file(archive):
                content = next(file.content for file in added if file.path == keyring_path(archive))
                files[path] = sha256(content or b"")
            else:
                # It is not in the image, and decides whether the lock is stale.
                files[path] = sha256_file(path)
    except OSError:
        return None
    return Read(files, places)


def _build(
    plan: Plan,
    store: Store,
    downloader: Downloader,
    progress: Progress,
    installer: Installer,
    workers: int,
    overlay: bool,
) -> Descriptor:
    sync_behind(store, boot_id(), time.time())
    variants = install_fetching(
        installer,
        make_job(plan, store.root, workers=workers, overlay=overlay),
        plan.definition,
        plan.lock,
        plan.packages,
        store=store,
        downloader=downloader,
        progress=progress,
    )
    return assemble_image(store, plan, variants)
