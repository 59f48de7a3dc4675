"""What is wrong with a definition, collected so that all of it is reported in one go."""

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from formation.dataclass import dataclass
from formation.definition.data_path import DataPath
from formation.errors import DefinitionError

if TYPE_CHECKING:
    # A remembered definition has problems too, and no YAML to read.
    from formation.definition.source import Source


class Invalid(ValueError):
    """One value does not follow its rule. A ValueError, so that pydantic turns it into one of its own."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    path: DataPath
    """The value, as keys and indexes from the top of the document."""
    reason: str
    hint: str | None = None


def nearest(word: str, words: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """`did you mean 'X'?` for the one of `words` that `word` probably stands for; None when nothing is near.

    `likeness`, up to 1, is how near that is (difflib's ratio).
    """
    matches = difflib.get_close_matches(word, list(words), n=1, cutoff=likeness)
    return f"did you mean {matches[0]!r}?" if matches else None


def definition_error(source: "Source", problems: Iterable[Problem]) -> DefinitionError:
    """One error that tells all `problems` of `source`, by line, each once.

    Several problems make several lines, each followed by its own hint; a single one has its hint in `hint`.
    """
    by_line = sorted(dict.fromkeys(problems), key=lambda problem: source.position(problem.path).line)
    lines = [f"{source.name}:{source.position(problem.path).line}: {problem.reason}" for problem in by_line]
    if len(by_line) == 1:
        return DefinitionError(lines[0], hint=by_line[0].hint)
    for index, problem in enumerate(by_line):
        if problem.hint:
            lines[index] += f"\n    hint: {problem.hint}"
    return DefinitionError("\n".join(lines))


def joined_error(problems: Sequence[tuple[str, str | None]]) -> DefinitionError:
    """One error for `problems`, each a message that starts with `FILE:LINE: ` and its hint, in their order.

    As in `definition_error`, the hint of a single one is the error's own.
    """
    if len(problems) == 1:
        return DefinitionError(problems[0][0], hint=problems[0][1])
    return DefinitionError("\n".join(message + (f"\n    hint: {hint}" if hint else "") for message, hint in problems))
