"""The shared libraries and commands that an image offers, found as its dynamic linker and its shell find them.

Sources: ld.so(8); Debian's glibc, which also looks into the directories of the architecture's triplet.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Final

from formation.contents.elf import Elf
from formation.contents.filesystem import Filesystem
from formation.contents.merge import Node
from formation.dataclass import dataclass
from formation.entry import decode_lines

TRIPLETS: Final = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "armhf": "arm-linux-gnueabihf",
    "i386": "i386-linux-gnu",
    "ppc64el": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
"""Debian architecture → the name of its directories below /usr/lib."""

_STANDARD = ("lib", "usr/lib", "lib64", "usr/lib64")
_MOST_CONFIGURATIONS = 100
"""Files and patterns of ld.so.conf that are followed."""
_MOST_DIRECTORIES = 1000
"""Of a PATH that are searched."""


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library that the dynamic linker finds."""

    name: str
    """By which it is found: the name of a file or link. Its soname, unless somebody made a mistake."""
    path: str
    """Of the file, links followed."""
    elf: Elf


@dataclass(frozen=True, slots=True)
class Libraries:
    """All shared libraries in the directories that the dynamic linker searches."""

    found: Mapping[tuple[str, str], Library]
    """By architecture (Debian's name) and name; the first directory wins."""
    filesystem: Filesystem

    def get(self, architecture: str, name: str) -> Library | None:
        """The library of that name for `architecture`; None when programs would not find it."""
        return self.found.get((architecture, name))

    def sonames(self, architecture: str) -> Mapping[str, Library]:
        """Soname → library, for `architecture`, sorted by soname."""
        found = (library for (machine, _), library in self.found.items() if machine == architecture)
        return {
            library.elf.soname: library
            for library in sorted(found, key=lambda library: library.elf.soname)
            if library.elf.soname == library.name
        }

    def provider(self, path: str, elf: Elf, name: str) -> Library | None:
        """What the program or library `path` gets for `name` in its NEEDED; None when it would not start."""
        architecture = elf.architecture or ""
        for directory in elf.run_path:
            place = _expanded(directory, path, architecture)
            resolved = None if place is None else self.filesystem.resolve(f"{place}/{name}")
            node = None if resolved is None else self.filesystem.get(resolved)
            found = None if node is None else self.filesystem.elf(node)
            if resolved is not None and found is not None and found.architecture == architecture:
                return Library(name, resolved, found)
        return self.get(architecture, name)


def libraries(filesystem: Filesystem) -> Libraries:
    """The shared libraries of `filesystem`."""
    found: dict[tuple[str, str], Library] = {}
    for directory in search_directories(filesystem):
        for path in filesystem.children(directory):
            name = path.rpartition("/")[2]
            if ".so" not in name:
                continue
            resolved = filesystem.resolve(path)
            target = None if resolved is None else filesystem.get(resolved)
            elf = None if target is None else filesystem.elf(target)
            if resolved is not None and elf is not None and elf.type == "shared" and elf.architecture is not None:
                found.setdefault((elf.architecture, name), Library(name, resolved, elf))
    return Libraries(found, filesystem)


def search_directories(filesystem: Filesystem) -> tuple[str, ...]:
    """The directories that the dynamic linker searches, in its order, links followed; those that are there."""
    directories = list(_configured(filesystem, "etc/ld.so.conf", set()))
    for triplet in TRIPLETS.values():
        directories += [f"lib/{triplet}", f"usr/lib/{triplet}"]
    resolved = (filesystem.resolve(directory) for directory in (*directories, *_STANDARD))
    return tuple(dict.fromkeys(path for path in resolved if path is not None and path in filesystem))


def commands(filesystem: Filesystem, search_path: str) -> Mapping[str, str]:
    """Name → path of the file, links followed, of each command that a PATH of `search_path` gives; sorted by name."""
    absolute = [directory for directory in search_path.split(":", _MOST_DIRECTORIES) if directory.startswith("/")]
    directories = [filesystem.resolve(directory) for directory in absolute[:_MOST_DIRECTORIES]]
    found: dict[str, str] = {}
    for directory in dict.fromkeys(directory for directory in directories if directory is not None):
        for path in filesystem.children(directory):
            resolved = filesystem.resolve(path)
            target = None if resolved is None else filesystem.get(resolved)
            if resolved is not None and target is not None and _is_executable(target):
                found.setdefault(path.rpartition("/")[2], resolved)
    return dict(sorted(found.items()))


def _is_executable(node: Node) -> bool:
    return node.entry.type == "file" and bool(node.entry.mode & 0o111)


def _configured(filesystem: Filesystem, path: str, seen: set[str]) -> Iterator[str]:
    """The directories that ld.so.conf and the files that it includes name."""
    if path in seen or len(seen) >= _MOST_CONFIGURATIONS:
        return
    seen.add(path)
    for raw in decode_lines(filesystem.content(path) or b""):
        line = raw.partition("#")[0].strip()
        if line.startswith("include "):
            pattern = line.removeprefix("include ").strip().lstrip("/")
            if pattern in seen or len(seen) >= _MOST_CONFIGURATIONS:
                continue
            seen.add(pattern)
            directory, _, names = pattern.rpartition("/")
            for included in filesystem.kept_below(directory):
                if fnmatch.fnmatchcase(included.rpartition("/")[2], names):
                    yield from _configured(filesystem, included, seen)
        elif line.startswith("/"):
            yield line


def _expanded(directory: str, path: str, architecture: str) -> str | None:
    """A directory of RPATH or RUNPATH with its tokens replaced; None for one that is relative."""
    origin = "/" + path.rpartition("/")[0]
    for token, value in (("ORIGIN", origin), ("LIB", f"lib/{TRIPLETS.get(architecture, '')}"), ("PLATFORM", "")):
        directory = directory.replace(f"${{{token}}}", value).replace(f"${token}", value)
    return directory if directory.startswith("/") else None
