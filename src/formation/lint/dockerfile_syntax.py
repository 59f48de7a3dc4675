"""A Dockerfile's text as instructions, each character of which knows its place in the file.

As BuildKit's parser reads it (frontend/dockerfile/parser/parser.go): directives, comments between continued lines,
heredocs, flags, the JSON form and ONBUILD.
"""

import bisect
import json
import re
from collections.abc import Iterator

from formation.dataclass import dataclass, replace
from formation.lint.text import Text

LIMIT = 4 << 20
"""Bytes of a Dockerfile."""
KEYWORDS = frozenset({
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER",
    "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
})  # fmt: skip

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*\Z")
_KEYWORD = re.compile(r"([A-Za-z]+)(?=\s|\Z)")
_TRIGGERED = re.compile(r"\s+([A-Za-z]+)(?=\s|\Z)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=((?:\"[^\"]*\"|'[^']*'|[^\s\"'])*))?(?=\s|\Z)")
# A word of its own, as BuildKit wants it: `$((1<<2))` and `a<<EOF` are none.
_HEREDOC = re.compile(r"(?<!\S)\d*<<(-?)(\"[^\"\n]+\"|'[^'\n]+'|[^\s<\"']+)(?!\S)")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.", re.DOTALL)
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_MANY_HEREDOCS = 100


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name=value` after a keyword."""

    name: str
    value: str
    """Empty for a flag without one."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """A text that was put together from pieces of a file."""

    text: str
    pieces: tuple[tuple[int, int], ...]
    """Of each piece where it begins in `text`, and in the file."""

    def offset(self, index: int) -> int:
        """Where the character `index` of `text` is in the file."""
        piece = bisect.bisect_right(self.pieces, (index, 1 << 60)) - 1
        start, offset = self.pieces[max(piece, 0)]
        return offset + index - start

    def part(self, start: int, end: int | None = None) -> "Spliced":
        """The characters from `start` to `end`."""
        text = self.text[start:end]
        pieces = [(0, self.offset(start))]
        pieces += [(at - start, offset) for at, offset in self.pieces if start < at < start + len(text)]
        return Spliced(text, tuple(pieces))


@dataclass(frozen=True, slots=True)
class Heredoc:
    """What is between `<<NAME` and NAME."""

    name: str
    body: Spliced
    expands: bool
    """Whether variables in it are expanded: NAME is not quoted."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction."""

    keyword: str
    """In upper case."""
    value: Spliced
    """What follows keyword and flags, continued lines joined, without the heredocs' bodies."""
    flags: tuple[Flag, ...]
    words: tuple[str, ...] | None
    """The JSON form; None for the other."""
    heredocs: tuple[Heredoc, ...]
    start: int
    """The offset of its keyword."""
    line: int
    end_line: int
    keyword_end: int
    """The offset after its keyword."""
    onbuild: bool = False
    """Whether it runs when another image is built on this one."""

    def flag(self, name: str) -> str | None:
        """The value of the flag `name`; None when it is not there."""
        return next((flag.value for flag in self.flags if flag.name == name), None)


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line outside heredocs."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Syntax:
    """What a Dockerfile is made of."""

    instructions: tuple[Instruction, ...]
    comments: tuple[Comment, ...]
    problems: tuple[tuple[int, str], ...]
    """Offset and reason of what is no Dockerfile."""
    escape: str


def parse_syntax(text: Text) -> Syntax:
    """The instructions of `text`. Raises nothing: what is wrong is in `problems`, and the rest is read."""
    return _Parser(text).syntax()


class _Parser:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.lines = text.content.split("\n")
        self.next = 0
        self.instructions: list[Instruction] = []
        self.comments: list[Comment] = []
        self.problems: list[tuple[int, str]] = []
        self.escape = self._directives()
        continued = re.escape(self.escape)
        # A doubled escape character at the end is the character itself, and continues nothing.
        self.continues = re.compile(rf"(?:(?<=[^{continued}])|\A){continued}[ \t]*\r?\Z")

    def _directives(self) -> str:
        """The escape character. Directives stand before everything else."""
        escape = "\\"
        for number, line in enumerate(self.lines):
            match = _DIRECTIVE.match(line.strip().removeprefix("\ufeff"))
            if match is None:
                break
            self.comments.append(Comment(number + 1, line.strip()))
            self.next = number + 1
            if match[1].lower() == "escape":
                if match[2] in ("\\", "`"):
                    escape = match[2]
                else:
                    self.problems.append((self.text.starts[number], "the escape character is ` or \\"))
        return escape

    def syntax(self) -> Syntax:
        while self.next < len(self.lines):
            line = self.lines[self.next].strip().removeprefix("\ufeff")
            if not line:
                self.next += 1
            elif line.startswith("#"):
                self._comment(line)
            else:
                self._instruction()
        return Syntax(tuple(self.instructions), tuple(self.comments), tuple(self.problems), self.escape)

    def _comment(self, line: str) -> None:
        self.next += 1
        self.comments.append(Comment(self.next, line))

    def _instruction(self) -> None:
        first = self.next
        joined = self._joined()
        if not joined.text.strip():
            return
        match = _KEYWORD.match(joined.text)
        keyword = match[1].upper() if match else ""
        if match is None or keyword not in KEYWORDS:
            word = joined.text.split()[0][:40]
            reason = f"there is no instruction {word!r}" if word.isprintable() else "the line is not text"
            self.problems.append((joined.offset(0), reason))
            return
        if keyword == "ONBUILD":
            inner = _TRIGGERED.match(joined.text, match.end())
            if inner is None or inner[1].upper() not in KEYWORDS - {"ONBUILD", "FROM", "MAINTAINER"}:
                self.problems.append((joined.offset(0), "ONBUILD needs an instruction that may be triggered"))
                return
            self._add(joined.part(inner.start(1)), inner[1].upper(), first, onbuild=True)
            return
        self._add(joined, keyword, first)

    def _joined(self) -> Spliced:
        """The instruction from the next line on, without continuations and the comments between them."""
        parts: list[str] = []
        pieces: list[tuple[int, int]] = []
        length = 0
        while self.next < len(self.lines):
            line, number = self.lines[self.next], self.next
            bare = line.strip()
            if parts and (not bare or bare.startswith("#")):
                if bare:
                    self.comments.append(Comment(number + 1, bare))
                self.next += 1
                continue
            indent = 0 if parts else len(line) - len(line.lstrip(" \t\ufeff\r\v\f"))
            end = self.continues.search(line)
            part = line[indent : end.start()] if end else line[indent:].rstrip()
            pieces.append((length, self.text.starts[number] + indent))
            parts.append(part)
            length += len(part)
            self.next += 1
            if end is None:
                break
        text = "".join(parts)
        return Spliced(text, tuple(pieces))

    def _add(self, joined: Spliced, keyword: str, first: int, *, onbuild: bool = False) -> None:
        at = len(keyword)
        flags = []
        while True:
            spaces = len(joined.text[at:]) - len(joined.text[at:].lstrip())
            match = _FLAG.match(joined.text, at + spaces)
            if match is None:
                at += spaces
                break
            flags.append(Flag(match[1], (match[2] or "").strip("\"'")))
            at = match.end()
        value = joined.part(at)
        heredocs = tuple(self._heredocs(value)) if keyword in _WITH_HEREDOCS else ()
        instruction = Instruction(
            keyword, value, tuple(flags), _json(value.text), heredocs, joined.offset(0), first + 1, self.next,
            joined.offset(len(keyword) - 1) + 1, onbuild,
        )  # fmt: skip
        if not value.text and keyword not in ("CMD", "ENTRYPOINT", "RUN", "VOLUME"):
            self.problems.append((instruction.start, f"{keyword} needs an argument"))
        self.instructions.append(instruction)

    def _heredocs(self, value: Spliced) -> Iterator[Heredoc]:
        # Quoted text is blanked, except the quotes around a heredoc's name.
        for match in list(_HEREDOC.finditer(_without_quoted(value.text)))[:_MANY_HEREDOCS]:
            name = match[2]
            bare = name.strip("\"'")
            start = self.next
            while self.next < len(self.lines):
                line = self.lines[self.next].rstrip("\r")
                self.next += 1
                if (line.lstrip("\t") if match[1] else line) == bare:
                    offset = self.text.starts[start]
                    body = self.text.content[offset : self.text.starts[self.next - 1]]
                    yield Heredoc(bare, Spliced(body, ((0, offset),)), name == bare)
                    break
            else:
                self.problems.append((value.offset(match.start()), f"the heredoc {bare[:40]!r} does not end"))
                return


def _without_quoted(text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        names = text[: match.start()].endswith(("<<", "<<-"))
        return match[0] if names else " " * len(match[0])

    return _QUOTED.sub(blank, text)


def _json(text: str) -> tuple[str, ...] | None:
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def with_heredoc_script(instruction: Instruction) -> Instruction:
    """A RUN whose value is the script that its heredoc holds; `instruction` itself when it has none."""
    if not instruction.heredocs or not re.match(r"\d*<<", instruction.value.text):
        return instruction
    return replace(instruction, value=instruction.heredocs[0].body, heredocs=instruction.heredocs[1:])
