"""Runs one command and says what it cost: seconds, and the memory of its whole process tree."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
"""Between two looks at the memory of a process tree."""


class RunFailed(Exception):
    """A measured command ended with an exit code other than 0."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took."""

    seconds: float
    """Wall clock, from before the fork until the exit."""
    largest_process: int
    """Peak resident set of the largest process of the tree that its parent waited for, in bytes (wait4)."""
    tree: int | None
    """Peak of the summed proportional set sizes (PSS) of all processes of the tree, in bytes, sampled; None when it
    was not asked for. PSS counts a page that n processes share as 1/n in each, so that the sum is what the tree
    occupies; the sum of the resident sets would count a forked worker's shared pages again."""


def measure(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002 - the name that subprocess gives it
    directory: Path | None = None,
    sample_tree: bool = False,
) -> Cost:
    """Runs `command`, with stdout and stderr into `log`. Raises RunFailed with the end of the log.

    What earlier runs wrote is synced first, so that no run pays for the write-back of another.
    """
    os.sync()
    source = log.with_suffix(".stdin")
    source.write_bytes(input)
    with source.open("rb") as stdin, log.open("wb") as sink:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory,
        )
        sampler = _TreeSampler(process.pid) if sample_tree else None
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    tree = sampler.stop() if sampler else None
    if process.returncode != 0:
        end = log.read_text(errors="replace")[-3000:]
        raise RunFailed(f"{' '.join(map(str, command))}\nended with exit code {process.returncode}:\n{end}")
    return Cost(seconds, usage.ru_maxrss * 1024, tree)


class _TreeSampler:
    """Follows the summed PSS of a process and all its descendants until it is stopped."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, sum(map(_proportional_set, _tree(self._root))))

    def stop(self) -> int:
        """The highest sum seen, in bytes."""
        self._done.set()
        self._thread.join()
        return self._peak


def _tree(root: int) -> list[int]:
    """`root` and its descendants, as far as they are there now."""
    found = [root]
    for process in found:
        try:
            for task in Path(f"/proc/{process}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
        except OSError:
            continue
    return found


def _proportional_set(process: int) -> int:
    """The PSS of a process in bytes, 0 when it is gone."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
