"""Where the dynamic linker finds a shared library. Sources: ld.so(8), and musl's ldso/dynlink.c."""

import posixpath
from collections.abc import Iterator

from formation.build.service_tree import Node, Tree, resolved
from formation.contents.elf import Elf
from formation.contents.libraries import TRIPLETS
from formation.dataclass import dataclass

_MUSL = ("/lib", "/usr/local/lib", "/usr/lib")


@dataclass(frozen=True, slots=True)
class Loader:
    """The dynamic linker of one image."""

    tree: Tree
    """All that the image will have."""
    cached: Tree
    """What is there when ldconfig runs: the base and the packages. A service's own files come later."""
    architecture: str
    configured: tuple[str, ...]
    """Directories of /etc/ld.so.conf and the files that it includes: libraries there are found through a cache."""
    environment: tuple[str, ...]
    """Directories of LD_LIBRARY_PATH."""

    @property
    def standard(self) -> tuple[str, ...]:
        """The directories that are searched without any configuration."""
        triplet = TRIPLETS.get(self.architecture)
        multiarch = (f"/lib/{triplet}", f"/usr/lib/{triplet}") if triplet else ()
        return (*multiarch, "/lib64", "/usr/lib64", "/lib", "/usr/lib")

    def find(self, name: str, needing: Elf, path: str) -> tuple[str, Node] | None:
        """The library `name` that the file `needing`, at the absolute `path`, gets: its real path and what is there."""
        if "/" in name:
            return _at(self.tree, posixpath.join("/", name))
        for tree, directory in self._places(needing, path):
            if (there := _at(tree, f"{directory}/{name}")) is not None:
                return there
        return None

    def _places(self, needing: Elf, path: str) -> Iterator[tuple[Tree, str]]:
        origin = posixpath.dirname(resolved(self.tree, path) or path)
        library = "lib64" if needing.bits == 64 else "lib"
        for directory in needing.run_path:
            words = directory.replace("${", "$").replace("}", "")
            yield self.tree, words.replace("$ORIGIN", origin).replace("$LIB", library)
        yield from ((self.tree, directory) for directory in self.environment)
        if "ld-musl" in needing.interpreter:
            yield from ((self.tree, directory) for directory in _MUSL)
            return
        yield from ((self.cached, directory) for directory in self.configured)
        yield from ((self.tree, directory) for directory in self.standard)


def _at(tree: Tree, path: str) -> tuple[str, Node] | None:
    place = resolved(tree, path)
    node = None if place is None else tree.node(place[1:])
    return None if place is None or node is None or node.type != "file" else (place, node)
