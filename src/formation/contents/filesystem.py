"""The file system that the layers of an image make together, as an engine would unpack them.

Source: OCI image-spec 1.1, layer.md. Where engines differ (entries below a symlink of a lower layer), this does what
containerd does, and `problems` says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from formation.contents.accounts import Group, Malformed, Shadow, User, parse_group, parse_passwd, parse_shadow
from formation.contents.elf import Elf
from formation.contents.layer import LayerContents, LayerEntry, Problem, ProblemKind
from formation.contents.packages import InstalledPackage, Listing, installed_packages, listing
from formation.contents.structure import DEEPEST, OPAQUE
from formation.entry import WHITEOUT

MOST_LINKS: Final = 40
"""Symlinks that one look-up follows, as Linux does (path_resolution(7))."""

_MOST_STEPS = 1000
_MOST_IMPLIED = 20_000


class Node(NamedTuple):
    """One path of the merged file system. A tuple for speed: see `contents.layer`."""

    entry: LayerEntry
    """Type, mode, owner and hashes at this path. A hard link is a `file` here, with what it shares with its target."""
    layer: int
    """Which layer, from 0, put it there last."""
    origin: tuple[int, str]
    """Layer and path under which the content's ELF facts and kept bytes are found; the same but for hard links."""


class Filesystem:
    """The merged view. Paths have no leading slash; the root is the empty path. Not changed once it is made."""

    def __init__(
        self,
        layers: Sequence[LayerContents],
        nodes: Mapping[str, Node],
        names: Mapping[str, Mapping[str, None]],
        problems: Sequence[Problem] = (),
    ) -> None:
        self._layers = layers
        self._nodes = nodes
        self._names = names
        self._sorted: tuple[str, ...] | None = None
        self.problems = tuple(problems)
        """How the layers do not fit on each other: whiteouts of nothing, missing parents, entries below symlinks."""

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: str) -> Node | None:
        """What is at exactly `path`, whatever is a symlink on the way."""
        return self._nodes.get(path)

    def children(self, directory: str) -> tuple[str, ...]:
        """The paths right below `directory`, in no order; nothing when it is no directory."""
        return tuple(_join(directory, name) for name in self._names.get(directory, ()))

    def paths(self) -> tuple[str, ...]:
        """All paths, sorted; a directory comes before what is in it."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._nodes, key=lambda path: path.replace("/", "\0")))
        return self._sorted

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return ((path, self._nodes[path]) for path in self.paths())

    def resolve(self, path: str, *, follow_last: bool = True) -> str | None:
        """The path that `path` leads to when symlinks are followed; None when it leads nowhere.

        `..` stays below the root, as in a container. `follow_last`: also when the last component is one. Loops and
        chains of more than MOST_LINKS lead nowhere. What does not exist resolves when its directory does.
        """
        path = path.strip("/")
        node = self._nodes.get(path)
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
            node = self._nodes.get(here)
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

    def find(self, path: str) -> Node | None:
        """What `path` leads to when symlinks are followed; None when nothing is there. A leading slash is allowed."""
        resolved = self.resolve(path)
        return None if resolved is None else self._nodes.get(resolved)

    def content(self, path: str) -> bytes | None:
        """The content of the file that `path` leads to, where it was kept (see `contents.kept`); None otherwise."""
        node = self.find(path)
        return None if node is None else self._layers[node.origin[0]].kept.get(node.origin[1])

    def elf(self, node: Node) -> Elf | None:
        """The facts of the ELF file that `node` is; None when it is none."""
        return self._layers[node.origin[0]].elf.get(node.origin[1])

    def layer_of(self, path: str) -> int | None:
        """Which layer, from 0, put `path` there last."""
        node = self._nodes.get(path)
        return None if node is None else node.layer

    def users(self) -> tuple[tuple[User, ...], tuple[Malformed, ...]]:
        """The users of etc/passwd in its order, and the lines that are none."""
        return parse_passwd(self.content("etc/passwd") or b"")

    def groups(self) -> tuple[tuple[Group, ...], tuple[Malformed, ...]]:
        """The groups of etc/group in its order, and the lines that are none."""
        return parse_group(self.content("etc/group") or b"")

    def shadow(self) -> tuple[tuple[Shadow, ...], tuple[Malformed, ...]]:
        """The entries of etc/shadow in its order, and the lines that are none."""
        return parse_shadow(self.content("etc/shadow") or b"")

    def packages(self) -> tuple[tuple[InstalledPackage, ...], tuple[str, ...]]:
        """The packages in dpkg's database, sorted, and what is wrong with the database."""
        return installed_packages(self._kept_below("var/lib/dpkg/"))

    def package_files(self, package: InstalledPackage) -> Listing:
        """What dpkg's database says of the files of `package`."""
        return listing(package, self._kept_below("var/lib/dpkg/"))

    def _kept_below(self, prefix: str) -> "_Kept":
        return _Kept(self, prefix)

    def kept_below(self, directory: str) -> tuple[str, ...]:
        """The paths right below `directory`, links followed, whose content was kept; sorted."""
        place = self.resolve(directory)
        return () if place is None else tuple(sorted(path for path in self.children(place) if self._is_kept(path)))

    def _is_kept(self, path: str) -> bool:
        number, origin = self._nodes[path].origin
        return origin in self._layers[number].kept


class _Kept:
    """dpkg's files, by their names in its directory."""

    def __init__(self, filesystem: Filesystem, prefix: str) -> None:
        self._filesystem = filesystem
        self._prefix = prefix

    def read(self, name: str) -> bytes | None:
        return self._filesystem.content(self._prefix + name)

    def names(self, directory: str) -> tuple[str, ...]:
        return tuple(path.rpartition("/")[2] for path in self._filesystem.kept_below(self._prefix + directory))


def filesystem(layers: Sequence[LayerContents]) -> Filesystem:
    """What `layers`, base layer first, make together."""
    merge = _Merge(layers)
    for number in range(len(layers)):
        merge.apply(number)
    return Filesystem(layers, merge.nodes, merge.names, merge.problems)


_IMPLIED = LayerEntry("", "directory", 0o755, 0, 0, 0, 0, "", (), (0, 0), "", "")
_MOST_PROBLEMS = 1000


class _Merge:
    """The file system so far, with the names in each directory."""

    def __init__(self, layers: Sequence[LayerContents]) -> None:
        self._layers = layers
        self.names: dict[str, dict[str, None]] = {}
        """Directory → names in it."""
        self.nodes: dict[str, Node] = {}
        self.problems: list[Problem] = []
        self._implied = 0

    def apply(self, number: int) -> None:
        """Puts layer `number` on top: first what it removes, since whiteouts are about lower layers only."""
        entries = self._layers[number].entries
        for entry in entries:
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
                self._remove(_join(directory, child))
            return
        hidden = name.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            return
        path = _join(directory, hidden)
        if path not in self.nodes:
            self._problem("whiteout-of-nothing", path, "is removed, and no layer below has it")
        self._remove(path)

    def _add(self, number: int, entry: LayerEntry, directory: str, name: str) -> None:
        if directory.count("/") > DEEPEST:
            self._problem("limit", entry.path[:200], f"lies below more than {DEEPEST} directories, and is left out")
            return
        place = self._in_place(directory)
        if place != directory:
            self._problem(
                "below-symlink", entry.path, f"lies below a symlink of a lower layer, which leads to {place!r}"
            )
        if not self._imply(number, place):
            return
        path = _join(place, name) if name else place
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

    def _in_place(self, path: str) -> str:
        """`path` with the symlinks of lower layers followed; itself where no symlink is on the way or one is broken."""
        if path == "" or (path in self.nodes and self.nodes[path].entry.type == "directory"):
            return path
        end = -1
        while end < len(path):
            end = path.find("/", end + 1)
            end = len(path) if end < 0 else end
            node = self.nodes.get(path[:end])
            if node is None:
                return path
            if node.entry.type == "symlink":
                return Filesystem(self._layers, self.nodes, self.names).resolve(path) or path
        return path

    def _imply(self, number: int, directory: str) -> bool:
        """Makes the directories above an entry that no layer has: engines do. False when there are too many."""
        missing = []
        while directory and (directory not in self.nodes or self.nodes[directory].entry.type != "directory"):
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
            todo += [_join(gone, child) for child in self.names.pop(gone, ())]

    def _problem(self, kind: ProblemKind, path: str, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(kind, path, text))


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
