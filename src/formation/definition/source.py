"""YAML text as plain data that knows the line of every value.

The reader works on the parser's events, so nothing in a file decides what Python builds. Only what YAML 1.2's core
schema and PyYAML agree on is more than text: `true` and `false`, decimal integers without a leading zero, and null.
So `no` is a country, `1.0` a version and `0750` a mode, as the person who wrote them meant.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from formation.dataclass import dataclass
from formation.definition.data_path import DataPath
from formation.errors import DefinitionError

if TYPE_CHECKING:
    import yaml

LIMIT = 1 << 20
"""Bytes of a definition."""
DEPTH = 24
"""Levels of nesting. A definition needs five."""
ALIASES = 64
VALUES = 50_000
"""Values after aliases are expanded, so that a few nested aliases cannot fill the memory."""

INTEGER_DIGITS = 18
"""The digits of the largest number; what has more stays text. Python takes quadratic time for numbers without end."""
_INTEGER = re.compile(rf"-?(0|[1-9][0-9]{{0,{INTEGER_DIGITS - 1}}})")
_CONSTANTS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_CONSTANTS = {
    spelling: value
    for words, value in (("y yes on", True), ("n no off", False))
    for word in words.split()
    for spelling in (word, word.capitalize(), word.upper())
}
"""More booleans of YAML 1.1 (yaml.org/type/bool.html), which docker-compose and Kubernetes read."""
_CONSTANTS_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""All but YAML's c-printable (YAML 1.2.2, section 5.1), and the byte order mark."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text file; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Source:
    """A YAML document that was read."""

    name: str
    """The file as messages name it."""
    data: Any
    """dict (with text keys, in the file's order), list, str, int, bool and None."""
    positions: Mapping[DataPath, Position]
    """Where each key, or item of a list, begins. What an alias stands for has no entries of its own."""

    def position(self, path: DataPath) -> Position:
        """Where the value at `path` is; for one that is not in the file, where the nearest thing around it is."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))


def read_source(name: str, content: bytes, *, foreign: bool = False) -> Source:
    """The one document in `content`.

    `foreign`: one of Compose or Kubernetes. Tags of its values, such as `!reset`, are passed over, and `yes` is true.

    Raises DefinitionError, with `name`, line and column, when `content` is larger than LIMIT, not UTF-8, not YAML, not
    exactly one document, has a key twice or a tag, or nests or repeats itself beyond DEPTH, ALIASES and VALUES.
    """
    if len(content) > LIMIT:
        raise DefinitionError(f"{name}:1:1: the file is larger than {LIMIT >> 20} MiB")
    text = _decode(name, content)
    # Importing PyYAML costs a tenth of the time that a build without changes may take, so only readers pay for it.
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(name, iter(yaml.parse(text, Loader=loader)), foreign=foreign)
    try:
        data = reader.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(name, text, error) from None
    except yaml.YAMLError as error:
        raise DefinitionError(f"{name}:1:1: not YAML: {error}") from None
    return Source(name, data, reader.positions)


def _decode(name: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place(name, content[: error.start].decode("utf-8"))
        raise DefinitionError(f"{place}: byte {content[error.start]:#04x} is not UTF-8") from None
    text = text.removeprefix("\ufeff")
    if control := _UNPRINTABLE.search(text):
        place = _place(name, text[: control.start()])
        raise DefinitionError(f"{place}: the character U+{ord(control[0]):04X} may not appear in YAML")
    return text


def _place(name: str, before: str) -> str:
    return f"{name}:{before.count(chr(10)) + 1}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"


def _syntax_error(name: str, text: str, error: "yaml.MarkedYAMLError") -> DefinitionError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    if line < len(lines) and lines[line][column : column + 1] == "\t":
        return DefinitionError(f"{name}:{line + 1}:{column + 1}: a tab cannot indent YAML", hint="use spaces")
    if "maximum nesting depth" in (error.problem or ""):
        # libyaml from 0.2.6 on has a bound of its own, which its scanner may reach before an event shows the depth.
        return DefinitionError(f"{name}:{line + 1}:{column + 1}: nested more than {DEPTH} levels deep")
    context = f" {error.context}" if error.context else ""
    return DefinitionError(f"{name}:{line + 1}:{column + 1}: not YAML: {error.problem}{context}")


class _Reader:
    """Builds data from parser events. Recursion is bounded by DEPTH."""

    def __init__(self, name: str, events: Iterator[Any], *, foreign: bool) -> None:
        self.name = name
        self.foreign = foreign
        self.events = events
        self.positions: dict[DataPath, Position] = {}
        self.values = 0
        self.aliases = 0
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        """What each anchor stands for, with its number of values; None while it is being read."""

    def document(self) -> Any:
        next(self.events)
        event = next(self.events)
        if type(event).__name__ == "StreamEndEvent":
            raise DefinitionError(
                f"{self.name}:1:1: the file is empty", hint="a definition begins with `kind: base` or `kind: service`"
            )
        data = self._value(next(self.events), ())
        next(self.events)
        event = next(self.events)
        if type(event).__name__ != "StreamEndEvent":
            raise self._error(event, "a second YAML document begins here; a definition is one")
        return data

    def _value(self, event: Any, path: DataPath) -> Any:
        self.positions.setdefault(path, _start(event))
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event)
        if event.tag not in (None, "!") and not self.foreign:
            raise self._error(event, f"tags such as {event.tag!r} are not used in definitions")
        if len(path) > DEPTH:
            raise self._error(event, f"nested more than {DEPTH} levels deep")
        before = self.values
        self._count(event, 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        value = self._scalar(event) if kind == "ScalarEvent" else self._collection(event, kind, path)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.values - before)
        return value

    def _alias(self, event: Any) -> Any:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            reason = "stands inside what it names" if event.anchor in self.anchors else "names nothing before it"
            raise self._error(event, f"the alias *{event.anchor} {reason}")
        self.aliases += 1
        if self.aliases > ALIASES:
            raise self._error(event, f"more than {ALIASES} aliases")
        value, size = anchored
        self._count(event, size)
        return value

    def _collection(self, event: Any, kind: str, path: DataPath) -> Any:
        if kind == "SequenceStartEvent":
            items: list[Any] = []
            while type(item := next(self.events)).__name__ != "SequenceEndEvent":
                items.append(self._value(item, (*path, len(items))))
            return items
        entries: dict[str, Any] = {}
        while type(key := next(self.events)).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                raise self._error(key, "a key must be text")
            name = str(key.value)
            if name in entries:
                first = self.positions[(*path, name)].line
                raise self._error(key, f"the key {name!r} is there already, in line {first}")
            self.positions[(*path, name)] = _start(key)
            entries[name] = self._value(next(self.events), (*path, name))
        return entries

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if not event.implicit[0]:
            return text
        if text in _CONSTANTS_NULL:
            return None
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if self.foreign and text in _OLD_CONSTANTS:
            return _OLD_CONSTANTS[text]
        return int(text) if _INTEGER.fullmatch(text) else text

    def _count(self, event: Any, size: int) -> None:
        self.values += size
        if self.values > VALUES:
            raise self._error(event, f"more than {VALUES} values")

    def _error(self, event: Any, reason: str) -> DefinitionError:
        start = _start(event)
        return DefinitionError(f"{self.name}:{start.line}:{start.column}: {reason}")


def _start(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)
