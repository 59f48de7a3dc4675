"""The store's images: which reference stands for which manifest.

One small file per reference, named by the sha256 of the reference (a reference may be longer than a file name), with
the reference and the descriptor in it. Moving a reference is one rename, so readers see the old image or the new one.
"""

from pathlib import Path

from formation.dataclass import dataclass
from formation.digest import hexadecimal, sha256
from formation.errors import FormationError, MalformedError, UsageError
from formation.files import json_bytes, write_bytes
from formation.oci.descriptor import Descriptor, Platform, descriptor_json, parse_descriptor
from formation.oci.image import Image, read_image
from formation.oci.name import mistyped
from formation.oci.reference import Reference, parse_reference
from formation.oci.regular_file import read_regular
from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
from formation.store.blobs import StoreBlobs
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What a reference in the store stands for."""

    reference: Reference
    """With a tag, or with a digest: what was pulled by one."""
    descriptor: Descriptor
    """Of the manifest or index; behind the digest of an index it may be that of one of its images."""


def tag_image(store: Store, reference: Reference, descriptor: Descriptor) -> None:
    """Makes `reference` stand for the manifest of `descriptor`, whose blobs the store already has. Idempotent.

    Raises UsageError when `reference` has no tag or has a digest.
    """
    if reference.tag is None or reference.digest is not None:
        raise UsageError(f"{reference} cannot be given to an image: write REPOSITORY:TAG")
    _write(store, reference, descriptor)


def keep_pulled(store: Store, reference: Reference, descriptor: Descriptor) -> None:
    """Has the store know the manifest of `descriptor` by the `reference` it was pulled by, and keep it. Idempotent.

    With tag and digest that is the tag, and beside it the digest where it is of an index of which one image came.
    """
    repository, tag, digest = reference.repository, reference.tag, reference.digest
    if tag is not None:
        _write(store, Reference(repository, tag, None), descriptor)
    if digest is not None and (tag is None or digest != descriptor.digest):
        _write(store, Reference(repository, None, digest), descriptor)


def find_image(store: Store, reference: Reference) -> StoredImage:
    """The image that `reference` names by tag, digest or both. Raises FormationError when the store has none."""
    if reference.digest is not None:
        return _find_digest(store, reference)
    path = record_path(store, reference)
    if not path.exists():
        known = ", ".join(str(image.reference) for image in list_images(store)[:10])
        hint = mistyped(str(reference)) or f"it has: {known or 'none; formation build'}"
        raise FormationError(f"the store has no image {reference}", hint=hint)
    return _read(path)


def open_stored(store: Store, reference: Reference, platform: Platform | None = None) -> Image:
    """The image that `reference` names, its manifest and config verified. Raises as `find_image` and `read_image`."""
    return read_image(StoreBlobs(store), find_image(store, reference).descriptor, platform)


def list_images(store: Store) -> tuple[StoredImage, ...]:
    """Every reference in the store, sorted. Raises MalformedError when a record is damaged."""
    records = [_read(path) for path in store.images.glob("*.json") if not path.name.startswith(".")]
    return tuple(sorted(records, key=lambda image: str(image.reference)))


def remove_image(store: Store, reference: Reference) -> None:
    """Forgets `reference`; its blobs stay until a prune. Raises FormationError when the store does not have it."""
    find_image(store, reference)
    record_path(store, reference).unlink(missing_ok=True)


def _find_digest(store: Store, reference: Reference) -> StoredImage:
    pulled = record_path(store, Reference(reference.repository, None, reference.digest))
    kept = _read(pulled) if pulled.exists() else None
    if kept is not None and reference.tag is None:
        return kept
    found = {reference.digest} if kept is None else {reference.digest, kept.descriptor.digest}
    for image in list_images(store):
        same_tag = reference.tag in (None, image.reference.tag)
        if image.reference.repository == reference.repository and image.descriptor.digest in found and same_tag:
            return image
    raise FormationError(f"the store has no image {reference}", hint="formation images")


def record_path(store: Store, reference: Reference) -> Path:
    """The file that says what `reference` stands for; not there when the store has no such image."""
    return store.images / f"{hexadecimal(sha256(str(reference).encode()))}.json"


def _write(store: Store, reference: Reference, descriptor: Descriptor) -> None:
    value = {"reference": str(reference), "descriptor": descriptor_json(descriptor)}
    write_bytes(record_path(store, reference), json_bytes(value))


def _read(path: Path) -> StoredImage:
    json = parse_object(read_regular(path, "the image's record", MAXIMUM_SIZE), f"image record {path}")
    try:
        reference = parse_reference(json.text("reference"))
    except UsageError as error:
        raise MalformedError(f"image record {path}: {error.message}") from None
    return StoredImage(reference, parse_descriptor(json.object("descriptor")))
