"""A shell script as simple commands, well enough to see which programs it calls with which arguments.

It is no shell: what is inside a quoted string, a substitution or an unfinished construct is one word. The script that
`sh -c` is given is looked into; its words are all where it begins.
"""

import itertools
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
_SHELLS = frozenset({"sh", "bash", "dash"})
_SCRIPT_OPTION = re.compile(r"-[A-Za-z]*c")
_DEPTH = 4
"""Shells in shells that are looked into."""


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
        return tuple(_command([Word(word, where, where) for word in instruction.words]))
    return tuple(_commands(with_heredoc_script(instruction).value))


def _at(command: Command, where: int) -> Command:
    """`command` with all its words at one place, for text whose own places are unknown."""
    return Command(command.program, where, tuple(Word(word.text, where, where) for word in command.arguments))


def _commands(script: Spliced, depth: int = 0) -> Iterator[Command]:
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
            yield from _command(words, depth)
            words = []
        at = match.end()
    yield from _command(words, depth)


def _command(words: list[Word], depth: int = 0) -> Iterator[Command]:
    """The command that `words` are, or those of the script that a shell is given."""
    for number, word in enumerate(words):
        program = word.text.rpartition("/")[2]
        if _ASSIGNMENT.match(word.text) or program in _BEFORE_A_COMMAND:
            continue
        command = Command(program, word.start, tuple(words[number + 1 :]))
        script = _script(command) if program in _SHELLS and depth < _DEPTH else None
        if script is None:
            yield command
        else:
            inside = _commands(Spliced(script.text, ((0, script.start),)), depth + 1)
            yield from (_at(each, script.start) for each in inside)
        return


def _script(shell: Command) -> Word | None:
    """What follows the -c of a call of a shell; None when it has none."""
    for option, word in itertools.pairwise(shell.arguments):
        if _SCRIPT_OPTION.fullmatch(option.text):
            return word
    return None


def _bare(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return word[1:-1]
    return word
