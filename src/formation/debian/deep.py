"""Recursion whose depth an archive decides: it costs no Python stack."""

from collections.abc import Callable, Generator
from typing import TypeVar

Wanted = TypeVar("Wanted")

Steps = Generator[Wanted, bool, bool]
"""One call. It yields what must be done before it can go on, and is told whether that worked."""


def run_deep(first: Steps[Wanted], begin: Callable[[Wanted, int], Steps[Wanted]]) -> bool:
    """What `first` returns. `begin` gives the call for what another one wants, and how many are at work above it."""
    stack = [first]
    answer: bool | None = None
    while stack:
        try:
            wanted = stack[-1].send(answer)  # type: ignore[arg-type]
        except StopIteration as done:
            stack.pop()
            answer = bool(done.value)
            continue
        stack.append(begin(wanted, len(stack)))
        answer = None
    return bool(answer)
