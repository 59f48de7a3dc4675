"""How often Python looks for cycles of objects that nobody needs any more, and how it ends."""

import gc
import os
import sys

_NEW_OBJECTS = 200_000
"""How many more containers there must be before it looks; its own 700 are met every few milliseconds while modules, and
the ten thousands of facts of an image, are read. Hardly any of those are in cycles, or go before the process ends."""


def collect_seldom() -> None:
    """From now on this process, and those that it forks, look for cycles a few times in a long run: for hardly ever
    finding any, a fifth of a short one is too much."""
    gc.set_threshold(_NEW_OBJECTS)


def keep_all() -> None:
    """For the end of a process: Python would look for cycles in all that there is once more, while it shuts down."""
    gc.freeze()


def end_at_once(code: int) -> None:
    """Ends this process, where nothing but its memory is left to give back: Python would first take apart every module
    that it has, which takes 9 ms. Does nothing where there are other threads or processes to wait for, or data that
    cannot be written: then Python has to do it."""
    threading = sys.modules.get("threading")
    if "multiprocessing" in sys.modules or (threading is not None and threading.active_count() > 1):
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code)
