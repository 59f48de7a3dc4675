"""Images from a registry into the store."""

from collections.abc import Sequence
from pathlib import Path
from threading import BoundedSemaphore

from formation.dataclass import replace
from formation.errors import FormationError, MalformedError, UsageError
from formation.network.partial import PartialFile
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, choose_manifest, image_of, read_image
from formation.oci.manifest import media_type_of, parse_index
from formation.oci.name import ImageName, Transport
from formation.oci.reference import Reference
from formation.oci.regular_file import read_regular
from formation.oci.strict_json import MAXIMUM_SIZE
from formation.progress import counted
from formation.registry.download import download_blob
from formation.registry.parallel import in_parallel
from formation.registry.platforms import require_platform
from formation.registry.registry import Registry, manifest
from formation.registry.session import Session
from formation.registry.source import RegistryBlobs
from formation.registry.tree import DEEPEST, Found, Tree, read_tree
from formation.store.blobs import StoreBlobs, add_bytes, has_blob
from formation.store.images import keep_pulled
from formation.store.locking import in_use, work_directory
from formation.store.store import Store


def pull_image(
    name: ImageName,
    store: Store,
    registry: Registry,
    *,
    platform: Platform | None = None,
    machine: Platform | None = None,
    tag: bool = True,
) -> Image:
    """The image of `name`, a `docker://` name, in the store, complete and verified; there under the same reference.

    The image is for `platform`. Where that is None, it is the only one there, or that of an index for `machine`. What
    the store has is not fetched again, and a name with a digest needs no network when all of it is there. `tag` False
    leaves the store's references as they are. What a tag stands for is asked once, and the image lists that. Raises
    NotThere, LoginNeeded, UnreachableError, IntegrityError, and FormationError for a choice that is open, and when
    there is no image for `platform`.
    """
    reference = _registry_reference(name)
    chosen = platform or machine
    # Until the reference is written, a prune would take the blobs for nobody's.
    with in_use(store):
        image = None if reference.digest is None else _known(store, reference.digest, chosen)
        if image is None:
            named, image = _fetch_one(reference, str(name), store, registry, platform, chosen)
        else:
            named = reference.digest or image.digest
            if platform is not None:
                require_platform(image, platform, str(name))
        if tag:
            keep_pulled(store, reference, _listed(image), named if named != image.digest else None)
        return image


def _listed(image: Image) -> Descriptor:
    """The descriptor of `image`, with the platform that its index has for it: an ARM's variant may be there alone."""
    platform = next((entry.platform for entry in image.listed if entry.digest == image.digest), None)
    return image.descriptor if platform is None else replace(image.descriptor, platform=platform)


def _fetch_one(
    reference: Reference,
    name: str,
    store: Store,
    registry: Registry,
    platform: Platform | None,
    chosen: Platform | None,
) -> tuple[str, Image]:
    """The digest of what `reference` names, and the image of it, fetched. As `pull_image`."""
    sessions, path = find_one(registry, reference, chosen)
    named, found = path[0], path[-1]
    if platform is not None and not named.is_index:
        tree = Tree(found, (found,))
        with work_directory(store) as work:
            require_platform(image_of(RegistryBlobs(sessions, tree, work), found.data), platform, name)
    fetch_tree(sessions, Tree(found, (found,)), store, registry)
    # Indexes are kept so that the digest of the first finds the image without the registry.
    for index in path[:-1]:
        add_bytes(store, index.data)
    image = read_image(StoreBlobs(store), named.descriptor, chosen)
    # Behind a tag of a registry is all that there is.
    listed = image.listed or (image.descriptor,) if reference.digest is None else image.listed
    return named.descriptor.digest, replace(image, listed=listed)


def pull_all(name: ImageName, store: Store, registry: Registry) -> Descriptor:
    """The index or manifest of `name` with everything below it, in the store under the same reference. As above."""
    reference = _registry_reference(name)
    sessions, tree = find_tree(registry, reference)
    with in_use(store):
        fetch_tree(sessions, tree, store, registry)
        keep_pulled(store, reference, tree.root.descriptor)
    return tree.root.descriptor


def find_one(
    registry: Registry, reference: Reference, platform: Platform | None
) -> tuple[tuple[Session, ...], tuple[Found, ...]]:
    """Where the image of `reference` for `platform` is, and the way to it: what `reference` itself names, the indexes
    in that, and the image's manifest last."""
    sessions, named = registry.find(reference)
    path = [named]
    for _ in range(DEEPEST):
        if path[-1].is_index:
            chosen = choose_manifest(parse_index(path[-1].data).manifests, platform)
            path.append(manifest(sessions[0], chosen.digest, size=chosen.size))
    return sessions, tuple(path)


def find_tree(registry: Registry, reference: Reference) -> tuple[tuple[Session, ...], Tree]:
    """The manifests of `reference`, whole, and where they and their blobs are. Raises as `pull_image`."""
    sessions, root = registry.find(reference)

    def read(child: Descriptor) -> Found:
        found = manifest(sessions[0], child.digest, size=child.size)
        if found.descriptor.media_type != child.media_type:
            raise MalformedError(f"{child.digest} is not {child.media_type!r}, as the index of {reference} says")
        # The index's own descriptor says for which platform it is.
        return Found(child, found.data)

    return sessions, read_tree(root, read)


def fetch_tree(sessions: Sequence[Session], tree: Tree, store: Store, registry: Registry) -> None:
    """Brings what the store lacks: blobs in parallel, then the manifests. Idempotent; a cut run leaves blobs only."""
    with work_directory(store) as work:
        missing = [blob for blob in tree.blobs if not has_blob(store, blob.digest, blob.size)]
        _fetch_blobs(sessions, missing, store, work, registry)
        for each in tree.manifests:
            add_bytes(store, each.data)


def _fetch_blobs(
    sessions: Sequence[Session], missing: Sequence[Descriptor], store: Store, work: Path, registry: Registry
) -> None:
    progress = registry.progress
    total = sum(blob.size for blob in missing)
    progress.start("pull", total, "B")

    connections = registry.settings.connections
    free = BoundedSemaphore(connections)

    def advance(amount: int) -> None:
        progress.advance("pull", amount)

    def fetch(blob: Descriptor) -> None:
        with PartialFile(store.blob(blob.digest), blob.size, advance, work=work) as file:
            with free:
                download_blob(sessions, blob, file)
            # The disk takes its time to have it for good; the next blob comes meanwhile.
            file.keep(synced=True)

    # The largest first: the disk works on them while the small ones come, and none is left to come alone.
    largest_first = sorted(missing, key=lambda blob: blob.size, reverse=True)
    in_parallel(largest_first, fetch, registry.run, threads=2 * connections)
    progress.finish("pull", counted(len(missing), "blob"))


def _known(store: Store, digest: str, platform: Platform | None) -> Image | None:
    """The image of `digest`, a manifest's or an index's, when the store has all of it."""
    try:
        data = read_regular(store.blob(digest), "manifest", MAXIMUM_SIZE)
        descriptor = Descriptor(media_type_of(data), digest, len(data))
        return _complete(store, read_image(StoreBlobs(store), descriptor, platform))
    except FormationError:
        return None


def _complete(store: Store, image: Image) -> Image:
    for layer in image.manifest.layers:
        if not has_blob(store, layer.digest, layer.size):
            raise FormationError(f"the store lacks {layer.digest}")
    return image


def _registry_reference(name: ImageName) -> Reference:
    if name.transport is not Transport.REGISTRY or name.reference is None:
        raise UsageError(f"{name} is in no registry", hint="write docker://registry.example.com/formation/base:1.0.0")
    return name.reference
