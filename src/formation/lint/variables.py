"""Variables in a Dockerfile's words, as BuildKit expands them (docs.docker.com/reference/dockerfile, "Environment
replacement")."""

import re
from collections.abc import Mapping

LONGEST = 1 << 14
"""Characters of an expanded word: each of a row of ARGs can double the one before."""
_DEPTH = 8
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unknown(Exception):
    """The word stands for something that the file does not say."""


def expanded(text: str, variables: Mapping[str, str | None], escape: str = "\\") -> str | None:
    """`text` without quotes, its variables replaced. None: it depends on one without a value here, or is no word."""
    try:
        return _expand(text, variables, escape, 0)
    except Unknown:
        return None


def _expand(text: str, variables: Mapping[str, str | None], escape: str, depth: int) -> str:
    if depth > _DEPTH or len(text) > LONGEST:
        raise Unknown
    result: list[str] = []
    length, at, quote = 0, 0, ""
    while at < len(text):
        character = text[at]
        piece = character
        if character == escape and quote != "'":
            piece = text[at + 1 : at + 2]
            at += 2
        elif character in "\"'" and quote in ("", character):
            quote = "" if quote else character
            piece = ""
            at += 1
        elif character == "$" and quote != "'":
            piece, at = _variable(text, at + 1, variables, escape, depth)
        else:
            at += 1
        result.append(piece)
        length += len(piece)
        if length > LONGEST:
            raise Unknown
    return "".join(result)


def _variable(text: str, at: int, variables: Mapping[str, str | None], escape: str, depth: int) -> tuple[str, int]:
    """What the variable after the `$` before `at` stands for, and where it ends."""
    braced = text[at : at + 1] == "{"
    match = _NAME.match(text, at + braced)
    if match is None:
        raise Unknown
    value = variables.get(match[0])
    if not braced:
        return _known(value), match.end()
    end = _closing(text, match.end())
    rest = text[match.end() : end]
    if not rest:
        return _known(value), end + 1
    operator = rest[:2] if rest.startswith(":") else rest[:1]
    word = rest[len(operator) :]
    # An ARG without a default counts as not set: that is what it is unless someone gives it a value.
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator in (":-", "-"):
        return (_known(value) if is_set else _expand(word, variables, escape, depth + 1)), end + 1
    if operator in (":+", "+"):
        return (_expand(word, variables, escape, depth + 1) if is_set else ""), end + 1
    if operator in (":?", "?") and is_set:
        return _known(value), end + 1
    raise Unknown


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, min(len(text), at + LONGEST)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise Unknown


def _known(value: str | None) -> str:
    if value is None:
        raise Unknown
    return value
