"""Layers put on each other, as an engine would unpack them, and the way from a path to what is there.

Source: OCI image-spec 1.1, layer.md. Where engines differ (entries below a symlink of a lower layer), this does what
containerd does, and tells of it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from formation.contents.layer import LayerContents, LayerEntry, Problem, ProblemKind
from formation.contents.structure import OPAQUE
from formation.entry import DEEPEST, WHITEOUT, is_too_deep

MOST_LINKS: Final = 40
"""Symlinks that one look-up follows, as Linux does (path_resolution(7))."""

_MOST_STEPS = 1000
_MOST_IMPLIED = 20_000
_MOST_PROBLEMS = 1000
_IMPLIED = LayerEntry("", "directory", 0o755, 0, 0, 0, 0, "", (), (0, 0), "", "")
"""A directory that no layer has an entry for."""


class Node(NamedTuple):
    """One path of the merged file system. A tuple for speed: see `contents.layer`."""

    entry: LayerEntry
    """Type, mode, owner and hashes at this path. A hard link is a `file` here, with what it shares with its target."""
    layer: int
    """Which layer, from 0, put it there last."""
    origin: tuple[int, str]
    """Layer and path under which the content's ELF facts and kept bytes are found; the same but for hard links."""


class Merge:
    """The file system so far, with the names in each directory."""

    def __init__(self) -> None:
        self.layers: list[LayerContents] = []
        """Base layer first."""
        self.names: dict[str, dict[str, None]] = {}
        """Directory → names in it."""
        self.nodes: dict[str, Node] = {}
        self.problems: list[Problem] = []
        self._implied = 0

    def copy(self) -> "Merge":
        """Another that is as far as this one."""
        merge = Merge()
        merge.layers = list(self.layers)
        merge.names = {directory: dict(names) for directory, names in self.names.items()}
        merge.nodes = dict(self.nodes)
        merge.problems = list(self.problems)
        merge._implied = self._implied
        return merge

    def add(self, layer: LayerContents) -> None:
        """Puts `layer` on top: first what it removes, since whiteouts are about lower layers only."""
        number = len(self.layers)
        self.layers.append(layer)
        entries = layer.entries
        # Few names have it in them, and ten thousands are looked at.
        for entry in (entry for entry in entries if WHITEOUT in entry.path):
            directory, _, name = entry.path.rpartition("/")
            if name.startswith(WHITEOUT):
                self._white_out(self._in_place(directory), name)
        for entry in entries:
            directory, _, name = entry.path.rpartition("/")
            if not name.startswith(WHITEOUT):
                self._add(number, entry, directory, name)

    def _white_out(self, directory: str, name: str) -> None:
        if name == OPAQUE:
            for child in list(self.names.get(directory, ())):
                self._remove(join(directory, child))
            return
        hidden = name.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            return
        path = join(directory, hidden)
        if path not in self.nodes:
            self._problem("whiteout-of-nothing", path, "is removed, and no layer below has it")
        self._remove(path)

    def _add(self, number: int, entry: LayerEntry, directory: str, name: str) -> None:
        if is_too_deep(entry.path):
            self._problem("limit", entry.path[:200], f"lies below more than {DEEPEST} directories, and is left out")
            return
        place = directory
        if not self._has_directory(directory):
            place = self._in_place(directory)
            if place != directory:
                self._problem(
                    "below-symlink", entry.path, f"lies below a symlink of a lower layer, which leads to {place!r}"
                )
            if not self._imply(number, place):
                return
        path = join(place, name) if name else place
        origin = (number, entry.path)
        if entry.type == "hardlink":
            target = self.nodes.get(self._in_place(entry.target))
            if target is None or target.entry.type != "file":
                # Nothing to link to: engines fail. The layer's own problems tell of it.
                return
            entry, origin = target.entry, target.origin
        if entry.type != "directory" or (path in self.nodes and self.nodes[path].entry.type != "directory"):
            self._remove(path)
        self._put(path, Node(entry if entry.path == path else entry._replace(path=path), number, origin))

    def _has_directory(self, path: str) -> bool:
        node = self.nodes.get(path)
        return path == "" or (node is not None and node.entry.type == "directory")

    def _in_place(self, path: str) -> str:
        """`path` with the symlinks of lower layers followed; itself where no symlink is on the way or one is broken."""
        if self._has_directory(path):
            return path
        end = -1
        while end < len(path):
            end = path.find("/", end + 1)
            end = len(path) if end < 0 else end
            node = self.nodes.get(path[:end])
            if node is None:
                return path
            if node.entry.type == "symlink":
                return resolved(self.nodes, path) or path
        return path

    def _imply(self, number: int, directory: str) -> bool:
        """Makes the directories above an entry that no layer has: engines do. False when there are too many."""
        missing = []
        while not self._has_directory(directory):
            missing.append(directory)
            directory = directory.rpartition("/")[0]
        if not missing:
            return True
        self._implied += len(missing)
        if self._implied > _MOST_IMPLIED:
            self._problem("limit", missing[0][:200], "is a directory without an entry, of too many; it is left out")
            return False
        for path in reversed(missing):
            self._problem("missing-parent", path, "is a directory that no layer has an entry for")
            self._remove(path)
            self._put(path, Node(_IMPLIED._replace(path=path), number, (number, path)))
        return True

    def _put(self, path: str, node: Node) -> None:
        self.nodes[path] = node
        if path:
            directory, _, name = path.rpartition("/")
            self.names.setdefault(directory, {})[name] = None

    def _remove(self, path: str) -> None:
        """Removes `path` and everything below it."""
        if path not in self.nodes:
            return
        directory, _, name = path.rpartition("/")
        self.names.get(directory, {}).pop(name, None)
        todo = [path]
        while todo:
            gone = todo.pop()
            self.nodes.pop(gone, None)
            todo += [join(gone, child) for child in self.names.pop(gone, ())]

    def _problem(self, kind: ProblemKind, path: str, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(kind, path, text))


def resolved(nodes: Mapping[str, Node], path: str, *, follow_last: bool = True) -> str | None:
    """The path that `path` leads to in `nodes` when symlinks are followed; None when it leads nowhere.

    `..` stays below the root, as in a container. `follow_last`: also when the last component is one. Loops and
    chains of more than MOST_LINKS lead nowhere. What does not exist resolves when its directory does.
    """
    path = path.strip("/")
    node = nodes.get(path)
    # What has an entry is below directories only: no symlink is on the way.
    if node is not None and (not follow_last or node.entry.type != "symlink"):
        return path
    left = [part for part in reversed(path.split("/")) if part]
    found: list[str] = []
    links = steps = 0
    while left:
        part = left.pop()
        steps += 1
        if steps > _MOST_STEPS:
            return None
        if part == ".":
            continue
        if part == "..":
            del found[-1:]
            continue
        here = "/".join((*found, part))
        node = nodes.get(here)
        if node is not None and node.entry.type == "symlink" and (left or follow_last):
            links += 1
            if links > MOST_LINKS:
                return None
            target = node.entry.target
            if target.startswith("/"):
                found.clear()
            left += [part for part in reversed(target.split("/")) if part]
        elif left and (node is None or node.entry.type != "directory"):
            return None
        else:
            found.append(part)
    return "/".join(found)


def join(directory: str, name: str) -> str:
    """The path of `name` in `directory`, which may be the root."""
    return f"{directory}/{name}" if directory else name
