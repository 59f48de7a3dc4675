"""The files that a service's image gets, found on this machine when the image is built.

A definition is checked without them, because most do not exist before the service is compiled. What is found is
somebody else's: nothing outside the definition's directory may get into the image, and nothing but files, directories
and symbolic links that stay inside.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from formation.dataclass import dataclass, field
from formation.definition import path_grammar
from formation.definition.ignore import Ignored
from formation.definition.problems import Invalid, joined_error
from formation.definition.service_sources import found_source
from formation.definition.service_values import CollectedFile, Kind, ServiceDefinition, ServiceFile
from formation.definition.substitution import UnknownVariable, substituted

_MOST_TOLD = 20
"""Things that are wrong with one item of `files`; a directory may have thousands of the same kind."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a service may bring; sizes in bytes."""

    files: int = 100_000
    text: int = 16 << 20
    """A file whose variables are substituted: it is held in memory."""
    total: int = 16 << 30


def collect(service: ServiceDefinition, limits: Limits | None = None) -> tuple[CollectedFile, ...]:
    """What `service.files` stands for, sorted by path; for the same files always the same.

    Raises DefinitionError, with everything that is wrong and the line of each: a source that is missing, leads out of
    the definition's directory, is no regular file, or beyond `limits`; a variable without value; a path that two
    sources bring.
    """
    return _collected(service, service.files, limits or Limits())


def collect_file(service: ServiceDefinition, file: ServiceFile) -> tuple[CollectedFile, ...]:
    """What one of `service.files` stands for, as `collect` gives it."""
    return _collected(service, [file], Limits())


def _collected(service: ServiceDefinition, files: Iterable[ServiceFile], limits: Limits) -> tuple[CollectedFile, ...]:
    collection = _Collection(limits)
    problems: list[tuple[str, str | None]] = []
    for file in files:
        wrong: list[Invalid] = []
        try:
            for entry in _entries(service, file, limits, wrong):
                collection.add(entry)
        except Invalid as error:
            wrong.append(error)
        place = service.place((*file.data_path, "content" if file.source is None else "source"))
        problems += [(f"{place}: {error.reason}", error.hint) for error in wrong[:_MOST_TOLD]]
        if len(wrong) > _MOST_TOLD:
            problems.append((f"{place}: {len(wrong) - _MOST_TOLD} more of {file.source!r} are wrong", None))
    if problems:
        raise joined_error(problems)
    return tuple(entry for _, entry in sorted(collection.entries.items()))


@dataclass(slots=True)
class _Collection:
    """What was found until now."""

    limits: Limits
    entries: dict[str, CollectedFile] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    """Each directory above an entry → one entry below it."""
    size: int = 0

    def add(self, entry: CollectedFile) -> None:
        """Raises Invalid when the entry's path is taken, or there is too much."""
        if entry.path in self.entries:
            raise Invalid(f"the path {entry.path!r} is there already, from another item of `files`")
        if entry.path in self.parents and entry.kind is not Kind.DIRECTORY:
            raise Invalid(f"{entry.path!r} is a {entry.kind.value}, and {self.parents[entry.path]!r} is below it")
        for parent in map(str, PurePosixPath(entry.path).parents):
            above = self.entries.get(parent)
            if above is not None and above.kind is not Kind.DIRECTORY:
                raise Invalid(f"{entry.path!r} is below {parent!r}, which is a {above.kind.value}")
            self.parents.setdefault(parent, entry.path)
        self.entries[entry.path] = entry
        self.size += entry.size
        if len(self.entries) > self.limits.files:
            hint = "leave out with `ignore:` what no container needs"
            raise Invalid(f"more than {self.limits.files} files", hint)
        if self.size > self.limits.total:
            raise Invalid(f"the files are larger than {self.limits.total} bytes together")


def _entries(
    service: ServiceDefinition, file: ServiceFile, limits: Limits, wrong: list[Invalid]
) -> Iterator[CollectedFile]:
    """What `file` stands for. What cannot be taken of a directory comes into `wrong`; raises Invalid for all else."""
    if file.source is None:
        content = file.content or b""
        mode = 0o644 if file.mode is None else file.mode
        yield CollectedFile(file.path, Kind.FILE, mode, file.owner, file.group, len(content), content=content)
        return
    root = service.path.parent.resolve()
    local = found_source(root, file.source, service.build)
    if file.is_directory:
        # The first is the directory itself.
        first, *some = islice(walked := _walked(local, file, limits, wrong), 2)
        yield from chain([first], some, walked)
        if not some and not wrong and file.ignore and _names(local):
            hint = "look at its patterns; a directory that is to be empty goes under `directories:`"
            raise Invalid(f"`ignore` leaves nothing of {file.source!r}", hint)
    else:
        yield _regular(local, local.relative_to(root).as_posix(), file.path, file, limits)


def _walked(top: Path, file: ServiceFile, limits: Limits, wrong: list[Invalid]) -> Iterator[CollectedFile]:
    """The directory itself, and what is in it as far as it is neither ignored nor wrong."""
    ignored = Ignored(file.ignore)
    waiting = [""]
    yield _directory(file.path, file)
    while waiting:
        below = waiting.pop()
        try:
            names = _names(top / below)
        except Invalid as error:
            wrong.append(error)
            continue
        for name in names:
            inside = f"{below}{name}"
            stays_out = inside in ignored
            try:
                mode = _mode(top / inside)
                if not stays_out:
                    yield _inside(inside, mode, top, file, limits)
            except Invalid as error:
                wrong.append(error)
                continue
            # An exception among the patterns may bring back something inside.
            if stat.S_ISDIR(mode) and (not stays_out or ignored.has_exceptions):
                waiting.append(f"{inside}/")


def _inside(inside: str, mode: int, top: Path, file: ServiceFile, limits: Limits) -> CollectedFile:
    """The entry for what is at `inside` below the directory `top`, with its `mode` as lstat(2) gives it.

    Raises Invalid for what no image should have.
    """
    path, shown, local = f"{file.path}/{inside}", f"{file.source}{inside}", top / inside
    _check_name(inside, path, shown)
    if stat.S_ISDIR(mode):
        return _directory(path, file)
    if stat.S_ISLNK(mode):
        return CollectedFile(path, Kind.SYMLINK, 0o777, file.owner, file.group, 0, target=_target(local, top, shown))
    return _regular(local, shown, path, file, limits)


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        raise Invalid(f"cannot read the directory {str(directory)!r}: {error.strerror}") from None


def _mode(place: Path) -> int:
    try:
        return place.lstat().st_mode
    except OSError as error:
        raise Invalid(f"cannot look at '{str(place)[:200]}…': {error.strerror}") from None


def _check_name(inside: str, path: str, shown: str) -> None:
    try:
        inside.encode()
        path_grammar.path(path)
    except UnicodeEncodeError:
        raise Invalid(f"the name {os.fsencode(shown)!r} is not UTF-8", "rename the file, or `ignore:` it") from None


def _directory(path: str, file: ServiceFile) -> CollectedFile:
    mode = 0o755 if file.mode is None else searchable(file.mode)
    return CollectedFile(path, Kind.DIRECTORY, mode, file.owner, file.group, 0)


def searchable(mode: int) -> int:
    """The mode of a directory whose files have `mode`: whoever may read those may search it."""
    return (mode & 0o777) | ((mode & 0o444) >> 2)


def _target(link: Path, top: Path, shown: str) -> str:
    target = os.readlink(link)
    try:
        inside = not target.startswith("/") and (link.parent / target).resolve().is_relative_to(top)
    except (OSError, RuntimeError):
        raise Invalid(f"the symbolic link {shown!r} leads to itself") from None
    if not inside or not target.isprintable():
        reason = f"the symbolic link {shown!r} leads to {target[:200]!r}, outside the directory that is copied"
        raise Invalid(reason, "replace it by the file, or `ignore:` it")
    return target


def _regular(local: Path, shown: str, path: str, file: ServiceFile, limits: Limits) -> CollectedFile:
    status = local.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise Invalid(f"{shown!r} is not a regular file", "sockets, pipes and devices do not belong into an image")
    if not os.access(local, os.R_OK):
        raise Invalid(f"{shown!r} cannot be read", "look at who owns it")
    mode = file.mode
    if mode is None:
        # What Git keeps of a mode: the rest is the umask of whoever checked it out.
        mode = 0o755 if status.st_mode & 0o111 else 0o644
    if file.variables is None:
        return CollectedFile(path, Kind.FILE, mode, file.owner, file.group, status.st_size, local=local)
    content = _substituted(local, shown, file.variables, limits)
    return CollectedFile(path, Kind.FILE, mode, file.owner, file.group, len(content), content=content)


def _substituted(local: Path, shown: str, variables: Mapping[str, str], limits: Limits) -> bytes:
    with local.open("rb") as opened:
        data = opened.read(limits.text + 1)
    if len(data) > limits.text:
        raise Invalid(f"{shown!r} is larger than {limits.text} bytes, too large for variables")
    try:
        return substituted(data.decode(), variables).encode()
    except UnicodeDecodeError:
        raise Invalid(f"{shown!r} is not text in UTF-8, and has variables") from None
    except UnknownVariable as error:
        raise Invalid(f"{shown}:{error.line}: {error.reason}", error.hint) from None
