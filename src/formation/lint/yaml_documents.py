"""YAML files of one or many documents as data with places, for files that others write: Compose's and Kubernetes'."""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from formation.dataclass import dataclass
from formation.definition.data_path import DataPath
from formation.definition.source import LIMIT, Position, Source, read_source
from formation.errors import DefinitionError, FormationError
from formation.lint.findings import Finding, finding
from formation.lint.text import Edit, Text, shown

DOCUMENTS = 500
"""Documents of a file that are looked at."""

# A line that begins so ends a document wherever it stands (YAML 1.2.2, 9.1.4), except inside quotes.
_SEPARATOR = re.compile(r"^---(?=[ \t\r]|$)", re.MULTILINE)
_PLACE = re.compile(r"\A.*?:(\d+):(\d+): (.*)\Z", re.DOTALL)
_CONTENT = re.compile(r"^(?![ \t]*(?:#|$)|%|---[ \t]*(?:#|$)|\.\.\.)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping in a document, with `<<` resolved, and where it is."""

    source: Source
    path: DataPath
    data: dict[str, Any]

    def at(self, *keys: str | int) -> Position:
        """Where the value below `keys` is, or what is around it."""
        return self.source.position((*self.path, *keys))

    def get(self, *keys: str | int) -> Any:
        """The value below `keys`, None when there is none."""
        value: Any = self.data
        for key in keys:
            if isinstance(value, dict):
                value = merged(value).get(str(key))
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def mapping(self, *keys: str | int) -> "Mapping":
        """The mapping below `keys`; an empty one when there is none."""
        value = self.get(*keys)
        return Mapping(self.source, (*self.path, *keys), merged(value) if isinstance(value, dict) else {})

    def items(self, *keys: str | int) -> list[Any]:
        """The list below `keys`; an empty one when there is none."""
        value = self.get(*keys)
        return value if isinstance(value, list) else []

    def mappings(self, *keys: str | int) -> "Iterator[Mapping]":
        """Those items of the list below `keys` that are mappings."""
        for number, item in enumerate(self.items(*keys)):
            if isinstance(item, dict):
                yield Mapping(self.source, (*self.path, *keys, number), merged(item))


def merged(value: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """`value` with what its `<<` brings (yaml.org/type/merge.html); its own keys win."""
    below = value.get("<<")
    if below is None or depth > 8:
        return value
    result: dict[str, Any] = {}
    for each in reversed(below if isinstance(below, list) else [below]):
        if isinstance(each, dict):
            result.update(merged(each, depth + 1))
    result.update(value)
    return result


def read_documents(text: Text, wanted: Callable[[str], bool]) -> tuple[list[Mapping], list[Finding]]:
    """The documents of `text` whose text is `wanted`, those that are mappings; and FL001 for each that is no YAML."""
    mappings: list[Mapping] = []
    findings: list[Finding] = []
    if len(text.content.encode("utf-8", "surrogateescape")) > LIMIT:
        return [], [finding(text, 0, "FL001", f"the file is larger than {LIMIT >> 20} MiB")]
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text.content)), len(text.content)]
    if len(starts) > DOCUMENTS:
        return [], [finding(text, 0, "FL001", f"the file has more than {DOCUMENTS} documents")]
    for start, end in itertools.pairwise(starts):
        part = text.content[start:end]
        if not _CONTENT.search(part.replace("\r", "")) or not wanted(part):
            continue
        above = "\n" * (text.position(start).line - 1)
        try:
            source = read_source("-", (above + part).encode("utf-8", "surrogateescape"), foreign=True)
        except FormationError as error:
            findings.append(_unreadable(text, error))
            continue
        except RecursionError:
            findings.append(finding(text, start, "FL001", "nested too deep"))
            continue
        if isinstance(source.data, dict):
            mappings.append(Mapping(source, (), merged(source.data)))
    return mappings, findings


def _unreadable(text: Text, error: FormationError) -> Finding:
    match = _PLACE.match(error.message) if isinstance(error, DefinitionError) else None
    if match is None:
        return finding(text, 0, "FL001", shown(error.message))
    return finding(text, Position(int(match[1]), int(match[2])), "FL001", shown(match[3]))


def inserted(text: Text, mapping: Mapping, lines: tuple[str, ...]) -> tuple[Edit, ...]:
    """Puts `lines` above a key of `mapping` that begins a line, as deep as it is; nothing where there is none."""
    for key in mapping.data:
        position = mapping.source.positions.get((*mapping.path, key))
        if position is None or key == "<<":
            continue
        start = text.offset(Position(position.line, 1))
        indent = text.content[start : start + position.column - 1]
        if indent and not indent.strip(" "):
            new = "".join(f"{indent}{line}{text.line_end}" for line in lines)
            return (Edit(start, start, new),)
    return ()
