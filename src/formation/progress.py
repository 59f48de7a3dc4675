"""How long work tells what it does: an object passed in, so that the core never knows about terminals."""

from typing import Protocol


class Progress(Protocol):
    """Receives the stages of a run. All methods may be called from any thread."""

    def start(self, stage: str, total: int, unit: str = "") -> None:
        """`stage` begins; `total` is its size in `unit` (`B` for bytes, empty for a count), 0 when unknown."""

    def advance(self, stage: str, amount: int = 1) -> None:
        """`amount` more of `stage` is done."""

    def finish(self, stage: str, result: str = "") -> None:
        """`stage` is done; `result` is a few words about it, such as `104 packages`."""

    def note(self, message: str) -> None:
        """Something a person should know that is not an error."""


def counted(number: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Silent:
    """A Progress that says nothing: for tests, `--quiet` and library use."""

    def start(self, stage: str, total: int, unit: str = "") -> None:
        pass

    def advance(self, stage: str, amount: int = 1) -> None:
        pass

    def finish(self, stage: str, result: str = "") -> None:
        pass

    def note(self, message: str) -> None:
        pass
