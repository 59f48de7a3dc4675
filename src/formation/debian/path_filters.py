"""dpkg's path-exclude and path-include patterns. Source: dpkg, src/main/filters.c."""

import re
from collections.abc import Sequence

_WILDCARD = re.compile(r"[*?\[\\]")
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "blank": r" \t",
    "punct": re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "xdigit": "0-9A-Fa-f",
    "cntrl": r"\x00-\x1f\x7f",
    "graph": r"\x21-\x7e",
    "print": r"\x20-\x7e",
}


def literal_prefix(include: str) -> str:
    """The part of `include` before its first wildcard. dpkg keeps the directories and symlinks that begin so although
    they are excluded, for what the pattern may match below them."""
    return _WILDCARD.split(include)[0].rstrip("/")


def any_of(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """What matches in full a path that one of `patterns` matches; None when there is no pattern."""
    return re.compile("|".join(map(_regex, patterns)), re.DOTALL) if patterns else None


def _regex(pattern: str) -> str:
    r"""The regular expression of a glob as `fnmatch(3)` without flags reads it: `*` crosses slashes, `\` escapes."""
    result, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            result = result.removesuffix(".*") + ".*"
        elif character == "?":
            result += "."
        elif character == "[" and (end := _bracket_end(pattern, position)):
            result += _bracket(pattern[position:end])
            position = end + 1
        elif character == "\\":
            # fnmatch(3): a backslash at the end matches nothing.
            result += re.escape(pattern[position]) if position < len(pattern) else "(?!)"
            position += 1
        else:
            result += re.escape(character)
    return result


def _bracket_end(pattern: str, start: int) -> int:
    """Position of the `]` that closes the bracket whose content begins at `start`; 0 when none does."""
    position = start + 1 if pattern[start : start + 1] in ("!", "^") else start
    first = position
    while position < len(pattern):
        if pattern[position] == "]" and position > first:
            return position
        if pattern.startswith("[:", position) and (end := pattern.find(":]", position)) > 0:
            position = end + 1
        elif pattern[position] == "\\":
            position += 1
        position += 1
    return 0


def _bracket(content: str) -> str:
    """The character class of a bracket's content."""
    negated = content[0] in "!^"
    content = content[negated:]
    result, position = "", 0
    while position < len(content):
        if content.startswith("[:", position) and (end := content.find(":]", position)) > 0:
            result += _CLASSES.get(content[position + 2 : end], "")
            position = end + 2
            continue
        if content[position] == "\\" and position + 1 < len(content):
            position += 1
        character = content[position]
        result += "-" if character == "-" and 0 < position < len(content) - 1 else re.escape(character)
        position += 1
    return f"[{'^' if negated else ''}{result}]" if result else ("." if negated else "(?!)")
