"""formation-lint.yaml: which bases are ours, which of their versions are supported, and which rules are off."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from formation.dataclass import dataclass, field
from formation.definition.problems import Problem, definition_error, nearest
from formation.definition.source import LIMIT, Source, read_source
from formation.errors import UsageError
from formation.lint.rules import RULES

FILE_NAME = "formation-lint.yaml"
DEFAULT_BASE = "formation/base"

_KEYS = ("bases", "supported", "registry", "ignore", "hadolint")
_LINE = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What decides besides the files themselves."""

    bases: tuple[str, ...] = (DEFAULT_BASE,)
    """Repositories; in a registry or without one."""
    supported: Mapping[str, date | None] | None = None
    """`1.0` → its last day, None: no end. A line stands for all versions that begin so. None: all are supported."""
    registry: str | None = None
    """The host of bases that are named without one."""
    ignore: Mapping[str, str] = field(default_factory=dict)
    """Rules that are off, each with its reason."""
    hadolint: bool = True
    """Whether hadolint runs where it is found."""

    def is_base(self, repository: str) -> bool:
        """Whether `repository` is one of ours, here or in a registry."""
        return any(repository == base or repository.endswith(f"/{base}") for base in self.bases)

    def is_service(self, repository: str) -> bool:
        """Whether `repository` is in the namespace of one of our bases: `formation/form-dns`."""
        spaces = [base.rpartition("/")[0] for base in self.bases]
        return any(space and f"/{repository}".rpartition("/")[0].endswith(f"/{space}") for space in spaces)


def read_configuration(path: Path) -> Configuration:
    """The configuration in the file `path`. Raises DefinitionError, with every problem; UsageError when unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    source = read_source(str(path), content)
    data = source.data if isinstance(source.data, dict) else {}
    problems = (
        [] if isinstance(source.data, dict) else [Problem((), "a mapping is expected", "bases: [formation/base]")]
    )
    for key in data:
        if key not in _KEYS:
            problems.append(Problem((key,), f"unknown key {key!r}", nearest(key, _KEYS) or f"keys: {', '.join(_KEYS)}"))
    configuration = _configuration(source, data, problems)
    if problems:
        raise definition_error(source, problems)
    return configuration


def _configuration(source: Source, data: dict[str, Any], problems: list[Problem]) -> Configuration:
    bases = data.get("bases", [DEFAULT_BASE])
    if not isinstance(bases, list) or not bases or not all(isinstance(base, str) and base for base in bases):
        problems.append(Problem(("bases",), "`bases` is a list of repositories", "bases: [formation/base]"))
        bases = []
    registry = data.get("registry")
    if registry is not None and not isinstance(registry, str):
        problems.append(Problem(("registry",), "`registry` is a host", "registry: registry.example.com"))
        registry = None
    hadolint = data.get("hadolint", True)
    if not isinstance(hadolint, bool):
        problems.append(Problem(("hadolint",), "`hadolint` is true or false"))
        hadolint = True
    return Configuration(tuple(bases), _supported(data, problems), registry, _ignore(data, problems), hadolint)


def _supported(data: dict[str, Any], problems: list[Problem]) -> dict[str, date | None] | None:
    """A list of version lines, or a mapping from each to its last day."""
    given = data.get("supported")
    if given is None:
        return None
    entries = given if isinstance(given, dict) else dict.fromkeys(map(str, given)) if isinstance(given, list) else {}
    if not entries:
        problems.append(
            Problem(("supported",), "`supported` names versions", 'supported: {"1.0": 2027-06-30, "1.1": }')
        )
    supported: dict[str, date | None] = {}
    for line, end in entries.items():
        path = ("supported", line)
        if not _LINE.fullmatch(line):
            problems.append(Problem(path, f"{line!r} is no version or line of versions", '"1", "1.0" or "1.0.2"'))
        try:
            supported[line] = None if end is None else date.fromisoformat(str(end))
        except ValueError:
            problems.append(Problem(path, f"{str(end)[:40]!r} is no date", "write it as 2027-06-30"))
    return supported


def _ignore(data: dict[str, Any], problems: list[Problem]) -> dict[str, str]:
    given = data.get("ignore") or {}
    if not isinstance(given, dict):
        problems.append(Problem(("ignore",), "`ignore` maps rules to reasons", "ignore: {FL012: only batch jobs here}"))
        return {}
    for rule, reason in given.items():
        if rule.startswith("FL") and rule not in RULES:
            problems.append(Problem(("ignore", rule), f"there is no rule {rule!r}", nearest(rule, RULES)))
        if not isinstance(reason, str) or not reason.strip():
            problems.append(Problem(("ignore", rule), f"{rule} is ignored without a reason"))
    return {rule: str(reason) for rule, reason in given.items()}


def end_of_support(configuration: Configuration, version: str, now: int) -> str | None:
    """Why `version`, such as 1.0.2, is not supported at `now` (seconds since 1970); None when it is."""
    if configuration.supported is None:
        return None
    parts = version.split(".")
    for length in range(len(parts), 0, -1):
        line = ".".join(parts[:length])
        if line not in configuration.supported:
            continue
        end = configuration.supported[line]
        if end is None or datetime.fromtimestamp(now, UTC).date() <= end:
            return None
        return f"the support of {line} ended on {end}"
    return f"supported are {', '.join(configuration.supported)}"
