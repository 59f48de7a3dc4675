"""Several transfers at once, which end together."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from formation.network.transfer import Run

Job = TypeVar("Job")


def in_parallel(jobs: Iterable[Job], work: Callable[[Job], object], run: Run, *, threads: int) -> None:
    """Calls `work` for each of `jobs`, begun in their order. The first failure, or Ctrl-C, ends `run` and is raised."""
    waiting = tuple(jobs)
    if not waiting:
        return
    with ThreadPoolExecutor(min(threads, len(waiting)), "registry") as pool:
        try:
            for future in as_completed([pool.submit(work, job) for job in waiting]):
                future.result()
        except BaseException:
            run.cancel()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
