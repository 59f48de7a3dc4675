"""`# formation-lint ignore=FL003,FL012 reason`: exceptions that are written beside what they are about."""

import re
from collections.abc import Iterable, Iterator, Sequence

from formation.dataclass import dataclass
from formation.definition.problems import nearest
from formation.definition.source import Position
from formation.lint.dockerfile_syntax import Syntax
from formation.lint.findings import Finding, finding
from formation.lint.rules import RULES
from formation.lint.text import Text, shown

_COMMENT = re.compile(r"(?:\A|(?<=\s))#[ \t]*formation-lint\b[ \t]*(.*)")
_IGNORE = re.compile(r"ignore=([A-Z]+[0-9]+(?:,[A-Z]+[0-9]+)*)(?:[ \t]+(\S.*))?\s*\Z")
# Whether they find something depends on more than the file.
_DEPENDS = frozenset({"FL005", "FL006"})


@dataclass(frozen=True, slots=True)
class Ignore:
    """One comment."""

    place: Position
    rules: tuple[str, ...]
    """Empty: the comment cannot be read."""
    reason: str
    first: int
    last: int
    """The lines that it is about."""


def dockerfile_ignores(syntax: Syntax) -> tuple[Ignore, ...]:
    """Those of a Dockerfile: each is about the instruction that it is in, or above."""
    ignores = []
    ends = [(each.line, each.end_line) for each in syntax.instructions]
    number = 0
    for comment in syntax.comments:
        if match := _COMMENT.search(comment.text):
            while number < len(ends) and ends[number][1] < comment.line:
                number += 1
            first, last = ends[number] if number < len(ends) else (comment.line, comment.line)
            ignores.append(_ignore(Position(comment.line, match.start() + 1), match[1], first, last))
    return tuple(ignores)


def yaml_ignores(text: Text) -> tuple[Ignore, ...]:
    """Those of a YAML file: each is about its own line, or, alone on it, about the next one."""
    if "formation-lint" not in text.content:
        return ()
    ignores = []
    waiting: list[tuple[Position, str]] = []
    for number in range(1, len(text.starts) + 1):
        line = text.line(number)
        match = _COMMENT.search(line)
        bare = line.strip()
        if bare and not bare.startswith("#"):
            ignores += [_ignore(place, given, number, number) for place, given in waiting]
            waiting = []
            if match:
                ignores.append(_ignore(Position(number, match.start() + 1), match[1], number, number))
        elif match:
            waiting.append((Position(number, match.start() + 1), match[1]))
    return (*ignores, *(_ignore(place, given, place.line, place.line) for place, given in waiting))


def _ignore(place: Position, given: str, first: int, last: int) -> Ignore:
    match = _IGNORE.match(given)
    if match is None:
        return Ignore(place, (), "", first, last)
    return Ignore(place, tuple(match[1].split(",")), match[2] or "", first, last)


def without_ignored(
    text: Text, findings: Iterable[Finding], ignores: Sequence[Ignore]
) -> tuple[tuple[Finding, ...], int]:
    """`findings` without those that `ignores` except, with FL060 for wrong comments; how many were excepted."""
    by_line: dict[tuple[int, str], list[Ignore]] = {}
    for ignore in ignores:
        for line in range(ignore.first, ignore.last + 1):
            for rule in ignore.rules:
                by_line.setdefault((line, rule), []).append(ignore)
    kept: list[Finding] = []
    used: set[tuple[Ignore, str]] = set()
    excepted = 0
    for each in findings:
        matching = by_line.get((each.line, each.rule), [])
        used |= {(ignore, each.rule) for ignore in matching}
        excepted += bool(matching)
        if not matching:
            kept.append(each)
    return (*kept, *_wrong(text, ignores, used)), excepted


def _wrong(text: Text, ignores: Iterable[Ignore], used: set[tuple[Ignore, str]]) -> Iterator[Finding]:
    for ignore in ignores:
        if not ignore.rules:
            yield finding(text, ignore.place, "FL060", "the comment cannot be read")
        elif not ignore.reason:
            yield finding(text, ignore.place, "FL060", f"{', '.join(ignore.rules)} is ignored without a reason")
        for rule in ignore.rules:
            if rule.startswith("FL") and rule not in RULES:
                fix = nearest(rule, RULES) or ""
                yield finding(text, ignore.place, "FL060", f"there is no rule {shown(rule)}", fix=fix)
            elif rule in RULES and rule not in _DEPENDS and (ignore, rule) not in used:
                yield finding(text, ignore.place, "FL060", f"nothing here breaks {rule}", fix="delete the comment")
