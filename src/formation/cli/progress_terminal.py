"""Progress for people: bars on a terminal, one line per finished stage elsewhere.

Bars cost an import of 100 ms, so they only appear for work that takes longer than people like to wait without a sign.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from formation.logins import blotted
from formation.progress import Progress, Silent

if TYPE_CHECKING:
    from formation.cli.progress_bars import StageBars

PATIENCE = 0.5
"""Seconds before the first bar."""

_NAME_WIDTH = len("indexes of bookworm-security")


@contextmanager
def open_progress(
    stream: TextIO, *, terminal: bool, colour: bool, quiet: bool, clock: Callable[[], float]
) -> Iterator[Progress]:
    """A Progress on `stream`; bars on a terminal, nothing when `quiet`. `clock` gives seconds from any start."""
    if quiet:
        yield Silent()
    elif terminal:
        display = Display(stream, clock, colour)
        try:
            yield display
        finally:
            display.close()
    else:
        yield Lines(stream, clock)


class Lines:
    """One line when a stage ends: its name, its result and how long it took."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._began: dict[str, float] = {}
        self._lock = threading.RLock()

    def start(self, stage: str, total: int, unit: str = "") -> None:
        with self._lock:
            self._began[stage] = self._clock()

    def advance(self, stage: str, amount: int = 1) -> None:
        pass

    def finish(self, stage: str, result: str = "") -> None:
        with self._lock:
            began = self._began.pop(stage, None)
            seconds = "" if began is None else f"{self._clock() - began:6.1f} s"
            self._write(f"{stage:<{_NAME_WIDTH}}{seconds:>8}  {result}".rstrip())

    def note(self, message: str) -> None:
        with self._lock:
            # Many a note is an error that did not matter.
            self._write(f"note: {blotted(message)}")

    def _write(self, line: str) -> None:
        # In one piece: the lines of two processes in one log do not mix.
        self._stream.write(f"{line}\n")
        self._stream.flush()


class Display(Lines):
    """Bars for the stages that run, above them the lines of those that have ended."""

    def __init__(self, stream: TextIO, clock: Callable[[], float], colour: bool) -> None:
        super().__init__(stream, clock)
        self._colour = colour
        self._running: dict[str, tuple[int, int, str]] = {}
        self._bars: StageBars | None = None
        self._closed = False
        self._timer = threading.Timer(PATIENCE, self._show)
        # A process that ends by an exception must not wait for it.
        self._timer.daemon = True
        self._timer.start()

    def start(self, stage: str, total: int, unit: str = "") -> None:
        super().start(stage, total, unit)
        with self._lock:
            self._running[stage] = (0, total, unit)
            if self._bars is not None:
                self._bars.add(stage, 0, total, unit)

    def advance(self, stage: str, amount: int = 1) -> None:
        with self._lock:
            if stage not in self._running:
                return
            done, total, unit = self._running[stage]
            self._running[stage] = (done + amount, total, unit)
            if self._bars is not None:
                self._bars.advance(stage, amount)

    def finish(self, stage: str, result: str = "") -> None:
        with self._lock:
            if self._running.pop(stage, None) is not None and self._bars is not None:
                self._bars.remove(stage)
            super().finish(stage, result)

    def close(self) -> None:
        """Takes the bars away. Nothing is drawn afterwards."""
        self._timer.cancel()
        with self._lock:
            self._closed = True
            bars, self._bars = self._bars, None
        # Outside the lock: it waits for the thread that draws.
        if bars is not None:
            bars.stop()

    def _write(self, line: str) -> None:
        if self._bars is None:
            super()._write(line)
        else:
            self._bars.print(line)

    def _show(self) -> None:
        from formation.cli.progress_bars import StageBars

        with self._lock:
            if self._closed:
                return
            self._bars = StageBars(self._stream, self._colour)
            for stage, (done, total, unit) in self._running.items():
                self._bars.add(stage, done, total, unit)
            self._bars.start()
