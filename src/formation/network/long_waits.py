"""Telling that a server asks to be left alone for a while: else nobody knows why nothing happens."""

import math
import threading
import time
from collections.abc import Callable
from typing import Final

_WORTH_TELLING: Final = 5.0
"""Seconds from which on a person wonders."""
DAY: Final = 86_400.0
"""Seconds."""


class LongWaits:
    """Tells of waits that servers ask for. May be used from any thread."""

    def __init__(self, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """`note` gets a line for each: `registry.example.com asks to wait 20 s`."""
        self._note = note
        self._clock = clock
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def tell(self, server: str, seconds: float) -> None:
        """A wait begins. Several transfers that wait for the same server at the same time are told of once."""
        if seconds < _WORTH_TELLING:
            return
        with self._lock:
            until = self._clock() + seconds
            # Those that it sends away together do not come at the very same moment.
            if until <= self._told.get(server, -math.inf) + seconds / 2:
                return
            self._told[server] = until
        self._note(f"{server or 'the server'} asks to wait {time_text(seconds)}")


def time_text(seconds: float) -> str:
    """`20 s`, `60 min`, `12 h`, `3 days`: rounded up, so that it is not too early then."""
    for size, unit, most in ((1, "s", 120), (60, "min", 120 * 60), (3600, "h", DAY)):
        if seconds <= most:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{math.ceil(seconds / DAY)} days"
