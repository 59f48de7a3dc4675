"""All layers of an image, scanned at once and remembered."""

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from formation.contents import cache
from formation.contents.detectors import DETECTORS, Detector
from formation.contents.layer import LayerContents, Problem
from formation.contents.record import decode, encode
from formation.contents.scan import scan_layer
from formation.errors import FormationError, MalformedError
from formation.oci.image import Image, Layer
from formation.progress import Progress, Silent
from formation.store.store import Store

if TYPE_CHECKING:
    from concurrent.futures import Executor

MOST_LAYERS: Final = 2000
"""Engines refuse more than 127 (overlayfs stacks no more)."""
HEAVIEST: Final = 400 << 20
"""Bytes of memory that the facts of all layers may take: those of some 500,000 files."""

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
        yield from ((layer, _scan_one(layer, detectors)) for layer in layers)
        return
    # Not at the top: where every layer is known already, importing these would take half of the time.
    from concurrent.futures import BrokenExecutor, as_completed

    with _executor(layers, min(workers, len(layers))) as executor:
        try:
            running = {executor.submit(_scan_one, layer, detectors): layer for layer in layers}
            for done in as_completed(running):
                yield running[done], done.result()
        except BrokenExecutor:
            raise FormationError("a process that read layers was killed", hint="is there enough memory?") from None
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _scan_one(layer: Layer, detectors: Sequence[Detector]) -> bytes:
    return encode(scan_layer(layer, detectors))


def _executor(layers: Sequence[Layer], workers: int) -> "Executor":
    """Processes; or threads, which the interpreter's lock makes half as fast, for a source that cannot be sent."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    try:
        pickle.dumps(layers[0].source)
    except (pickle.PicklingError, TypeError, AttributeError):
        return ThreadPoolExecutor(workers, "layer")
    # Starting afresh costs a process 0.2 s of imports; forking is not safe beside macOS's frameworks.
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    return ProcessPoolExecutor(workers, context, _start_worker, (os.getpid(),))


def _start_worker(parent: int) -> None:
    """A worker ends without a word when somebody types Ctrl-C, and when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def problems(contents: ImageContents) -> tuple[tuple[int, Problem], ...]:
    """Number of the layer, from 0, and problem: all that is wrong within single layers."""
    return tuple((number, problem) for number, layer in enumerate(contents.layers) for problem in layer.problems)
