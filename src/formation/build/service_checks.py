"""The checks of a service's files against the base that they come onto."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path, PurePosixPath

from formation.build.base_files import BaseFiles
from formation.build.loader import Loader
from formation.build.programs import Having, Providers, Surroundings, Wrong, check_programs
from formation.build.service_tree import Tree, collected_nodes, over, placed
from formation.build.started import Started, Unstartable, check_started
from formation.dataclass import dataclass, field, replace
from formation.definition.problems import joined_error
from formation.definition.service_values import CollectedFile, Kind, ServiceDefinition, ServiceFile
from formation.definition.values import Group, User
from formation.entry import decode_path
from formation.errors import DefinitionError, FormationError
from formation.install.accounts import Accounts
from formation.oci.config import Execution

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines take where the image says nothing."""


@dataclass(slots=True)
class Findings:
    """What is wrong, until all of it is told."""

    problems: list[tuple[str, str | None]] = field(default_factory=list)
    """Messages that begin with FILE:LINE, and their hints."""

    @contextmanager
    def collected(self) -> Iterator[None]:
        """A DefinitionError of the block becomes a finding."""
        try:
            yield
        except DefinitionError as error:
            self.problems.append((error.message, error.hint))

    def check(self) -> None:
        """Raises DefinitionError when there is any."""
        if self.problems:
            raise joined_error(self.problems)


def check_redeclared(service: ServiceDefinition, base: BaseFiles) -> None:
    """A user or group of `service` that the base has must be the same there.

    Raises DefinitionError, with file and line, that names every other one.
    """
    passwd, group = (decode_path(base.texts.get(f"etc/{name}", b"")) for name in ("passwd", "group"))
    accounts = Accounts(passwd, group, maker=service.base)
    problems: list[tuple[str, str | None]] = []
    every: tuple[Group | User, ...] = (*service.groups, *service.users)
    for declared in every:
        try:
            if isinstance(declared, Group) and declared.name in base.groups:
                accounts.with_group(declared)
            elif isinstance(declared, User) and declared.name in base.users and declared.group in base.groups:
                accounts.with_user(replace(declared, groups=()), 0)
        except FormationError as error:
            problems.append((f"{declared.place}: {error.message}", error.hint))
    if problems:
        raise joined_error(problems)


def check_files(
    service: ServiceDefinition,
    files: Sequence[CollectedFile],
    architecture: str,
    base: BaseFiles,
    below: Execution,
    debs: Callable[[], Sequence[Path]],
    providers: Providers,
    findings: Findings,
) -> tuple[CollectedFile, ...]:
    """`files` with the paths that they have in the image; what is wrong with them is added to `findings`.

    `below` is how the base is run. `debs` gives the files of the packages that the service adds; it is called only
    when a program lacks something in the base, or is not there. Raises FormationError when a file cannot be read.
    """
    _check_directories(service, base.tree, findings)
    settled = tuple(_settled(service, files, base.tree, findings))
    variables = dict(word.partition("=")[::2] for word in below.environment) | dict(service.config.environment)

    nodes = collected_nodes(settled)

    search = _paths(variables.get("PATH", _PATH))
    packages = cache(debs)

    def check(tree: Tree) -> tuple[tuple[Wrong, ...], tuple[Unstartable, ...]]:
        whole = over(nodes, tree)
        loader = Loader(whole, tree, architecture, base.library_directories, _paths(variables.get("LD_LIBRARY_PATH")))
        own = frozenset(PurePosixPath(file.path).name for file in settled)
        built_by = service.build.command if service.build else None
        wrong = check_programs(settled, Surroundings(service.base, architecture, loader, search, built_by, own))
        directory = service.config.working_directory or below.working_directory or "/"
        by_path = {file.path: file for file in settled}
        started = Started(
            whole, by_path, search, directory, comes, lambda: _names(base, settled, search), partial(_item, service)
        )
        # A file that is told to be at a wrong place is not told to be missing as well.
        return wrong, check_started(service, below, started) if len(settled) == len(files) else ()

    def comes(program: str) -> bool:
        from formation.build.package_tree import may_bring

        return bool(packages()) and may_bring(packages(), program)

    wrong, unstartable = check(base.tree)
    if (wrong or unstartable) and (paths := packages()):
        # Not at the top: a program that finds all it needs in the base is never looked for in packages.
        from formation.build.package_tree import package_nodes

        wrong, unstartable = check(over(package_nodes(paths), base.tree))
    findings.problems += _told(service, wrong, unstartable, providers)
    return settled


def _told(
    service: ServiceDefinition, wrong: Iterable[Wrong], unstartable: Iterable[Unstartable], providers: Providers
) -> Iterator[tuple[str, str | None]]:
    """What is wrong, with file and line, and a hint each: the packages of `providers` that have what is lacking."""
    messages: list[tuple[str, Wrong | Unstartable]] = [
        *(
            (f"{place_of_file(service, each.path)}: {_source(service, each.path)} {each.reason}", each)
            for each in wrong
        ),
        *((f"{service.place((each.key,))}: {each.message}", each) for each in unstartable),
    ]
    having = _having([each.lacks for _, each in messages], providers)
    for message, each in messages:
        yield message, _hint(each.hint, each.lacks, having)
        if each.lacks is not None and each.lacks not in having.packages:
            # Why no package is named is the same for all of them.
            having = replace(having, unknown=None)


def _names(base: BaseFiles, files: Iterable[CollectedFile], search: Iterable[str]) -> list[str]:
    """The programs that there are: paths, and names in PATH."""
    places = {directory: base.merged.resolve(directory.lstrip("/")) for directory in search}
    there = [
        f"{directory}/{path.rpartition('/')[2]}"
        for directory, place in places.items()
        if place is not None
        for path in base.merged.children(place)
    ]
    own = [file.path for file in files if file.kind is not Kind.DIRECTORY and file.mode & 0o111]
    in_path = [path.rpartition("/")[2] for path in (*own, *there) if path.rpartition("/")[0] in places]
    return [*own, *there, *in_path]


def _paths(value: str | None) -> tuple[str, ...]:
    return tuple(part for part in (value or "").split(":") if part.startswith("/"))


def _having(lacks: Iterable[str | None], providers: Providers) -> Having:
    """The packages that have what is missing, as far as anybody can tell."""
    names = list(dict.fromkeys(each for each in lacks if each))
    try:
        return providers(names) if names else Having()
    except FormationError as error:
        # What is wrong is known; that nobody can say more about it must not hide it.
        return Having(unknown=f"the archives could not be asked: {error.message}")


def _hint(hint: str | None, lacks: str | None, having: Having) -> str | None:
    """What to do about what is wrong, with the packages that have what it lacks or why none is named."""
    if lacks is None:
        return hint
    if packages := having.packages.get(lacks):
        return f"add {' or '.join(packages)} to `packages:`"
    return hint if having.unknown is None else f"{hint} (no package is named: {having.unknown})"


def _settled(
    service: ServiceDefinition, files: Sequence[CollectedFile], base: Tree, findings: Findings
) -> Iterator[CollectedFile]:
    """The files where the base's own symbolic links take them: a layer that had /bin in it would replace the link."""
    taken: dict[str, str] = {}
    for file in files:
        path = placed(base, file.path)
        reason = _misplaced(file, path, base)
        if path is not None and reason is None and taken.setdefault(path, file.path) != file.path:
            reason = f"is the same place as {taken[path]}"
        if path is None or reason is not None:
            findings.problems.append((f"{place_of_file(service, file.path)}: {file.path} {reason}", None))
        else:
            yield replace(file, path=path)


def _check_directories(service: ServiceDefinition, base: Tree, findings: Findings) -> None:
    for index, directory in enumerate(service.directories):
        entry = CollectedFile(directory.path, Kind.DIRECTORY, directory.mode, directory.owner, directory.group, 0)
        reason = _misplaced(entry, placed(base, directory.path), base)
        if reason is not None:
            place = service.place(("directories", index, "path"))
            findings.problems.append((f"{place}: {directory.path} {reason}", None))


def unwritable_volumes(service: ServiceDefinition, files: Sequence[CollectedFile], base: BaseFiles) -> Iterator[str]:
    """A note on each volume that no layer has: engines make it then, and give it to root."""
    user = (service.config.user or "root").partition(":")[0]
    if user in ("root", "0"):
        return
    made = {directory.path for directory in service.directories}
    made |= {str(parent) for file in files for parent in (PurePosixPath(file.path), *PurePosixPath(file.path).parents)}
    for index, path in enumerate(service.config.volumes):
        if path not in made and base.merged.find(path) is None:
            what = f"no layer has the volume {path}, so engines give it to root, and {user} cannot write there"
            yield f"{service.place(('volumes', index))}: {what}; add {{path: {path}}} to `directories:`"


def _misplaced(file: CollectedFile, path: str | None, base: Tree) -> str | None:
    """Why `file` cannot come to `path`, as the end of a sentence that begins with its name."""
    if path is None:
        return "is below a symbolic link of the base that leads to itself"
    for parent in PurePosixPath(path).parents:
        above = base.node(str(parent).lstrip("/")) if str(parent) != "/" else None
        if above is not None and above.type != "directory":
            return f"is below {parent}, which is no directory in the base"
    there = base.node(path.lstrip("/"))
    if there is None:
        return None
    if file.kind is not Kind.DIRECTORY and there.type == "directory":
        return f"is a {file.kind.value}, and a directory in the base"
    if file.kind is Kind.DIRECTORY and there.type not in ("directory", "symlink"):
        return f"is a directory, and a {there.type} in the base"
    return None


def _item(service: ServiceDefinition, path: str) -> ServiceFile | None:
    """The item of `files` that brings `path`."""
    above = {path, *map(str, PurePosixPath(path).parents)}
    items = [file for file in service.files if file.path in above]
    names = [file for file in service.files if PurePosixPath(file.path).name == PurePosixPath(path).name]
    return max(items, key=lambda file: len(file.path)) if items else next(iter(names), None)


def place_of_file(service: ServiceDefinition, path: str) -> str:
    """`FILE:LINE` of the item of `files` that brings `path`."""
    item = _item(service, path)
    return service.place(("files",) if item is None else item.data_path)


def _source(service: ServiceDefinition, path: str) -> str:
    """What a person calls the file: its source where that is a single file, else its path in the image."""
    item = _item(service, path)
    return path if item is None or item.source is None or item.is_directory else item.source
