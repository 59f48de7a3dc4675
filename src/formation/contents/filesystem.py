"""The file system that the layers of an image make together, and what its files say: accounts, packages, programs."""

from collections.abc import Iterable, Iterator, Sequence

from formation.contents.accounts import Group, Malformed, Shadow, User, parse_group, parse_passwd, parse_shadow
from formation.contents.elf import Elf
from formation.contents.layer import LayerContents
from formation.contents.merge import Merge, Node, join, resolved
from formation.contents.packages import InstalledPackage, Listing, installed_packages, listing
from formation.debian.administration import ADMINISTRATION


class Filesystem:
    """The merged view. Paths have no leading slash; the root is the empty path. Not changed once it is made."""

    def __init__(self, merge: Merge) -> None:
        """`merge` stays as it is from now on."""
        self._merge = merge
        self._layers = merge.layers
        self._nodes = merge.nodes
        self._names = merge.names
        self._sorted: tuple[str, ...] | None = None
        self.problems = tuple(merge.problems)
        """How the layers do not fit on each other: whiteouts of nothing, missing parents, entries below symlinks."""

    def with_layers(self, layers: Iterable[LayerContents]) -> "Filesystem":
        """What it becomes with `layers`, the lowest first, on top."""
        merge = self._merge.copy()
        for layer in layers:
            merge.add(layer)
        return Filesystem(merge)

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: str) -> Node | None:
        """What is at exactly `path`, whatever is a symlink on the way."""
        return self._nodes.get(path)

    def children(self, directory: str) -> tuple[str, ...]:
        """The paths right below `directory`, in no order; nothing when it is no directory."""
        return tuple(join(directory, name) for name in self._names.get(directory, ()))

    def paths(self) -> tuple[str, ...]:
        """All paths, sorted; a directory comes before what is in it."""
        if self._sorted is None:
            self._sorted = tuple(sorted(self._nodes, key=lambda path: path.replace("/", "\0")))
        return self._sorted

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return ((path, self._nodes[path]) for path in self.paths())

    def resolve(self, path: str, *, follow_last: bool = True) -> str | None:
        """The path that `path` leads to when symlinks are followed; None when it leads nowhere: see `resolved`."""
        return resolved(self._nodes, path, follow_last=follow_last)

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
        return installed_packages(_Database(self))

    def package_files(self, package: InstalledPackage) -> Listing:
        """What dpkg's database says of the files of `package`."""
        return listing(package, _Database(self))

    def kept_below(self, directory: str) -> tuple[str, ...]:
        """The paths right below `directory`, links followed, whose content was kept; sorted."""
        place = self.resolve(directory)
        return () if place is None else tuple(sorted(path for path in self.children(place) if self._is_kept(path)))

    def _is_kept(self, path: str) -> bool:
        number, origin = self._nodes[path].origin
        return origin in self._layers[number].kept


class _Database:
    """dpkg's files, by their names in its directory."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    def read(self, name: str) -> bytes | None:
        return self._filesystem.content(f"{ADMINISTRATION}/{name}")

    def names(self, directory: str) -> tuple[str, ...]:
        return tuple(path.rpartition("/")[2] for path in self._filesystem.kept_below(f"{ADMINISTRATION}/{directory}"))


def filesystem(layers: Sequence[LayerContents]) -> Filesystem:
    """What `layers`, base layer first, make together."""
    return Filesystem(Merge()).with_layers(layers)
