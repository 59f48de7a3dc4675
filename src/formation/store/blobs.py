"""The store's blobs: layers, configs, manifests and locks, named by their digest."""

from typing import BinaryIO

from formation.dataclass import dataclass
from formation.digest import hexadecimal, sha256
from formation.files import atomic_file, write_bytes
from formation.oci.descriptor import Descriptor
from formation.oci.image import Image, open_verified
from formation.oci.regular_file import open_regular
from formation.oci.verified import CHUNK
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class StoreBlobs:
    """The blobs of a store as a BlobSource for `Image`."""

    store: Store

    def open_blob(self, digest: str) -> BinaryIO:
        """The blob, not yet verified. Raises FormationError when the store does not have it."""
        hexadecimal(digest)
        return open_regular(self.store.blob(digest), f"blob {digest}")

    def remedy(self, digest: str) -> str | None:
        """As `Mendable` has it: while a blob is there in its size, a build takes it for the right one."""
        return f"remove {self.store.blob(digest)}, then build or pull the image again"


def has_blob(store: Store, digest: str, size: int | None = None) -> bool:
    """Whether the store has the blob, of `size` bytes unless that is None. Its content is checked when it is read."""
    hexadecimal(digest)
    try:
        found = store.blob(digest).stat().st_size
    except FileNotFoundError:
        return False
    return size is None or found == size


def add_bytes(store: Store, data: bytes) -> str:
    """Keeps `data`. Gives its digest. Idempotent, and repairs a blob that has rotted."""
    digest = sha256(data)
    try:
        kept = has_blob(store, digest, len(data)) and store.blob(digest).read_bytes() == data
    except FileNotFoundError:
        kept = False
    if not kept:
        write_bytes(store.blob(digest), data)
    return digest


def add_image(store: Store, image: Image) -> Descriptor:
    """Copies what the store does not have of `image`, verified. Gives the descriptor of its manifest. Idempotent."""
    for descriptor in image.manifest.layers:
        if not has_blob(store, descriptor.digest, descriptor.size):
            with (
                open_verified(image.source, descriptor, "layer") as stream,
                atomic_file(store.blob(descriptor.digest)) as file,
            ):
                while chunk := stream.read(CHUNK):
                    file.write(chunk)
    add_bytes(store, image.config_bytes)
    add_bytes(store, image.manifest_bytes)
    return image.descriptor
