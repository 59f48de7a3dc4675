"""Whether an image keeps a contract."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from formation.contract.facts import Facts
from formation.contract.findings import Finding, Severity
from formation.contract.promise import Contract, DirectoryPromise, FilePromise, PackagePromise
from formation.debian.version import compare
from formation.errors import MalformedError


def broken_promises(contract: Contract, facts: Facts, *, derived: bool = False) -> Iterator[Finding]:
    """Each promise of `contract` that the image of `facts` breaks.

    `derived`: the image stands on the one that promises. It may run as somebody else, run something else, describe
    itself otherwise, and have newer packages; what it inherits must be there all the same.
    """
    yield from _packages(contract, facts, derived=derived)
    yield from _accounts(contract, facts)
    for directory in contract.directories:
        yield from _path(directory, "directories", "directory", facts)
    for file in contract.files:
        yield from _file(file, facts, derived=derived)
    yield from _configuration(contract, facts, derived=derived)
    for command in contract.commands:
        if command not in facts.commands:
            yield Finding(
                "commands", "command-missing", f"no command {command!r} is in PATH", place=contract.config_place
            )
    yield from _sonames(contract, facts)


def _packages(contract: Contract, facts: Facts, *, derived: bool) -> Iterator[Finding]:
    installed = {(package.name, package.architecture): package for package in facts.packages if package.installed}
    by_name = {package.name: package for package in facts.packages if package.installed}
    for promise in contract.packages:
        found = (
            by_name.get(promise.name)
            if promise.architecture is None
            else installed.get((promise.name, promise.architecture))
        )
        if found is None:
            what = f"the package {promise.name} is not installed"
            yield Finding("packages", "package-missing", what, place=promise.place)
        elif promise.version is not None and found.version != promise.version:
            yield _other_version(promise, found.version, derived=derived)
    for name in contract.forbidden:
        if name in by_name:
            yield Finding("packages", "package-unwanted", f"the package {by_name[name]} is installed, and must not be")


def _other_version(promise: PackagePromise, version: str, *, derived: bool) -> Finding:
    assert promise.version is not None
    try:
        newer = compare(version, promise.version) > 0
    except MalformedError:
        newer = False
    severity: Severity = "warning" if derived and newer else "error"
    what = f"{promise.name} is {version}, {'newer' if newer else 'older'} than the {promise.version} that is promised"
    return Finding("packages", "package-newer" if newer else "package-older", what, severity, place=promise.place)


def _accounts(contract: Contract, facts: Facts) -> Iterator[Finding]:
    users = {user.name: user for user in reversed(facts.users)}
    groups = {group.name: group for group in reversed(facts.groups)}
    for group in contract.groups:
        found = groups.get(group.name)
        if found is None:
            yield Finding("accounts", "group-missing", f"there is no group {group.name}", place=group.place)
        elif group.gid is not None and found.gid != group.gid:
            what = f"the group {group.name} has the gid {found.gid}, not {group.gid}"
            yield Finding("accounts", "group-id", what, place=group.place)
    for promise in contract.users:
        user = users.get(promise.name)
        if user is None:
            yield Finding("accounts", "user-missing", f"there is no user {promise.name}", place=promise.place)
            continue
        for id_, what, has, promised in (
            ("user-id", "the uid", user.uid, promise.uid),
            ("user-group", "the primary group", facts.group_names.get(user.gid, str(user.gid)), promise.group),
            ("user-home", "the home directory", user.home, promise.home),
            ("user-shell", "the shell", user.shell, promise.shell),
        ):
            if promised is not None and has != promised:
                message = f"the user {promise.name} has {what} {has}, not {promised}"
                yield Finding("accounts", id_, message, place=promise.place)
        home = facts.files.find(promise.home) if promise.home else None
        if home is not None and home.entry.type != "directory":
            message = f"the home directory {promise.home} of {promise.name} is a {home.entry.type}"
            yield Finding("accounts", "user-home-type", message, place=promise.place)
        for name in promise.groups:
            member = name in groups and (promise.name in groups[name].members or groups[name].gid == user.gid)
            if not member:
                message = f"the user {promise.name} is not in the group {name}"
                yield Finding("accounts", "user-not-in-group", message, place=promise.place)


def _path(promise: DirectoryPromise | FilePromise, topic: str, type_: str, facts: Facts) -> Iterator[Finding]:
    found = facts.files.find(promise.path)

    def finding(id_: str, message: str) -> Finding:
        return Finding(
            "directories" if topic == "directories" else "files",
            f"{type_}-{id_}",
            message,
            path=promise.path,
            layer=None if found is None else found.layer,
            place=promise.place,
        )

    if found is None:
        yield finding("missing", f"there is no {type_} {promise.path}")
        return
    if found.entry.type != type_:
        yield finding("type", f"{promise.path} is a {found.entry.type}, not a {type_}")
        return
    if promise.mode is not None and found.entry.mode != promise.mode:
        yield finding("mode", f"{promise.path} has the mode {found.entry.mode:04o}, not {promise.mode:04o}")
    for id_, has, wanted, numbers, names in (
        ("owner", found.entry.uid, promise.owner, facts.uids, facts.user_names),
        ("group", found.entry.gid, promise.group, facts.gids, facts.group_names),
    ):
        if owner_number(wanted, numbers) != has:
            yield finding(id_, f"{promise.path} has the {id_} {names.get(has, has)}, not {wanted}")


def owner_number(wanted: str, numbers: Mapping[str, int]) -> int | None:
    """The id that `wanted`, a name or a decimal number, stands for; None for a name that is not there."""
    return int(wanted) if wanted.isascii() and wanted.isdigit() else numbers.get(wanted)


def _file(promise: FilePromise, facts: Facts, *, derived: bool) -> Iterator[Finding]:
    yield from _path(promise, "files", "file", facts)
    found = facts.files.find(promise.path)
    if promise.sha256 is None or found is None or found.entry.type != "file":
        return
    if found.entry.sha256 != promise.sha256:
        what = f"{promise.path} has another content than the definition gives it"
        severity: Severity = "warning" if derived else "error"
        yield Finding("files", "file-content", what, severity, promise.path, found.layer, promise.place)


def _configuration(contract: Contract, facts: Facts, *, derived: bool) -> Iterator[Finding]:
    execution = facts.image.config.execution

    def finding(id_: str, message: str, severity: Severity = "error") -> Finding:
        return Finding("configuration", id_, message, severity, place=contract.config_place)

    for name, value in contract.environment:
        if name not in facts.environment:
            yield finding("environment-missing", f"the environment has no {name}")
        elif facts.environment[name] != value and not (derived and name == "PATH" and _extends(facts, value)):
            yield finding("environment-value", f"{name} is {facts.environment[name]!r}, not {value!r}")
    for id_, what, has, promised in (
        ("volume-missing", "volume", execution.volumes, contract.volumes),
        ("port-missing", "exposed port", execution.exposed_ports, contract.ports),
    ):
        for missing in _missing(promised, has):
            yield finding(id_, f"there is no {what} {missing}")
    if derived:
        return
    for name, label in contract.labels:
        if execution.labels.get(name) != label:
            yield finding("label", f"the label {name} is {execution.labels.get(name)!r}, not {label!r}")
    expected: tuple[tuple[str, object, object, Callable[[object], object]], ...] = (
        ("user", execution.user or "root", contract.user, str),
        ("working-directory", execution.working_directory or "/", contract.working_directory, str),
        ("entrypoint", execution.entrypoint or (), contract.entrypoint, _words),
        ("command", execution.command or (), contract.command, _words),
        ("stop-signal", execution.stop_signal or "SIGTERM", contract.stop_signal, str),
    )
    for id_, set_to, wanted, shown in expected:
        if wanted is not None and set_to != wanted:
            what = id_.replace("-", " ")
            yield finding(id_, f"the {what} is {shown(set_to)}, not {shown(wanted)}")


def _words(value: object) -> object:
    return list(value) if isinstance(value, tuple) and value else "not set"


def _missing(promised: Sequence[str], has: Iterable[str]) -> Iterator[str]:
    there = set(has)
    yield from (each for each in promised if each not in there)


def _extends(facts: Facts, value: str) -> bool:
    """Whether the image's PATH has all directories of `value` in its order, beside others."""
    rest = iter(facts.environment["PATH"].split(":"))
    return all(directory in rest for directory in value.split(":"))


def _sonames(contract: Contract, facts: Facts) -> Iterator[Finding]:
    if facts.architecture is None:
        return
    there = facts.libraries.sonames(facts.architecture)
    for promise in contract.sonames:
        library = there.get(promise.name)
        if library is None:
            what = f"there is no library {promise.name} where programs look for it"
            yield Finding("libraries", "soname-missing", what, place=promise.place)
            continue
        for version in _missing(promise.versions, library.elf.provides):
            what = f"{promise.name} does not define the symbol version {version}"
            path = f"/{library.path}"
            yield Finding("libraries", "symbol-version-missing", what, path=path, place=promise.place)
