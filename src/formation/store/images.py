"""The store's images: which reference stands for which manifest.

One small file per reference, named by the sha256 of the reference (a reference may be longer than a file name), with
the reference, the descriptor, and the index that it came of in part. Moving a reference is one rename, so readers see
the old image or the new one.
"""

from pathlib import Path

from formation.dataclass import dataclass, replace
from formation.digest import check_digest, hexadecimal, sha256
from formation.errors import FormationError, MalformedError, UsageError
from formation.files import json_bytes, write_bytes
from formation.oci.descriptor import Descriptor, Platform, descriptor_json, parse_descriptor
from formation.oci.image import Image, read_image, read_verified
from formation.oci.manifest import Index, index_bytes, media_type_of, parse_index
from formation.oci.media_types import INDEXES
from formation.oci.name import mistyped
from formation.oci.reference import Reference, parse_reference
from formation.oci.regular_file import read_regular
from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
from formation.oci.verified import verified
from formation.store.blobs import StoreBlobs, add_bytes
from formation.store.locking import changing_images
from formation.store.store import Store

_MOST_SHOWN = 10
"""References in a hint."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What a reference in the store stands for."""

    reference: Reference
    """With a tag, or with a digest: what was pulled by one."""
    descriptor: Descriptor
    """Of the manifest or index; of what came of an index in part, it is one image, or an index of those that came."""
    index: str | None = None
    """The digest of the index that it came of in part: it finds the image too. None: it came of none, or whole."""

    @property
    def digests(self) -> tuple[str, ...]:
        """What the image is found by, and the store keeps."""
        return (self.descriptor.digest,) if self.index is None else (self.descriptor.digest, self.index)


def tag_image(store: Store, reference: Reference, descriptor: Descriptor) -> None:
    """Makes `reference` stand for the manifest of `descriptor`, whose blobs the store already has. Idempotent.

    Raises UsageError when `reference` has no tag or has a digest.
    """
    if reference.tag is None or reference.digest is not None:
        raise UsageError(f"{reference} cannot be given to an image: write REPOSITORY:TAG")
    _write(store, reference, descriptor)


def keep_pulled(store: Store, reference: Reference, descriptor: Descriptor, index: str | None = None) -> None:
    """Has the store know the manifest of `descriptor` by the `reference` it was pulled by, and keep it. Idempotent.

    With tag and digest that is the tag. `index` is the digest of the index of which one image came, with the platform
    that it has there; what is there of the same index stays beside it, and when all is there, it is the index itself.
    The caller uses the store (`in_use`), which has the blobs of both.
    """
    kept = reference if reference.tag is None else Reference(reference.repository, reference.tag, None)
    with changing_images(store):
        before = None if index is None else _read_if_whole(record_path(store, kept))
        if before is not None and before.descriptor.digest == index:
            return
        if before is not None and index is not None and before.index == index:
            descriptor = _beside(store, before.descriptor, descriptor, index)
        _write(store, kept, descriptor, index if index != descriptor.digest else None)


def _beside(store: Store, before: Descriptor, image: Descriptor, index: str) -> Descriptor:
    """An index of `image` and what came before of the same `index`, or that itself when it lists nothing else; `image`
    alone where what came before cannot be read any more."""
    entries: tuple[Descriptor, ...] = (before,)
    try:
        if before.media_type in INDEXES:
            entries = parse_index(read_verified(StoreBlobs(store), before, "image index")).manifests
    except FormationError:
        return image
    every = {entry.digest: entry for entry in (*entries, image)}
    if len(every) == 1:
        return image
    data, listed = _read_index(store, index)
    if not listed or any(entry.digest not in every for entry in listed):
        data = index_bytes(Index(tuple(sorted(every.values(), key=lambda entry: str(entry.platform)))))
    return Descriptor(media_type_of(data), add_bytes(store, data), len(data))


def _read_index(store: Store, digest: str) -> tuple[bytes, tuple[Descriptor, ...]]:
    """The index of which nothing but its digest is known, and what it lists; nothing where it cannot be read."""
    try:
        with verified(StoreBlobs(store).open_blob(digest), digest, None, f"image index {digest}") as file:
            data = file.read(MAXIMUM_SIZE)
        return data, parse_index(data).manifests
    except FormationError:
        return b"", ()


def find_image(store: Store, reference: Reference) -> StoredImage:
    """The image that `reference` names by tag, digest or both. Raises FormationError when the store has none."""
    if reference.digest is not None:
        return _find_digest(store, reference)
    path = record_path(store, reference)
    if not path.exists():
        hint = _other_images(store, reference) + _elsewhere(reference)
        raise FormationError(f"the store has no image {reference}", hint=hint)
    return _read(path)


def _other_images(store: Store, reference: Reference) -> str:
    """What to name instead of `reference`, which the store does not have."""
    import difflib  # for errors only

    wanted, known = str(reference), [image.reference for image in list_images(store)]
    if (transport := mistyped(wanted)) is not None:
        return transport
    same = [str(each) for each in known if each.repository == reference.repository]
    # What they have in common before it, and the version, make no name alike.
    last = reference.repository.rpartition("/")[2]
    alike = [str(each) for each in known if difflib.get_close_matches(last, [each.repository.rpartition("/")[2]])]
    if not same and (near := difflib.get_close_matches(wanted, alike, n=1)):
        return f"did you mean {near[0]}?"
    shown = same or [str(each) for each in known]
    more = f", and {len(shown) - _MOST_SHOWN} more: formation images" if len(shown) > _MOST_SHOWN else ""
    return f"it has: {', '.join(shown[:_MOST_SHOWN]) or 'none; formation build'}{more}"


def open_stored(store: Store, reference: Reference, platform: Platform | None = None) -> Image:
    """The image that `reference` names, its manifest and config verified. Raises as `find_image` and `read_image`."""
    stored = find_image(store, reference)
    image = read_image(StoreBlobs(store), stored.descriptor, platform)
    if stored.index is None:
        return image
    # What came of an index in part is not all that the reference stands for.
    _, listed = _read_index(store, stored.index)
    images = tuple(entry for entry in listed if not entry.is_attestation)
    return replace(image, listed=images if image.digest in {entry.digest for entry in images} else ())


def list_images(store: Store) -> tuple[StoredImage, ...]:
    """Every reference in the store, sorted. Raises MalformedError when a record is damaged."""
    records = [_read(path) for path in store.images.glob("*.json") if not path.name.startswith(".")]
    return tuple(sorted(records, key=lambda image: str(image.reference)))


def remove_image(store: Store, reference: Reference) -> None:
    """Forgets `reference`; its blobs stay until a prune. Raises FormationError when the store does not have it."""
    record_path(store, find_image(store, reference).reference).unlink(missing_ok=True)


def _find_digest(store: Store, reference: Reference) -> StoredImage:
    pulled = record_path(store, reference)
    if pulled.exists():
        return _read(pulled)
    for image in list_images(store):
        same_tag = reference.tag in (None, image.reference.tag)
        if image.reference.repository == reference.repository and reference.digest in image.digests and same_tag:
            return image
    raise FormationError(f"the store has no image {reference}", hint=f"formation images{_elsewhere(reference)}")


def _elsewhere(reference: Reference) -> str:
    """For a hint: `pull` takes a name with a host for a registry's, and other commands for one of the store."""
    return f"; the image in the registry is docker://{reference}" if reference.host else ""


def record_path(store: Store, reference: Reference) -> Path:
    """The file that says what `reference` stands for; not there when the store has no such image."""
    return store.images / f"{hexadecimal(sha256(str(reference).encode()))}.json"


def _write(store: Store, reference: Reference, descriptor: Descriptor, index: str | None = None) -> None:
    value = {"reference": str(reference), "descriptor": descriptor_json(descriptor)}
    if index is not None:
        value["index"] = index
    write_bytes(record_path(store, reference), json_bytes(value))


def _read_if_whole(path: Path) -> StoredImage | None:
    """The record at `path`; None when there is none, or it is damaged: it is about to be written anew."""
    try:
        return _read(path) if path.exists() else None
    except FormationError:
        return None


def _read(path: Path) -> StoredImage:
    json = parse_object(read_regular(path, "the image's record", MAXIMUM_SIZE), f"image record {path}")
    try:
        reference = parse_reference(json.text("reference"))
    except UsageError as error:
        raise MalformedError(f"image record {path}: {error.message}") from None
    descriptor, index = parse_descriptor(json.object("descriptor")), json.optional_text("index")
    # What was pulled by the digest of an index before records had one.
    index = index or (reference.digest if reference.digest != descriptor.digest else None)
    return StoredImage(reference, descriptor, None if index is None else check_digest(index))
