"""The part of TOML that a lock uses, read fast and with the line of every value.

tomllib does not tell the line of a value, so that nobody could say where a wrong lock is wrong, and takes three times
as long for the 5,000 lines that each build reads. This reads what `lockfile` writes: one `key = value` a line, in
tables of a list (`[[package]]`), where a value is a string, a list of strings, a number, a time or a truth value. All
else is an error, not a guess. What it accepts, tomllib reads as the same data.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from formation.dataclass import dataclass, field

Value = str | int | bool | list[str] | datetime
"""A time is in UTC."""

_LINE: Final = re.compile(r'([A-Za-z0-9_-]+) = (?:"([^"\\\x00-\x1f\x7f]*)"|(.*))')
_HEADER: Final = re.compile(r"\[\[([a-z]+)\]\]")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", re.ASCII)
_CONFLICT: Final = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_LINE_SHOWN: Final = 80


class WrongLine(Exception):
    """A line that does not belong there. It never leaves this package: `lockfile` knows the name of the file."""

    def __init__(self, line: int, reason: str, *, instead: str | None = None) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.instead = instead
        """What to do rather than write the lock anew, which always helps; None: nothing else."""


@dataclass(slots=True)
class Table:
    """The values below one header."""

    name: str
    """`package` for `[[package]]`; empty for the values before the first header."""
    line: int
    """Of its header, counted from 1."""
    values: dict[str, Value] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Where each value is."""


def read_tables(text: str) -> list[Table]:
    """The tables of `text` in their order; the first is the one without a header. Raises WrongLine."""
    table = Table("", 1)
    tables = [table]
    match = _LINE.fullmatch
    for number, line in enumerate(text.split("\n"), 1):
        found = match(line)
        if found is not None:
            key, value, other = found.groups()
            if key in table.lines:
                raise WrongLine(number, f"{key} is there already, in line {table.lines[key]}")
            table.values[key] = value if other is None else _value(other, number)
            table.lines[key] = number
        elif line and not line.startswith("#"):
            table = Table(_header(line, number), number)
            tables.append(table)
    return tables


def write_table(name: str, values: dict[str, Value]) -> Iterator[str]:
    """The lines of a table, as `read_tables` reads them; an empty `name` stands for no header."""
    if name:
        yield f"[[{name}]]"
    for key, value in values.items():
        yield f"{key} = {_text(value)}"


def seconds(time: datetime) -> int:
    """Seconds since 1970 of a time."""
    return int(time.timestamp())


def time_of(seconds: int) -> datetime:
    """The time that is so many seconds after 1970 began."""
    return datetime.fromtimestamp(seconds, UTC)


def _header(line: str, number: int) -> str:
    header = _HEADER.fullmatch(line)
    if header is not None:
        return header[1]
    if line.startswith(_CONFLICT):
        raise WrongLine(number, "a merge conflict was left in it")
    raise WrongLine(number, f"{_shown(line)} is not a line that formation lock writes")


def _value(text: str, number: int) -> Value:
    if _NUMBER.fullmatch(text):
        return int(text)
    if text in ("true", "false"):
        return text == "true"
    if _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise WrongLine(number, f"{text} is not a time") from None
    # TOML's basic strings and lists of them are JSON's, except that JSON may escape a slash.
    try:
        value = json.loads(text.replace("\\/", "\\x"))
    except (ValueError, RecursionError):
        raise WrongLine(number, f"{_shown(text)} is not a value that formation lock writes") from None
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) and item.isprintable() for item in items):
        raise WrongLine(number, f"{_shown(text)} is not a value that formation lock writes")
    return value  # type: ignore[no-any-return]


def _text(value: Value) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return json.dumps(value, ensure_ascii=False)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LINE_SHOWN else text[:_LINE_SHOWN] + "…")
