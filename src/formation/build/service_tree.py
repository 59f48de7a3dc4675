"""What a service's image will hold, before it is built: its files over those of its packages over those of its base."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from formation.contents.elf import MAGIC, Elf, Held, parse_elf
from formation.dataclass import dataclass
from formation.definition.service_values import CollectedFile, Kind
from formation.entry import EntryType
from formation.errors import FormationError
from formation.install.inside import follow

ELF_START = 24 << 20
ELF_END = 8 << 20
"""What is read of a larger ELF file: strings are at its start, and its dynamic section may be at its end."""


@dataclass(frozen=True, slots=True)
class Node:
    """What is at one path."""

    type: EntryType
    mode: int = 0o755
    target: str = ""
    """Of a symbolic link, as written."""
    elf: Elf | None = None


class Tree(Protocol):
    """Files by path."""

    def node(self, path: str) -> Node | None:
        """What is at the relative `path`, whose own and whose parents' links are not followed; None for nothing."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A Tree that is held in memory."""

    nodes: Mapping[str, Node]

    def node(self, path: str) -> Node | None:
        return self.nodes.get(path)


@dataclass(frozen=True, slots=True)
class Over:
    """A tree over another."""

    upper: Listed
    lower: Tree

    def node(self, path: str) -> Node | None:
        above = self.upper.node(path)
        return self.lower.node(path) if above is None else above


def over(upper: Mapping[str, Node], lower: Tree) -> Over:
    """`upper` written onto `lower`: a directory does not replace a symbolic link to one, and what is in it goes there.

    So do tar, dpkg and container engines, which is why a package may have files below /lib where that is a link.
    """
    nodes: dict[str, Node] = {}
    parents: dict[str, str | None] = {}
    for path, node in upper.items():
        parent, _, name = path.rpartition("/")
        if parent not in parents:
            parents[parent] = _walked(lower, parent, follow_last=True)
        place = parents[parent]
        below = lower.node(path)
        if place is not None and (node.type != "directory" or below is None or below.type != "symlink"):
            nodes[f"{place}/{name}".lstrip("/")] = node
    return Over(Listed(nodes), lower)


def resolved(tree: Tree, path: str) -> str | None:
    """The absolute path, without symbolic links, that `path`, absolute too, leads to; None when nothing is there."""
    place = _walked(tree, path, follow_last=True)
    return place if place is not None and (place == "/" or tree.node(place[1:]) is not None) else None


def placed(tree: Tree, path: str) -> str | None:
    """Where a file that is written to the absolute `path` comes to be: the links of its parents are followed.

    Parents that are not there yet stay as they are written. None when the links lead to themselves.
    """
    return _walked(tree, path, follow_last=False)


def _walked(tree: Tree, path: str, *, follow_last: bool) -> str | None:
    def read_link(name: str) -> str | None:
        node = tree.node(name)
        return node.target if node is not None and node.type == "symlink" else None

    try:
        return "/" + follow(path, read_link, last=follow_last)
    except FormationError:
        return None


def found(tree: Tree, path: str) -> Node | None:
    """What the absolute `path` leads to, symbolic links followed."""
    place = resolved(tree, path)
    return None if place is None else tree.node(place[1:])


def collected_nodes(files: Iterable[CollectedFile]) -> dict[str, Node]:
    """The files of a service, and the directories that they are in. Raises FormationError when one cannot be read."""
    nodes = dict(_collected(files))
    for path in list(nodes):
        for parent in PurePosixPath(path).parents:
            nodes.setdefault(str(parent), Node("directory"))
    nodes.pop(".", None)
    return nodes


def _collected(files: Iterable[CollectedFile]) -> Iterator[tuple[str, Node]]:
    for file in files:
        path = file.path.lstrip("/")
        if file.kind is Kind.SYMLINK:
            yield path, Node("symlink", file.mode, file.target or "")
        elif file.kind is Kind.DIRECTORY:
            yield path, Node("directory", file.mode)
        else:
            yield path, Node("file", file.mode, elf=_elf_of(file))


def _elf_of(file: CollectedFile) -> Elf | None:
    if file.content is not None:
        held = Held(file.content)
    elif file.local is not None:
        held = _held(file.local)
    return parse_elf(held) if held.start.startswith(MAGIC) else None


def _held(path: Path) -> Held:
    """As much of a file as tells what it is."""
    try:
        with path.open("rb") as opened:
            if (start := opened.read(len(MAGIC))) != MAGIC:
                return Held(start)
            opened.seek(0)
            start = opened.read(ELF_START)
            size = opened.seek(0, 2)
            if size <= len(start):
                return Held(start)
            begin = max(0, size - ELF_END)
            opened.seek(begin)
            return Held(start, opened.read(ELF_END), begin)
    except OSError as error:
        raise FormationError(f"cannot read {path}: {error.strerror}") from None
