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

    The essential packages bring everything needed; so only a definition that does without them, or without one of
    them, is looked at.
    """
    without = next(variant.without for variant in definition.variants if variant.name == RUNTIME)
    problems: list[tuple[str, str | None]] = []
    for architecture in definition.architectures:
        names = {package.name for package in lock.of(architecture, frozenset({RUNTIME}))}
        for name, reason in _NEEDED.items():
            if name in names or (definition.essential and name not in without):
                continue
            place, hint = definition.place("essential"), f"add `{name}` to packages:, or leave `essential: false` out"
            if name in without:
                place, hint = definition.place_of_package(name), f"take `-{name}` out of packages:"
            problems.append((f"{place}: no {name} is among the packages for {architecture}, and {reason}", hint))
    if problems:
        raise joined_error(problems)
