"""Whether what an engine starts in a service's image is there and can be run, told before anything is built."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from formation.build.programs import BRING, EMPTY, in_path, interpreter
from formation.build.service_tree import Node, Tree, found, resolved
from formation.dataclass import dataclass
from formation.definition.problems import nearest
from formation.definition.service_values import CollectedFile, ServiceDefinition, ServiceFile
from formation.errors import quoted
from formation.oci.config import Execution

_OF_PACKAGES = frozenset({"", "/bin", "/sbin", "/usr/bin", "/usr/sbin"})


@dataclass(frozen=True, slots=True)
class Unstartable:
    """Why one program cannot be started."""

    key: str
    """Of the definition: entrypoint, command or health_check."""
    message: str
    hint: str | None = None
    lacks: str | None = None
    """The name of the program, when it is missing and a package may have it."""


@dataclass(frozen=True, slots=True)
class Started:
    """The image in which programs are started."""

    tree: Tree
    """All that it will have."""
    files: Mapping[str, CollectedFile]
    """What the service brings of that, by path."""
    search: tuple[str, ...]
    """Directories of PATH."""
    directory: str
    """The working directory."""
    comes: Callable[[str], bool]
    """Whether a program that is not there comes with a package all the same."""
    names: Callable[[], Collection[str]]
    """The programs that there are, for hints: paths, and names in PATH."""
    item: Callable[[str], ServiceFile | None]
    """The item of `files` that brings a path."""


def check_started(service: ServiceDefinition, base: Execution, started: Started) -> tuple[Unstartable, ...]:
    """What is wrong with the programs that `service` says; those of its base are the base's to check."""
    return tuple(wrong for key, program in _programs(service, base) for wrong in _check(key, program, started))


def _programs(service: ServiceDefinition, base: Execution) -> Iterator[tuple[str, str]]:
    """The keys of the definition that say what is started, and their first words."""
    config = service.config
    if config.entrypoint:
        yield "entrypoint", config.entrypoint[0]
    elif config.command and (config.entrypoint is not None or not base.entrypoint):
        # Elsewhere it is the entrypoint's arguments.
        yield "command", config.command[0]
    if service.health_check is not None:
        yield "health_check", service.health_check.command[0]


def _check(key: str, program: str, started: Started) -> Iterator[Unstartable]:
    candidates = list(_candidates(program, started))
    if not candidates:
        if not started.comes(program):
            directory, _, name = program.rpartition("/")
            lacks = name if directory in _OF_PACKAGES else None
            instead = nearest(program, started.names()) or (BRING if lacks else "bring it with `files:`")
            yield Unstartable(key, f"no such program in the image: {program}", instead, lacks)
        return
    place, node = next((each for each in candidates if each[1].mode & 0o111), candidates[0])
    file = started.files.get(resolved(started.tree, place) or place)
    if not node.mode & 0o111:
        hint = None if file is None else _executable_hint(file, started.item(file.path))
        yield Unstartable(key, f"{program} is not executable", hint)
    elif file is not None and node.elf is None:
        yield from _check_text(key, program, file, started)


def _executable_hint(file: CollectedFile, item: ServiceFile | None) -> str:
    """How `file` of `item` becomes executable. The item of a directory has one mode for all, if any."""
    if file.local is None or item is None or not item.is_directory:
        return 'write mode: "0755" for it under `files:`'
    command = f"chmod +x {quoted(file.local)}"
    return command if item.mode is None else f"leave out the `mode` of {item.path}, and {command}"


def _candidates(program: str, started: Started) -> Iterable[tuple[str, Node]]:
    if "/" not in program:
        return in_path(program, started.tree, started.search)
    path = program if program.startswith("/") else f"{started.directory.rstrip('/')}/{program}"
    node = found(started.tree, path)
    return [] if node is None or node.type != "file" else [(path, node)]


def _check_text(key: str, program: str, file: CollectedFile, started: Started) -> Iterator[Unstartable]:
    if not file.size:
        # In PATH, `check_programs` tells it.
        if file.path.rpartition("/")[0] not in started.search:
            yield Unstartable(key, f"{program} {EMPTY}")
    elif not interpreter(file):
        message = f"{program} is neither a program nor a script: it has no #! line"
        yield Unstartable(key, message, "begin it with #!/bin/sh, or what else it is written for")
