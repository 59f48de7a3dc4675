"""What a WWW-Authenticate header asks for (RFC 9110 section 11.6.1; distribution, "Token Authentication")."""

import re
from collections.abc import Mapping

from formation.dataclass import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = rf"\s*,?\s*({_TOKEN})(?=\s|$)"
_PARAMETER = rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))'
_LONGEST = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to authenticate that a server offers."""

    scheme: str
    """In lower case: `bearer`, `basic`."""
    parameters: Mapping[str, str]
    """Names in lower case."""


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in `header`, in order. What cannot be read ends them: an unknown offer is no error."""
    scheme, parameter_of = re.compile(_SCHEME), re.compile(_PARAMETER)
    found, position = [], 0
    text = header[:_LONGEST]
    while match := scheme.match(text, position):
        position = match.end()
        parameters = {}
        while parameter := parameter_of.match(text, position):
            quoted, plain = parameter[2], parameter[3]
            parameters[parameter[1].lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            position = parameter.end()
        found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)
