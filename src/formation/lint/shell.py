"""A shell script as simple commands, well enough to see which programs it calls with which arguments.

It is no shell: what is inside a quoted string, a substitution or an unfinished construct is one word.
"""

import re
from collections.abc import Iterator

from formation.dataclass import dataclass
from formation.lint.dockerfile_syntax import Instruction, Spliced, with_heredoc_script

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\r?\n)|(?P<comment>\#[^\n]*)"""
    r"""|(?P<word>(?:\$\([^()\n]*\)|\$\{[^{}\n]*\}|"(?:\\.|[^"\\])*"|'[^']*'|\\[^\n]|[^\s;&|()"'\\{}]|\{[^{}\s;]*\})+)"""
    r"""|(?P<end>&&|\|\||[;&|\n(){}])""",
    re.DOTALL,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BEFORE_A_COMMAND = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "exec", "sudo", "env", "time"}
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command."""

    text: str
    """Without quotes around it."""
    start: int
    """Its offset in the file."""
    end: int
    """The offset after it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its arguments."""

    program: str
    """Without its directory."""
    start: int
    arguments: tuple[Word, ...]

    @property
    def operands(self) -> tuple[Word, ...]:
        """The arguments that are no options."""
        return tuple(word for word in self.arguments if not word.text.startswith("-"))


def commands_of(instruction: Instruction) -> tuple[Command, ...]:
    """The commands of a RUN, in their order."""
    if instruction.words is not None:
        where = instruction.value.offset(0)
        words = instruction.words
        if len(words) == 3 and words[0].rpartition("/")[2] in ("sh", "bash") and words[1].startswith("-"):
            script = Spliced(words[2], ((0, where),))
            return tuple(_at(command, where) for command in _commands(script))
        return tuple(_command([Word(word, where, where) for word in words]))
    return tuple(_commands(with_heredoc_script(instruction).value))


def _at(command: Command, where: int) -> Command:
    """`command` with all its words at one place, for text whose own places are unknown."""
    return Command(command.program, where, tuple(Word(word.text, where, where) for word in command.arguments))


def _commands(script: Spliced) -> Iterator[Command]:
    words: list[Word] = []
    at = 0
    text = script.text
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            at += 1
            continue
        if match["word"]:
            word = match["word"]
            words.append(Word(_bare(word), script.offset(at), script.offset(match.end() - 1) + 1))
        elif match["end"]:
            yield from _command(words)
            words = []
        at = match.end()
    yield from _command(words)


def _command(words: list[Word]) -> Iterator[Command]:
    for number, word in enumerate(words):
        if not _ASSIGNMENT.match(word.text) and word.text.rpartition("/")[2] not in _BEFORE_A_COMMAND:
            yield Command(word.text.rpartition("/")[2], word.start, tuple(words[number + 1 :]))
            return


def _bare(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return word[1:-1]
    return word
