"""Whether the programs and libraries that a service brings can run in its image, told before anything is built."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from formation.build.loader import Loader
from formation.build.service_tree import Node, Tree, found
from formation.contents.elf import Elf
from formation.dataclass import dataclass, field
from formation.definition.service_values import CollectedFile, Kind
from formation.errors import FormationError


@dataclass(frozen=True, slots=True)
class Having:
    """Which packages have what is missing."""

    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Library or program → packages; what none is known to have is not in it."""
    unknown: str | None = None
    """Why nobody could tell more; None: there is no more to tell."""


Providers = Callable[[Sequence[str]], Having]
"""Libraries and programs → the packages of the service's archives that have each. Raises FormationError when nobody can
tell."""

BRING = "add the package that has it to `packages:`"
EMPTY = "is empty"
"""The reason for a program of no bytes."""
_LINE = 512
"""Bytes of a script's first line that are looked at; Linux reads 256 (BINPRM_BUF_SIZE)."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why one file cannot run."""

    path: str
    """In the image."""
    reason: str
    """The end of a sentence that begins with the file's name."""
    hint: str | None = None
    lacks: str | None = None
    """The name of the library or program that is missing, when that is what is wrong."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The image that the files come into."""

    base: str
    """Its name, for messages."""
    architecture: str
    """Debian's name."""
    loader: Loader
    search: tuple[str, ...]
    """Directories of PATH."""
    built_by: str | None = None
    """The service's build command; None: it says none."""
    libraries: frozenset[str] = field(default_factory=frozenset)
    """Names of the files that the service brings: where its own libraries are may be known to the program alone."""

    @property
    def tree(self) -> Tree:
        """All that the image will have."""
        return self.loader.tree


def check_programs(files: Iterable[CollectedFile], around: Surroundings) -> tuple[Wrong, ...]:
    """What is wrong with each of `files`, in their order; nothing for data, object files and static programs."""
    return tuple(wrong for file in files if file.kind is Kind.FILE for wrong in _check(file, around))


def _check(file: CollectedFile, around: Surroundings) -> Iterator[Wrong]:
    node = around.tree.node(file.path.lstrip("/"))
    if node is not None and node.elf is not None:
        yield from _check_elf(file.path, node.elf, around)
    elif file.mode & 0o111:
        yield from _check_script(file, around)


def _check_elf(path: str, elf: Elf, around: Surroundings) -> Iterator[Wrong]:
    if elf.type not in ("executable", "shared"):
        return
    if elf.problem:
        yield Wrong(path, f"is a damaged ELF file: {elf.problem}", "build it again")
        return
    if elf.architecture != around.architecture:
        its = elf.architecture or f"machine {elf.machine} of the ELF specification"
        hint = f"build it for {around.architecture}, or leave only {its} in `architectures:`"
        yield Wrong(path, f"is for {its}, and the image is for {around.architecture}", hint)
        return
    if elf.interpreter:
        there = found(around.tree, elf.interpreter)
        if there is None or there.type != "file":
            yield _no_interpreter(path, elf, around)
            return
    versions = dict(elf.requires)
    for name in elf.needed:
        library = around.loader.find(name, elf, path)
        if library is not None:
            yield from _check_versions(path, name, library, versions.get(name, ()), around)
        elif elf.interpreter or name not in around.libraries:
            yield _no_library(path, name, around)


def _no_interpreter(path: str, elf: Elf, around: Surroundings) -> Wrong:
    if "ld-musl" in elf.interpreter:
        hint = "build it for glibc (…-linux-gnu), or link it statically"
        return Wrong(path, f"is linked with musl, whose loader {elf.interpreter} {around.base} does not have", hint)
    reason = f"needs the loader {elf.interpreter}, which {around.base} does not have"
    return Wrong(path, reason, "link it statically, or take a base that has it")


def _no_library(path: str, name: str, around: Surroundings) -> Wrong:
    if name.rpartition("/")[2] in around.libraries:
        first = around.loader.standard[0]
        reason = f"needs {name}, which the service brings where the loader does not look"
        return Wrong(path, reason, f"put it into {first}, link with -Wl,-rpath, or set LD_LIBRARY_PATH")
    reason = f"needs {name}, which neither {around.base} nor the service's packages have"
    hint = "build it on the base's dev variant, link it statically, or bring the library with it"
    return Wrong(path, reason, hint, name)


def _check_versions(
    path: str, name: str, library: tuple[str, Node], needed: Iterable[str], around: Surroundings
) -> Iterator[Wrong]:
    place, node = library
    # A library without any versions is taken as it is, with a warning (glibc's dl-version.c).
    if node.elf is None or not node.elf.provides:
        return
    missing = [version for version in needed if version not in node.elf.provides]
    if not missing:
        return
    highest = max(missing, key=_numbers)
    family = highest.rpartition("_")[0]
    has = [each for each in node.elf.provides if each.rpartition("_")[0] == family and _numbers(each)[0]]
    up_to = f", which ends with {max(has, key=_numbers)}" if has else ""
    with_what = "run its `build:`" if around.built_by else "build it"
    yield Wrong(
        path,
        f"needs {highest} of {name}, and {around.base} has {place}{up_to}",
        f"{with_what} on the base's dev variant, or on a release that is not newer than the base",
    )


def _numbers(version: str) -> tuple[bool, tuple[int, ...]]:
    """Orders GLIBC_2.9 before GLIBC_2.34, and both after names without a number, such as GLIBC_PRIVATE."""
    parts = version.rpartition("_")[2].split(".")
    return all(part.isdecimal() for part in parts), tuple(int(part) for part in parts if part.isdecimal())


def _check_script(file: CollectedFile, around: Surroundings) -> Iterator[Wrong]:
    if not file.size and file.path.rpartition("/")[0] in around.search:
        yield Wrong(file.path, EMPTY)
        return
    words = interpreter(file)
    if not words:
        return
    program = words[0]
    there = found(around.tree, program) if program.startswith("/") else None
    if there is None or there.type != "file":
        reason = f"begins with #!{' '.join(words)}, and neither {around.base} nor the service has {program}"
        yield Wrong(file.path, _shown(reason), *_instead(program, around))
        return
    if program.rpartition("/")[2] != "env":
        return
    named = next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)
    if named is not None and "/" not in named and _in_path(named, around) is None:
        reason = f"begins with #!{' '.join(words)}, and no directory of PATH has {named}"
        yield Wrong(file.path, _shown(reason), BRING, named)


def _shown(reason: str) -> str:
    return reason.replace("\r", "\\r")


def _instead(program: str, around: Surroundings) -> tuple[str, str | None]:
    """What to do about an interpreter that is not there, and the name to look for in the archives."""
    if program.endswith("\r"):
        return "its lines end as on Windows: save it with line feeds alone", None
    name = program.rpartition("/")[2]
    place = _in_path(name, around)
    return (BRING, name) if place is None else (f"write #!{place}", None)


def _in_path(name: str, around: Surroundings) -> str | None:
    return next((place for place, _ in in_path(name, around.tree, around.search)), None)


def in_path(name: str, tree: Tree, search: Iterable[str]) -> Iterator[tuple[str, Node]]:
    """The files called `name` in the directories `search`, in their order: paths, and what these lead to."""
    for directory in search:
        node = found(tree, f"{directory}/{name}")
        if node is not None and node.type == "file":
            yield f"{directory}/{name}", node


def interpreter(file: CollectedFile) -> list[str]:
    """The words after #! in the first line of `file`; none for anything else. Linux sees a carriage return too."""
    start = file.content
    if start is None and file.local is not None:
        try:
            with file.local.open("rb") as opened:
                start = opened.read(_LINE)
        except OSError as error:
            raise FormationError(f"cannot read {file.local}: {error.strerror}") from None
    if not start or not start.startswith(b"#!"):
        return []
    line = start[2:_LINE].partition(b"\n")[0].decode("utf-8", "surrogateescape")
    return [word for word in line.replace("\t", " ").split(" ") if word]
