"""Several transfers at once, which end together."""

from collections.abc import Callable, Iterable
from threading import Lock, Thread
from typing import Final, Generic, TypeVar

from formation.network.transfer import Run

Job = TypeVar("Job")

_LONGEST_SLEEP: Final = 0.5
"""Seconds."""


def in_parallel(jobs: Iterable[Job], work: Callable[[Job], object], run: Run, *, threads: int) -> None:
    """Calls `work` for each of `jobs`, begun in their order. The first failure, or Ctrl-C, ends `run` and is raised."""
    # concurrent.futures would do; importing it and its logging takes longer than asking for a manifest.
    waiting = _Waiting(jobs, work, run)
    workers = [
        Thread(target=waiting.work_off, name=f"registry-{number}") for number in range(min(threads, len(waiting)))
    ]
    try:
        for worker in workers:
            worker.start()
        # Not `join`: before Python 3.13, one that Ctrl-C interrupts takes its thread for ended. Nor an Event: Ctrl-C
        # may come when its `wait`, which is Python too, has just taken a lock, and then nobody could set it any more.
        # Nor for ever: Ctrl-C that comes just before the thread falls asleep does not wake it.
        while not waiting.over.acquire(timeout=_LONGEST_SLEEP):
            pass
    except BaseException as error:
        waiting.fail(error)
        waiting.over.acquire()
        raise
    for worker in workers:
        worker.join()
    if waiting.failure is not None:
        raise waiting.failure


class _Waiting(Generic[Job]):
    """The jobs that nobody has begun."""

    def __init__(self, jobs: Iterable[Job], work: Callable[[Job], object], run: Run) -> None:
        self._jobs = list(jobs)[::-1]
        self._work = work
        self._run = run
        self._lock = Lock()
        self._working = 0
        self.over = Lock()
        """Free when no job is left, and none is worked on; `fail` frees it again."""
        self.over.acquire()
        self.failure: BaseException | None = None
        """The first one; None: nothing has failed."""
        self._end_if_idle()

    def __len__(self) -> int:
        return len(self._jobs)

    def work_off(self) -> None:
        """Does one after the other until none is left, or something fails. Raises nothing."""
        while (job := self._next()) is not None:
            try:
                self._work(job[0])
            except BaseException as error:
                self.fail(error)
            with self._lock:
                self._working -= 1
                self._end_if_idle()

    def fail(self, error: BaseException) -> None:
        """Ends the run. What fails afterwards fails because of that."""
        with self._lock:
            self._jobs.clear()
            if self.failure is None:
                self.failure = error
            self._end_if_idle()
        self._run.cancel()

    def _next(self) -> tuple[Job] | None:
        with self._lock:
            if not self._jobs:
                return None
            self._working += 1
            return (self._jobs.pop(),)

    def _end_if_idle(self) -> None:
        if not self._jobs and not self._working and self.over.locked():
            self.over.release()
