"""Several layers scanned at once, in processes beside this one."""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed

from formation.contents.detectors import Detector
from formation.contents.record import encode
from formation.contents.scan import scan_layer
from formation.errors import FormationError
from formation.oci.image import Layer


def scan_at_once(layers: Sequence[Layer], workers: int, detectors: Sequence[Detector]) -> Iterator[tuple[Layer, bytes]]:
    """Each of `layers` and what is in it, as `contents.record` encodes it, in the order in which they are done.

    They are begun in the order given. Raises FormationError when a worker was killed.
    """
    with _executor(layers, workers) as executor:
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


def _executor(layers: Sequence[Layer], workers: int) -> Executor:
    """Processes; or threads, which the interpreter's lock makes half as fast, for a source that cannot be sent."""
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
