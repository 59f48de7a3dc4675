"""The README's tour as a program: the commands of its fenced blocks, and what it says that they print.

In a `console` block a line that begins with `$ ` is a command and the others are what it prints, where `…` stands for
anything: within a line, or on a line of its own for any lines. A `sh` block is a script to paste, all of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import run_command

ANYTHING = "…"
PATIENCE = 900
"""Seconds that a tour may take on a machine that has much else to do."""

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDED = "@@ step {} ended @@"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, or a script to paste."""

    command: str
    printed: str | None
    """What it prints on stdout; None where the README does not say."""


def steps(markdown: str, *headings: str) -> list[Step]:
    """The steps below `headings`, in their order. Raises KeyError for one that is not there, or has no step."""
    return [step for heading in headings for step in _in_section(_section(markdown, heading))]


def _section(markdown: str, heading: str) -> str:
    """What is below a heading, up to the next one; a comment of a script is none."""
    inside, fenced, lines = False, False, []
    for line in markdown.splitlines(keepends=True):
        if line.startswith("```"):
            fenced = not fenced
        if line.startswith("#") and not fenced:
            inside = line.lstrip("# ").rstrip() == heading
        elif inside:
            lines.append(line)
    section = "".join(lines)
    if not _FENCE.search(section):
        raise KeyError(f"the README has no steps below {heading!r}")
    return section


def run_steps(
    tour: Sequence[Step], directory: Path, environment: Mapping[str, str], replaced: Mapping[str, str]
) -> None:
    """Runs the steps in one shell, with what is `replaced` in them, and compares what they print.

    A background job lives until the shell ends, be it after a failure. Raises CommandFailed when a step fails, and
    AssertionError when it prints something else.
    """
    adapted = [_replace(step, replaced) for step in tour]
    # A job that the tour has ended itself may still be listed.
    script = "set -eu\ntrap 'jobs=$(jobs -p); [ -z \"$jobs\" ] || kill $jobs 2>/dev/null || true' EXIT\n"
    for number, step in enumerate(adapted):
        # Where it stopped is seen from the commands on stderr.
        script += f"cat >&2 <<'@@'\n$ {step.command}\n@@\n{step.command}\necho '{_ENDED.format(number)}'\n"
    (directory / "tour.sh").write_text(script)
    # A loop that waits for what never comes ends here, and the commands before it are in the message.
    command = ["timeout", "--kill-after", "10", str(PATIENCE), "bash", "tour.sh"]
    output = run_command(command, environment=environment, directory=directory).stdout
    for number, step in enumerate(adapted):
        said, _, output = output.partition(_ENDED.format(number) + "\n")
        assert step.printed is None or _pattern(step.printed).fullmatch(said), (
            f"$ {step.command}\nprinted\n{said}\nand the README says\n{step.printed}"
        )


def _in_section(section: str) -> Iterator[Step]:
    for kind, block in _FENCE.findall(section):
        if kind == "sh":
            yield Step(block.rstrip("\n"), None)
        elif kind == "console":
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield Step(command, printed or None)


def _replace(step: Step, replaced: Mapping[str, str]) -> Step:
    command, printed = step.command, step.printed
    for old, new in replaced.items():
        command, printed = command.replace(old, new), printed and printed.replace(old, new)
    return Step(command, printed)


def _pattern(printed: str) -> re.Pattern[str]:
    lines = [
        r"(?:.*\n)*?" if line == ANYTHING else re.escape(line).replace(ANYTHING, ".*") + r" *\n"
        for line in printed.splitlines()
    ]
    return re.compile("".join(lines))
