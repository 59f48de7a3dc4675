"""Bars drawn by rich; imported only when there is something to draw."""

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

from formation.cli.text import size_text

_NAME_WIDTH = 22
_AMOUNT_WIDTH = len("999.9 MB of 999.9 MB, 999.9 MB/s")
_BAR_WIDTH = 30


class _Amount(ProgressColumn):
    """What is done and how fast: `12.3 MB of 98.0 MB, 41.0 MB/s`, `17 of 104`."""

    def render(self, task: Task) -> Text:
        done, total = int(task.completed), int(task.total or 0)
        if task.fields["unit"] == "B":
            of = f" of {size_text(total)}" if total else ""
            rate = f", {size_text(int(task.speed))}/s" if task.speed else ""
            return Text(f"{size_text(done)}{of}{rate}")
        return Text(f"{done} of {total}" if total else f"{done}" if done else "")


class StageBars:
    """One bar per stage."""

    def __init__(self, stream: TextIO, colour: bool) -> None:
        self._console = Console(file=stream, force_terminal=True, no_color=not colour, highlight=False)
        # What stands in a row, and a space between; a narrow terminal gets a short bar, and no second line.
        room = self._console.width - _NAME_WIDTH - _AMOUNT_WIDTH - 2
        self._bars = RichProgress(
            TextColumn(f"{{task.description:<{_NAME_WIDTH}}}", markup=False),
            BarColumn(bar_width=max(1, min(_BAR_WIDTH, room))),
            _Amount(Column(no_wrap=True)),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        """Begins to draw."""
        self._bars.start()

    def stop(self) -> None:
        """Takes the bars away."""
        self._bars.stop()

    def add(self, stage: str, done: int, total: int, unit: str) -> None:
        """A bar for `stage`, of which `done` of `total` is done; a total of 0 gives a bar that only moves."""
        self._tasks[stage] = self._bars.add_task(stage, completed=done, total=total or None, unit=unit)

    def advance(self, stage: str, amount: int) -> None:
        """`amount` more is done."""
        self._bars.advance(self._tasks[stage], amount)

    def remove(self, stage: str) -> None:
        """Takes the bar of `stage` away."""
        self._bars.remove_task(self._tasks.pop(stage))

    def print(self, line: str) -> None:
        """Writes `line` above the bars."""
        self._console.print(line, markup=False, soft_wrap=True)
