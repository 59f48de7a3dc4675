"""Markdown: text that means nothing but itself, and where the headings of a document are. Source: CommonMark 0.31.2."""

import re
from collections.abc import Iterator
from typing import Final

from formation.dataclass import dataclass

_SPECIAL: Final = frozenset("\\`*_[]<>|#~&")
_BULLETS = r" {0,3}(?:(?:[-*+]|[0-9]{1,9}[.)]) {1,4})*"
"""A block may begin inside items of lists."""
_HEADING = re.compile(r" {0,3}(#{1,2})(?:[ \t]+(.*))?")
_FENCE = re.compile(rf"{_BULLETS}(`{{3,}}(?=[^`]*$)|~{{3,}})")
_COMMENT = re.compile(rf"{_BULLETS}<!--")
_LINK_REFERENCE = re.compile(r" {0,3}\[[^\]]+\]:.*\S.*")


@dataclass(frozen=True, slots=True)
class Heading:
    """One line that begins with `#` or `##`; deeper ones end no entry."""

    start: int
    """Where the line begins in the text."""
    line: int
    """Its number, from 1."""
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str
    """Without its ending."""
    code: bool
    """Whether it is part of a fenced block or of a comment, so that nothing in it is Markdown."""


def escaped(text: str) -> str:
    """`text` on one line, as Markdown that means nothing but itself; control characters are replaced."""
    shown = "".join(character if character.isprintable() else "�" for character in text)
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in shown)


def headings(text: str) -> tuple[Heading, ...]:
    """Those of the first two levels, in order; what looks like one in a fenced block or a comment is none."""
    found = []
    for number, line in enumerate(_lines(text), 1):
        match = None if line.code else _HEADING.fullmatch(line.text)
        if match is not None:
            found.append(Heading(line.start, number, len(match[1]), (match[2] or "").strip()))
    return tuple(found)


def before_link_references(text: str) -> int:
    """Where the definitions of links at the end of `text` begin; its length when it has none there."""
    position = len(text)
    for line in reversed(list(_lines(text))):
        if not line.code and _LINK_REFERENCE.fullmatch(line.text):
            position = line.start
        elif line.text.strip():
            break
    return position


def _lines(text: str) -> Iterator[_Line]:
    # An editor on Windows may put a mark of the byte order at the front of a file.
    start = 1 if text.startswith("\ufeff") else 0
    fence, indent = "", 0
    comment = False
    for whole in text[start:].split("\n"):
        line = whole.removesuffix("\r")
        code = bool(fence) or comment
        if fence:
            closing = line.strip(" \t")
            near = len(line) - len(line.lstrip(" ")) <= indent + 3
            if near and closing.startswith(fence) and not closing.strip(fence[0]):
                fence = ""
        elif not comment:
            opening = _FENCE.match(line)
            comment = _COMMENT.match(line) is not None
            fence, indent = (opening[1], opening.start(1)) if opening is not None else ("", 0)
            code = comment or bool(fence)
        if comment and "-->" in line:
            comment = False
        yield _Line(start, line, code)
        start += len(whole) + 1
