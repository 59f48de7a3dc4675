"""Variables in the text of configuration files: `${name}` stands for a value, `$${` for `${` itself."""

import re
from collections.abc import Mapping

from formation.definition.problems import Invalid, nearest

_PLACE = re.compile(r"\$\$\{|\$\{([^}\n]*)(\}?)")


class UnknownVariable(Invalid):
    """A text names a variable that has no value."""

    def __init__(self, line: int, reason: str, hint: str | None) -> None:
        super().__init__(reason, hint)
        self.line = line
        """In the text, from 1."""


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """`text` with the value of each variable. Values are not searched again. Raises UnknownVariable for the first."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if not found[2]:
            raise UnknownVariable(_line(text, found), "a ${ has no } in its line", "write $${ for ${ itself")
        if found[1] not in variables:
            known = f"variables here are {', '.join(variables)}" if variables else "there are none"
            hint = nearest(found[1], variables) or f"{known}; write $${{ for ${{ itself"
            raise UnknownVariable(_line(text, found), f"the variable {found[1][:80]!r} has no value", hint)
        return variables[found[1]]

    return _PLACE.sub(value, text)


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1
