"""Whether an image keeps its own promises: every broken one at once, as go-containerregistry's `validate` does."""

from collections.abc import Callable
from typing import BinaryIO

from formation.errors import FormationError
from formation.oci.decompression import decompressed
from formation.oci.image import Image, open_verified
from formation.oci.media_types import CONFIGS, DOCKER_MANIFEST, LAYERS
from formation.oci.verified import CHUNK, verified


def validate(image: Image) -> tuple[str, ...]:
    """What is wrong with `image`, one sentence each, in the order of its parts; empty when it is right.

    Reads every layer twice: as it is stored, and decompressed.
    """
    layers = [problem for number in range(len(image.manifest.layers)) for problem in _layer(image, number)]
    return (*validate_metadata(image), *layers)


def validate_metadata(image: Image) -> tuple[str, ...]:
    """What is wrong with the manifest and config of `image` beside each other; reads no layer."""
    return (*_counts(image), *_media_types(image))


def _counts(image: Image) -> list[str]:
    layers, diff_ids = len(image.manifest.layers), len(image.config.diff_ids)
    made = sum(not entry.empty_layer for entry in image.config.history)
    problems = []
    if layers != diff_ids:
        problems.append(f"the manifest has {layers} layers, and the config {diff_ids} diffIDs")
    # config.md: history is optional; where it is, its entries and the layers match one to one.
    if image.config.history and made != layers:
        problems.append(f"the manifest has {layers} layers, and the history {made} entries that made one")
    return problems


def _media_types(image: Image) -> list[str]:
    docker = image.manifest.media_type == DOCKER_MANIFEST
    problems = []
    config = image.manifest.config.media_type
    if config not in CONFIGS or ("docker" in config) != docker:
        problems.append(f"the config has the media type {config!r} in a manifest {image.manifest.media_type!r}")
    for number, layer in enumerate(image.manifest.layers):
        if layer.media_type not in LAYERS or ("docker" in layer.media_type) != docker:
            problems.append(f"layer {number} has the media type {layer.media_type!r}")
    return problems


def _layer(image: Image, number: int) -> list[str]:
    descriptor = image.manifest.layers[number]
    compression = LAYERS.get(descriptor.media_type)
    problems = _drain(lambda: open_verified(image.source, descriptor, f"layer {number}"))
    if compression is None or number >= len(image.config.diff_ids):
        return problems

    def uncompressed() -> BinaryIO:
        # Straight from the source: a wrong digest must not hide a wrong diffID.
        tar = decompressed(image.source.open_blob(descriptor.digest), compression, f"layer {number}")
        return verified(tar, image.config.diff_ids[number], None, f"layer {number}, uncompressed,")

    return list(dict.fromkeys(problems + _drain(uncompressed)))


def _drain(opened: Callable[[], BinaryIO]) -> list[str]:
    """What reading a stream to its end complains about."""
    try:
        with opened() as stream:
            while stream.read(CHUNK):
                pass
    except FormationError as error:
        return [error.message]
    return []
