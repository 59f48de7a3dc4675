"""Markdown: text that means nothing but itself, and where the headings of a document are. Source: CommonMark 0.31.2."""

import re
from collections.abc import Iterator
from typing import Final

from formation.dataclass import dataclass

_SPECIAL: Final = frozenset("\\`*_[]<>|#~&")
_BULLETS = r" {0,3}(?:(?:[-*+]|[0-9]{1,9}[.)]) {1,4})*"
"""A block may begin inside items of lists."""
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_BREAK = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*")
_NO_PARAGRAPH = re.compile(r" {0,3}(?:[-*+][ \t]|[0-9]{1,9}[.)][ \t]|>|<|\[[^\]]+\]:)| {4}|\t")
"""Items, quotations, HTML, definitions of links and code: a line below them continues them, or is a break."""
_FENCE = re.compile(rf"{_BULLETS}(`{{3,}}(?=[^`]*$)|~{{3,}})")
_COMMENT = re.compile(rf"{_BULLETS}<!--")
_LINK_REFERENCE = re.compile(r" {0,3}\[[^\]]+\]:.*\S.*")


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that begins with up to six `#`, or a paragraph that is underlined with `=` or `-`: level 1 or 2."""

    start: int
    """Where its first line begins in the text."""
    line: int
    """The number of that line, from 1."""
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
    """All of them, in order; what looks like one in a fenced block, a comment or front matter is none."""
    found = []
    paragraph: list[_Line] = []
    within = False
    """Whether the lines belong to something else than a paragraph, up to the next that is empty."""
    for number, line in enumerate(_lines(text), 1):
        heading, underline = _HEADING.fullmatch(line.text), _UNDERLINE.fullmatch(line.text)
        if line.code or not line.text.strip():
            paragraph, within = [], False
        elif heading is not None:
            found.append(Heading(line.start, number, len(heading[1]), (heading[2] or "").strip()))
            paragraph, within = [], False
        elif underline is not None and paragraph:
            title = " ".join(each.text.strip() for each in paragraph)
            level = 1 if underline[1].startswith("=") else 2
            found.append(Heading(paragraph[0].start, number - len(paragraph), level, title))
            paragraph = []
        elif _BREAK.fullmatch(line.text):
            paragraph, within = [], False
        elif within or _begins_other(line, paragraph):
            paragraph, within = [], True
        else:
            paragraph.append(line)
    return tuple(found)


def _begins_other(line: _Line, paragraph: list[_Line]) -> bool:
    match = _NO_PARAGRAPH.match(line.text)
    # An indented line goes on with a paragraph.
    return match is not None and not (paragraph and match[0].isspace())


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
    lines = text[start:].split("\n")
    code = _code([line.removesuffix("\r") for line in lines])
    for number, whole in enumerate(lines):
        yield _Line(start, whole.removesuffix("\r"), number in code)
        start += len(whole) + 1


def _code(lines: list[str]) -> set[int]:
    """The numbers of the lines that are in fenced blocks and comments, or front matter between two lines `---`.

    One that nobody ends counts as text: to Markdown all that follows is code, or what its list item holds, and nobody
    meant a changelog to be.
    """
    number = _front_matter(lines)
    found = set(range(number))
    unended: set[str] = set()
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        kind = "<!--" if _COMMENT.match(lines[number]) else opening[1] if opening is not None else ""
        end = None
        if kind and kind not in unended:
            indent = opening.start(1) if opening is not None else 0
            end = _comment_end(lines, number) if kind == "<!--" else _fence_end(lines, number + 1, kind, indent)
            if end is None:
                unended.add(kind)
        if end is not None:
            found.update(range(number, end + 1))
            number = end
        number += 1
    return found


def _front_matter(lines: list[str]) -> int:
    """How many lines at the top are YAML, as Jekyll and Hugo have it; 0 when there is none."""
    if len(lines) < 3 or lines[0] != "---" or not re.match(r"[A-Za-z_-]+:", lines[1]):
        return 0
    return next((number + 1 for number, line in enumerate(lines[2:], 2) if line == "---"), 0)


def _comment_end(lines: list[str], first: int) -> int | None:
    for number in range(first, len(lines)):
        # One that begins before it ends would be ended by the end of the other.
        if number > first and _COMMENT.match(lines[number]):
            return None
        if "-->" in lines[number]:
            return number
    return None


def _fence_end(lines: list[str], first: int, fence: str, indent: int) -> int | None:
    for number in range(first, len(lines)):
        closing = lines[number].strip(" \t")
        near = len(lines[number]) - len(lines[number].lstrip(" ")) <= indent + 3
        if near and closing.startswith(fence) and not closing.strip(fence[0]):
            return number
    return None
