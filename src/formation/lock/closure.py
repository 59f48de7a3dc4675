"""Whether what a lock chose is enough to make an image of: known as soon as it is locked, before anything is built."""

from formation.definition.problems import joined_error
from formation.definition.values import RUNTIME, Definition
from formation.lock.model import Lock

_NEEDED = {
    "dpkg": "only dpkg can configure packages",
    "base-passwd": "it makes root and the other users and groups that every Debian has",
}


def check_closure(definition: Definition, lock: Lock) -> None:
    """Raises DefinitionError, with file and line, for an architecture whose runtime variant lacks what a build needs.

    With the essential packages, everything needed is there; so only a definition that does without them is looked at.
    """
    if definition.essential:
        return
    place = definition.place("essential")
    problems: list[tuple[str, str | None]] = []
    for architecture in definition.architectures:
        names = {package.name for package in lock.of(architecture, frozenset({RUNTIME}))}
        for name, reason in _NEEDED.items():
            if name not in names:
                hint = f"add `{name}` to packages:, or leave `essential: false` out"
                message = f"{place}: no {name} is among the packages for {architecture}, and {reason}"
                problems.append((message, hint))
    if problems:
        raise joined_error(problems)
