"""Control files in Debian's format: stanzas of fields (deb822(5), Policy 5.1)."""

import re
from collections.abc import Iterator, Mapping

from formation.errors import MalformedError

_FIELD = re.compile(r"((?![#-])[!-9;-~]+):[ \t]*(.*)", re.ASCII)
_LONGEST_STANZA = 4 << 20
_MOST_FIELDS = 500


class Stanza(Mapping[str, str]):
    """The fields of one stanza, in the order written. A name is found whatever its case.

    A folded value keeps its line ends and the leading space of each continuation line.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): (name, value) for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __str__(self) -> str:
        """The stanza as a control file has it, with a final newline."""
        lines = (f"{name}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for name, value in self._fields.values())
        return "".join(lines)


def parse_stanza(data: bytes) -> Stanza:
    """The one stanza in `data`.

    Raises MalformedError when `data` is not a stanza: no field, a line that is no field and continues none, the same
    field twice, bytes that are not UTF-8, more than 4 MiB or 500 fields.
    """
    stanzas = parse_stanzas(data)
    stanza = next(stanzas, None)
    if stanza is None:
        raise MalformedError("a control file has no fields")
    if next(stanzas, None) is not None:
        raise MalformedError("a control file has more than one stanza")
    return stanza


def parse_stanzas(data: bytes) -> Iterator[Stanza]:
    """The stanzas of `data` in order; none for an empty file.

    Raises MalformedError as parse_stanza does.
    """
    for block in re.split(rb"\n(?:[ \t\r]*\n)+", data.strip(b"\n")):
        if not block.strip():
            continue
        if len(block) > _LONGEST_STANZA:
            raise MalformedError(f"a stanza of a control file is larger than {_LONGEST_STANZA} bytes")
        try:
            yield _parse_block(block.decode())
        except UnicodeDecodeError as error:
            raise MalformedError(f"a control file is not UTF-8: {error}") from error


def _parse_block(text: str) -> Stanza:
    fields: dict[str, str] = {}
    seen: set[str] = set()
    name = ""
    continued: list[str] = []
    for line in text.split("\n"):
        line = line.rstrip(" \t\r")
        if line[:1] in (" ", "\t") and name:
            continued.append(line)
            continue
        if continued:
            fields[name] = "\n".join((fields[name], *continued))
            continued = []
        match = _FIELD.fullmatch(line)
        if match is None:
            raise MalformedError(f"{line[:100]!r} in a control file is not a field")
        name = match[1]
        if name.lower() in seen:
            raise MalformedError(f"field {name[:100]} is twice in a stanza of a control file")
        if len(seen) >= _MOST_FIELDS:
            raise MalformedError(f"a stanza of a control file has more than {_MOST_FIELDS} fields")
        seen.add(name.lower())
        fields[name] = match[2]
    if continued:
        fields[name] = "\n".join((fields[name], *continued))
    return Stanza(fields)
