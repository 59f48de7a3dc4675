"""All layers of an image, scanned at once and remembered."""

from collections.abc import Iterator, Sequence
from typing import Final

from formation.contents import cache
from formation.contents.detectors import DETECTORS, Detector
from formation.contents.layer import LayerContents, Problem
from formation.contents.record import decode, encode
from formation.contents.scan import scan_layer
from formation.dataclass import dataclass
from formation.errors import MalformedError
from formation.oci.image import Image, Layer
from formation.progress import Progress, Silent
from formation.store.store import Store

MOST_LAYERS: Final = 2000
"""Engines refuse more than 127 (overlayfs stacks no more)."""
HEAVIEST: Final = 400 << 20
"""Bytes of memory that the facts of all layers may take: those of some 500,000 files."""
_BROKEN: Final = frozenset({"digest", "size", "diff-id", "compression", "tar", "limit", "unread"})
"""Problems of a layer after which nobody knows what is in it."""

_INLINE = 4 << 20
"""Stored bytes that are scanned before a worker process would have started."""


@dataclass(frozen=True, slots=True)
class ImageContents:
    """What is in an image."""

    image: Image
    layers: tuple[LayerContents, ...]
    """Base layer first; one for each layer of the image."""


def scan_image(
    image: Image,
    store: Store | None,
    *,
    workers: int,
    detectors: Sequence[Detector] = DETECTORS,
    progress: Progress | None = None,
) -> ImageContents:
    """What is in every layer of `image`: from the store where it was scanned before, else scanned now, and kept there.

    With None for the store nothing is remembered. A layer that occurs twice is scanned once. What is wrong with a layer
    is in its `problems`; one for which the config has no diffID has the wrong one. Raises MalformedError when the image
    is larger than anything that could be looked at in bounded memory, FormationError when a worker was killed.
    """
    found = scan_layers(_layers(image), store, workers=workers, detectors=detectors, progress=progress)
    return ImageContents(image, found)


def scan_layers(
    layers: Sequence[Layer],
    store: Store | None,
    *,
    workers: int,
    detectors: Sequence[Detector] = DETECTORS,
    progress: Progress | None = None,
) -> tuple[LayerContents, ...]:
    """What is in each of `layers`, in their order, as `scan_image` finds it. They need not be all of an image."""
    if len(layers) > MOST_LAYERS:
        raise MalformedError(f"the image has {len(layers)} layers; {MOST_LAYERS} are accepted, and engines take 127")
    progress = progress or Silent()
    known: dict[tuple[str, str], LayerContents] = {}
    total = sum({layer.descriptor.digest: layer.descriptor.size for layer in layers}.values())
    progress.start("read layers", total, "B")
    for layer, contents in _contents(layers, store, workers, detectors):
        known[_key(layer)] = contents
        progress.advance("read layers", layer.descriptor.size)
        if sum(found.weight for found in known.values()) > HEAVIEST:
            raise MalformedError("the image has more files, or more to tell of them, than can be looked at")
    progress.finish("read layers", f"{len(layers)} layers")
    return tuple(known[_key(layer)] for layer in layers)


def _layers(image: Image) -> tuple[Layer, ...]:
    """`image.layers`, also where config and manifest differ in how many there are."""
    diff_ids = (*image.config.diff_ids, *("none" for _ in image.manifest.layers))
    pairs = zip(image.manifest.layers, diff_ids, strict=False)
    return tuple(Layer(descriptor, diff_id, image.source) for descriptor, diff_id in pairs)


def _key(layer: Layer) -> tuple[str, str]:
    return layer.descriptor.digest, layer.diff_id


def _contents(
    layers: Sequence[Layer], store: Store | None, workers: int, detectors: Sequence[Detector]
) -> Iterator[tuple[Layer, LayerContents]]:
    """Each different layer with its contents, as they become known."""
    todo = []
    for layer in {_key(layer): layer for layer in layers}.values():
        contents = None if store is None else cache.find(store, layer, detectors)
        if contents is None:
            todo.append(layer)
        else:
            yield layer, contents
    # The largest first: the last to end should be a small one.
    todo.sort(key=lambda layer: -layer.descriptor.size)
    for layer, encoded in _scan(todo, workers, detectors):
        contents = decode(encoded)
        if store is not None:
            cache.keep(store, layer, detectors, encoded, contents)
        yield layer, contents


def _scan(layers: Sequence[Layer], workers: int, detectors: Sequence[Detector]) -> Iterator[tuple[Layer, bytes]]:
    if workers < 2 or len(layers) < 2 or sum(layer.descriptor.size for layer in layers) < _INLINE:
        yield from ((layer, encode(scan_layer(layer, detectors))) for layer in layers)
        return
    # Not at the top: where every layer is known already, importing this would take half of the time.
    from formation.contents.workers import scan_at_once

    yield from scan_at_once(layers, min(workers, len(layers)), detectors)


def problems(contents: ImageContents) -> tuple[tuple[int, Problem], ...]:
    """Number of the layer, from 0, and problem: all that is wrong within single layers."""
    return tuple((number, problem) for number, layer in enumerate(contents.layers) for problem in layer.problems)


def broken(contents: ImageContents) -> Problem | None:
    """A problem after which nobody knows what is in the image; None when there is none."""
    return next((problem for _, problem in problems(contents) if problem.kind in _BROKEN), None)
