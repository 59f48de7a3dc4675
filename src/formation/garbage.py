"""How often Python looks for cycles of objects that nobody needs any more."""

import gc

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
