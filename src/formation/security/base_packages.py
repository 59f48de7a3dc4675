"""The packages of the base that a service's lock names, as that image has them: its definition may be elsewhere."""

from formation.contents.filesystem import filesystem
from formation.contents.image import broken, scan_image
from formation.contract.base_layers import find_base
from formation.errors import FormationError
from formation.oci.image import Image
from formation.progress import Progress
from formation.store.blobs import StoreBlobs
from formation.store.locking import in_use
from formation.store.store import Store


def base_packages(
    digest: str, image: Image, store: Store, *, workers: int, progress: Progress
) -> frozenset[tuple[str, str]] | None:
    """Name and version of each package that is installed in the base with this digest, on which `image` stands.

    None when neither the store nor the source of `image` has it, whole and in order.
    """
    with in_use(store):
        try:
            base = find_base(digest, (StoreBlobs(store), image.source), image)
            if base is None:
                return None
            contents = scan_image(base, store, workers=workers, progress=progress)
        except FormationError:
            return None
        if broken(contents) is not None:
            return None
        packages, _ = filesystem(contents.layers).packages()
        return frozenset((package.name, package.version) for package in packages if package.installed)
