"""An image: read-only accessors over the raw bytes of its manifest and config, wherever its blobs are."""

from typing import BinaryIO, Protocol, runtime_checkable

from formation.dataclass import dataclass, field, replace
from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, MalformedError
from formation.oci.config import Config, parse_config
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.manifest import Manifest, parse_index, parse_manifest
from formation.oci.media_types import INDEXES, LAYERS, MANIFESTS
from formation.oci.strict_json import MAXIMUM_SIZE
from formation.oci.verified import verified

_INDEX_DEPTH = 4
"""Indexes may hold indexes (image-index.md); nobody nests them deeper than twice."""


class BlobSource(Protocol):
    """Where blobs are: a layout, an archive, the store, a registry."""

    def open_blob(self, digest: str) -> BinaryIO:
        """The blob's bytes, not yet verified. Raises FormationError when it is not there."""


@runtime_checkable
class Mendable(Protocol):
    """A source of blobs that can have a damaged one anew."""

    def remedy(self, digest: str) -> str | None:
        """What a person can do when the bytes of a blob are not those of its digest; None for nothing in general."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image."""

    descriptor: Descriptor
    """Of the layer as it is stored, compressed."""
    diff_id: str
    """Digest of the uncompressed tar."""
    source: BlobSource

    def open(self) -> BinaryIO:
        """The stored bytes; reads raise IntegrityError when they are not what the descriptor promises."""
        return open_verified(self.source, self.descriptor, "layer")

    def uncompressed(self) -> BinaryIO:
        """The tar; the read at its end raises IntegrityError when it is not what the diffID promises.

        Read it until nothing comes: a tar reader that stops at the end marker has not verified it.
        """
        # Loading the decompressors takes longer than pulling a small layer, which needs none.
        from formation.oci.decompression import decompressed

        compression = LAYERS.get(self.descriptor.media_type)
        if compression is None:
            raise MalformedError(f"layer {self.descriptor.digest} has the media type {self.descriptor.media_type!r}")
        what = f"layer {self.descriptor.digest}"
        return verified(decompressed(self.open(), compression, what), self.diff_id, None, f"{what}, uncompressed,")


@dataclass(frozen=True, slots=True)
class Image:
    """An image for one platform. Two images are the same when their digests are."""

    source: BlobSource
    manifest_bytes: bytes
    config_bytes: bytes
    manifest: Manifest
    """A view of `manifest_bytes`."""
    config: Config
    """A view of `config_bytes`."""
    listed: tuple[Descriptor, ...] = field(default=(), compare=False, repr=False)
    """What the name that it was found by stands for: the images of the indexes that led to it, itself among them. Only
    its own entry may lack a platform. Empty where it was named alone: whether there are others, nothing says."""

    @property
    def digest(self) -> str:
        """Digest of the manifest: what registries name the image by."""
        return sha256(self.manifest_bytes)

    @property
    def descriptor(self) -> Descriptor:
        """Of the manifest, with the platform."""
        return Descriptor(
            self.manifest.media_type, self.digest, len(self.manifest_bytes), platform=self.config.platform
        )

    @property
    def size(self) -> int:
        """Bytes of the manifest, config and stored layers: what a first pull transfers."""
        layers = {layer.digest: layer.size for layer in self.manifest.layers}
        return len(self.manifest_bytes) + self.manifest.config.size + sum(layers.values())

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Base layer first. Raises MalformedError when config and manifest differ in how many there are."""
        descriptors, diff_ids = self.manifest.layers, self.config.diff_ids
        if len(descriptors) != len(diff_ids):
            raise MalformedError(f"the manifest has {len(descriptors)} layers, and the config {len(diff_ids)} diffIDs")
        return tuple(Layer(*pair, self.source) for pair in zip(descriptors, diff_ids, strict=True))


def read_image(
    source: BlobSource,
    descriptor: Descriptor,
    platform: Platform | None = None,
    entries: tuple[Descriptor, ...] = (),
) -> Image:
    """The image at `descriptor`, a manifest or an index. Manifest and config are verified; a layer when it is read.

    `platform` chooses from an index; None takes the only image there. `entries` are those that `descriptor` was chosen
    from. Raises IntegrityError and MalformedError, and FormationError when the index has no such image or the choice is
    open.
    """
    listed = _images(entries)
    for _ in range(_INDEX_DEPTH + 1):
        if descriptor.media_type in MANIFESTS:
            image = image_of(source, read_verified(source, descriptor, "image manifest"))
            return replace(image, listed=listed)
        if descriptor.media_type not in INDEXES:
            break
        index = parse_index(read_verified(source, descriptor, "image index"))
        # What is inside stands for an index; indexes that are not chosen say themselves for which platform they are.
        listed = (*(each for each in listed if each.digest != descriptor.digest), *_images(index.manifests))
        descriptor = choose_manifest(index.manifests, platform)
    raise FormationError(f"{descriptor.digest} is {descriptor.media_type!r}, which is not an image")


def image_of(source: BlobSource, manifest_bytes: bytes) -> Image:
    """The image with this manifest and its blobs in `source`. Raises IntegrityError and MalformedError."""
    manifest = parse_manifest(manifest_bytes)
    config_bytes = read_verified(source, manifest.config, "image config")
    return Image(source, manifest_bytes, config_bytes, manifest, parse_config(config_bytes))


def choose_manifest(manifests: tuple[Descriptor, ...], platform: Platform | None) -> Descriptor:
    """The entry of an index for `platform`, or its only image for None. Raises FormationError."""
    images = _images(manifests)
    # An entry without a platform may be for any, and a variant such as v8 that one side leaves open fits.
    fitting = [entry for entry in images if platform is None or _fits(entry.platform, platform)]
    if len({entry.digest for entry in fitting}) == 1:
        return fitting[0]
    names = ", ".join(sorted({str(entry.platform or "any") for entry in images}))
    if not fitting:
        raise FormationError(f"the index has no image for {platform or 'any platform'}; it has: {names or 'nothing'}")
    asked = "and no platform was asked for" if platform is None else f"of which more than one fits {platform}"
    raise FormationError(f"the index has several images, {asked}; it has: {names}")


def open_verified(source: BlobSource, descriptor: Descriptor, what: str) -> BinaryIO:
    """The blob of `descriptor`; reads raise IntegrityError when size or digest differ."""
    stream, remedy = source.open_blob(descriptor.digest), remedy_of(source, descriptor.digest)
    return verified(stream, descriptor.digest, descriptor.size, f"{what} {descriptor.digest}", remedy)


def remedy_of(source: BlobSource, digest: str) -> str | None:
    """What a person can do when `source` has other bytes than those of `digest`; None when it is not the one to say."""
    return source.remedy(digest) if isinstance(source, Mendable) else None


def read_verified(source: BlobSource, descriptor: Descriptor, what: str) -> bytes:
    """The whole blob of `descriptor`, a manifest or config. Raises IntegrityError; MalformedError when too large."""
    if descriptor.size > MAXIMUM_SIZE:
        raise MalformedError(f"{what} {descriptor.digest} has {descriptor.size} bytes; {MAXIMUM_SIZE} are accepted")
    with open_verified(source, descriptor, what) as stream:
        data = stream.read()
    if len(data) != descriptor.size:
        raise IntegrityError(f"{what} {descriptor.digest} has {len(data)} bytes, not {descriptor.size}")
    return data


def _images(entries: tuple[Descriptor, ...]) -> tuple[Descriptor, ...]:
    return tuple(entry for entry in entries if not entry.is_attestation)


def _fits(found: Platform | None, wanted: Platform) -> bool:
    if found is None:
        return True
    same = (found.os, found.architecture) == (wanted.os, wanted.architecture)
    return same and (found.variant == wanted.variant or None in (found.variant, wanted.variant))
