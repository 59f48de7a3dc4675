"""The package sources of an image, read without trusting them. Source: sources.list(5)."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from formation.contents.filesystem import Filesystem
from formation.dataclass import dataclass, field
from formation.entry import decode_path

_MOST_LINES: Final = 20_000
_ONE_LINE = re.compile(r"(deb|deb-src)\s+(?:\[([^\]]{0,2000})\]\s*)?(\S{1,2000})\s+(\S{1,200})(?:\s+(.{0,2000}))?")
_YES = ("yes", "true", "1", "on", "enable", "with")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One entry: a line of a .list file, or a stanza of a .sources file."""

    path: str
    """Of the file, without a leading slash."""
    line: int
    types: tuple[str, ...] = ()
    """`deb`, `deb-src`."""
    uris: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    """In lower case, with the names that .sources files have."""
    problem: str = ""
    """Why it is no entry; empty for one."""


def apt_sources(files: Filesystem) -> tuple[AptSource, ...]:
    """The sources that are in use, file by file."""
    found: list[AptSource] = []
    for path in ("etc/apt/sources.list", *files.kept_below("etc/apt/sources.list.d")):
        data = files.content(path)
        if data is not None and path.endswith((".list", ".sources")):
            parse = parse_list if path.endswith(".list") else parse_sources
            found += parse(path, data)
    return tuple(found)


def parse_list(path: str, data: bytes) -> Iterator[AptSource]:
    """The entries of a .list file."""
    for number, raw in _lines(data):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        match = _ONE_LINE.fullmatch(line)
        if match is None:
            yield AptSource(path, number, problem="is no package source")
            continue
        options = {}
        for word in (match[2] or "").split():
            name, _, value = word.partition("=")
            options[name.rstrip("+-").lower()] = value
        yield AptSource(path, number, (match[1],), (match[3],), (match[4],), options)


def parse_sources(path: str, data: bytes) -> Iterator[AptSource]:
    """The entries of a .sources file that are not switched off."""
    fields: dict[str, str] = {}
    first, name, broken = 0, "", False
    for number, line in (*_lines(data), (0, "")):
        if line.startswith("#"):
            continue
        if line.strip():
            first = first or number
            key, colon, value = line.partition(":")
            if line[0] in " \t" and name:
                fields[name] += " " + line.strip()
            elif colon and key and not key[0].isspace():
                name = key.strip().lower()
                fields[name] = value.strip()
            else:
                broken = True
        elif first:
            yield from _stanza(path, first, fields, broken)
            fields, first, name, broken = {}, 0, "", False


def _stanza(path: str, line: int, fields: dict[str, str], broken: bool) -> Iterator[AptSource]:
    if fields.get("enabled", "yes").lower() not in _YES:
        return
    types, uris, suites = (tuple(fields.get(name, "").split()) for name in ("types", "uris", "suites"))
    if broken or not (types and uris and suites):
        yield AptSource(path, line, problem="is no package source")
        return
    yield AptSource(path, line, types, uris, suites, fields)


def _lines(data: bytes) -> list[tuple[int, str]]:
    text = decode_path(data)
    return list(enumerate((line.rstrip("\r") for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]), 1))
