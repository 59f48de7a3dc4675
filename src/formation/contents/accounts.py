"""The account files of an image, read without trusting them. Sources: passwd(5), group(5), shadow(5)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from formation.entry import decode_path

_MOST_LINES: Final = 100_000
_LARGEST_ID = 2**32 - 2


class Malformed(NamedTuple):
    """A line that is no entry."""

    line: int
    """From 1."""
    text: str
    """Why."""


class User(NamedTuple):
    """A line of passwd."""

    name: str
    password: str
    """`x`: shadow has it. Empty: none is asked for."""
    uid: int
    gid: int
    comment: str
    home: str
    shell: str


class Group(NamedTuple):
    """A line of group."""

    name: str
    password: str
    gid: int
    members: tuple[str, ...]


class Shadow(NamedTuple):
    """A line of shadow. The numbers in it are not read."""

    name: str
    password: str
    """`*` or beginning with `!`: nobody can log in with a password. Empty: none is asked for."""


def parse_passwd(data: bytes) -> tuple[tuple[User, ...], tuple[Malformed, ...]]:
    """The entries of `data` in its order, and the lines that are none."""
    found, malformed = [], []
    for number, fields in _lines(data):
        if len(fields) != 7 or not fields[0]:
            malformed.append(Malformed(number, "does not have the seven fields of passwd"))
        elif (uid := _id(fields[2])) is None or (gid := _id(fields[3])) is None:
            malformed.append(Malformed(number, f"has {fields[2][:20]!r} and {fields[3][:20]!r} for numbers"))
        else:
            found.append(User(fields[0], fields[1], uid, gid, *fields[4:]))
    return tuple(found), tuple(malformed)


def parse_group(data: bytes) -> tuple[tuple[Group, ...], tuple[Malformed, ...]]:
    """The entries of `data` in its order, and the lines that are none."""
    found, malformed = [], []
    for number, fields in _lines(data):
        if len(fields) != 4 or not fields[0]:
            malformed.append(Malformed(number, "does not have the four fields of group"))
        elif (gid := _id(fields[2])) is None:
            malformed.append(Malformed(number, f"has {fields[2][:20]!r} for a number"))
        else:
            members = tuple(member for member in fields[3].split(",") if member)
            found.append(Group(fields[0], fields[1], gid, members))
    return tuple(found), tuple(malformed)


def parse_shadow(data: bytes) -> tuple[tuple[Shadow, ...], tuple[Malformed, ...]]:
    """The entries of `data` in its order, and the lines that are none."""
    found, malformed = [], []
    for number, fields in _lines(data):
        if len(fields) != 9 or not fields[0]:
            malformed.append(Malformed(number, "does not have the nine fields of shadow"))
        else:
            found.append(Shadow(fields[0], fields[1]))
    return tuple(found), tuple(malformed)


def _lines(data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not empty."""
    for number, line in enumerate(data.split(b"\n", _MOST_LINES)[:_MOST_LINES], 1):
        if line:
            yield number, decode_path(line).split(":")


def _id(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return number if (number := int(text)) <= _LARGEST_ID else None
