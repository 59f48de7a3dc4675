"""Which task a worker takes next: a pool of processes fed by urgency instead of by order of arrival."""

import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")

Urgency = tuple[int, ...]
"""The lower the sooner; what follows the first number orders tasks of one kind, after those without."""

CONFIGURE: Urgency = (0,)
UNPACK: Urgency = (1,)
ASSEMBLE: Urgency = (2,)
"""Stages wait for one another, so they go first; layers can be put together any time."""


class Schedule:
    """Gives each free worker the most urgent task. Not for use by several threads."""

    def __init__(self, pool: ProcessPoolExecutor, workers: int, inbox: "SimpleQueue[Any]") -> None:
        """`inbox` gets a callable when a task has ended; whoever takes it calls it."""
        self._pool = pool
        self._free = workers
        self._inbox = inbox
        self._waiting: list[tuple[Urgency, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def submit(
        self, urgency: Urgency, task: Callable[..., Result], *arguments: Any, **options: Any
    ) -> "Future[Result]":
        """Has `task` run; the future is done when the callable in the inbox was called."""
        outer: Future[Result] = Future()

        def begin() -> None:
            inner = self._pool.submit(task, *arguments, **options)
            inner.add_done_callback(lambda ended: self._inbox.put(lambda: self._end(ended, outer)))

        heapq.heappush(self._waiting, (urgency, next(self._count), begin))
        self._feed()
        return outer

    def _end(self, inner: "Future[Result]", outer: "Future[Result]") -> None:
        """Raises what the task raised."""
        self._free += 1
        self._feed()
        outer.set_result(inner.result())

    def _feed(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            heapq.heappop(self._waiting)[2]()
