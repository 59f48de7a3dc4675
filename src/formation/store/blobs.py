"""The store's blobs: layers, configs, manifests and locks, named by their digest."""

import os
from pathlib import Path
from typing import BinaryIO

from formation.dataclass import dataclass
from formation.digest import hexadecimal, sha256, sha256_file
from formation.errors import IntegrityError
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


def add_file(store: Store, path: Path, digest: str, *, trusted: bool = False) -> None:
    """Moves the file `path`, on the store's file system, into the store. Idempotent; `path` is gone afterwards.

    The caller has not changed it since computing `digest`; `trusted` says that it did so while writing, and saves
    reading the file again. Raises IntegrityError when the digest is another.
    """
    if not trusted and sha256_file(path) != digest:
        raise IntegrityError(f"{path} does not have the digest {digest}")
    target = store.blob(digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Synced before it gets its name: after a power cut, a name must not stand for a file of zeros.
    with path.open("rb") as file:
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    path.replace(target)


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
