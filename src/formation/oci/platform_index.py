"""One name for the images of several platforms: their index, the same bytes for the same images, whoever makes it."""

from collections.abc import Sequence

from formation.oci.image import Image
from formation.oci.manifest import Index, index_bytes

VERSION = "org.opencontainers.image.version"
"""The annotation and label that say which version an image or index is (image-spec 1.1, annotations.md)."""


def platform_index(images: Sequence[Image], version: str) -> bytes:
    """The index of `images`, sorted by platform, which says that it is the version `version`."""
    ordered = sorted(images, key=lambda image: str(image.config.platform))
    return index_bytes(Index(tuple(image.descriptor for image in ordered), {VERSION: version}))


def version_of(image: Image) -> str:
    """The version that `image` says it is; empty: it does not."""
    return image.manifest.annotations.get(VERSION) or image.config.execution.labels.get(VERSION, "")
