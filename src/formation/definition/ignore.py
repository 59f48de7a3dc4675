"""Which files of a directory stay out of an image, by the patterns of .dockerignore.

Source: docs.docker.com, "Dockerfile reference", .dockerignore; github.com/moby/patternmatcher. `**` stands for any
number of directories and has a part between slashes for itself.
"""

import re
from collections.abc import Iterable

from formation.definition.problems import Invalid

_LONGEST = 500
_ANY_DEPTH = "**"


class Ignored:
    """Answers for the paths of one directory. The last pattern that matches decides."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Raises Invalid for what is no pattern."""
        self._rules = tuple(_rule(pattern) for pattern in patterns)

    def __contains__(self, path: str) -> bool:
        """Whether `path`, relative to the directory and with slashes, stays out: it matches, or is in what matches."""
        parts = path.split("/")
        ignored = False
        for keeps, rule in self._rules:
            if ignored == keeps and any(_matches(rule, parts[:end]) for end in range(1, len(parts) + 1)):
                ignored = not keeps
        return ignored

    @property
    def has_exceptions(self) -> bool:
        """Whether something inside an ignored directory may stay."""
        return any(keeps for keeps, _ in self._rules)


def _rule(pattern: str) -> tuple[bool, tuple[re.Pattern[str] | None, ...]]:
    """Whether the pattern is an exception, and a pattern for each part; None is any number of parts."""
    keeps = pattern.startswith("!")
    parts = [part for part in pattern.removeprefix("!").strip().split("/") if part not in ("", ".")]
    if not parts or ".." in parts or len(pattern) > _LONGEST or not pattern.isprintable() or pattern.startswith("#"):
        raise Invalid(f"{pattern[:80]!r} is not a pattern of .dockerignore", "such as **/*.bak")
    return keeps, tuple(None if part == _ANY_DEPTH else _part(part, pattern) for part in parts)


def _part(part: str, pattern: str) -> re.Pattern[str]:
    """One part: `*`, `?`, `[a-z]`, `[^a-z]` and `\\` as in Go's filepath.Match.

    What stands between two stars is matched at the first place that it fits, which is enough, and cannot be slow.
    """
    if _ANY_DEPTH in part:
        raise Invalid(f"{pattern!r}: ** stands alone between slashes", "such as **/*.bak")
    chunks, position = [""], 0
    for token in re.finditer(r"\\(.)|\*|\?|\[(\^?)((?:\\.|[^\]\\])+)\]|[^\\\[]", part):
        if token.start() != position:
            break
        position = token.end()
        if token[0] == "*":
            chunks.append("")
        elif token[0] == "?":
            chunks[-1] += "."
        elif token[0].startswith("[") and len(token[0]) > 1:
            chunks[-1] += f"[{token[2]}{_class(token[3])}]"
        else:
            chunks[-1] += re.escape(token[1] or token[0])
    if position != len(part):
        raise Invalid(
            f"{pattern!r}: a bracket or backslash has no end", "put a backslash before what is meant as it is"
        )
    first, *middle = chunks
    last = f".*{middle.pop()}" if middle else ""
    try:
        return re.compile(first + "".join(f"(?>.*?{chunk})" for chunk in middle) + last, re.DOTALL)
    except re.error:
        raise Invalid(f"{pattern!r}: the range in brackets is empty") from None


def _class(text: str) -> str:
    return re.sub(r"\\(.)|([&~|\[^])", lambda found: re.escape(found[1] or found[2]), text)


def _matches(rule: tuple[re.Pattern[str] | None, ...], parts: list[str]) -> bool:
    """Whether the whole of `parts` is what `rule` describes; the cost is their lengths multiplied."""
    reached = {0}
    for expression in rule:
        if expression is None:
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and expression.fullmatch(parts[at])}
        if not reached:
            return False
    return len(parts) in reached
