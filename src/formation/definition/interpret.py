"""From a variant as written to a Variant with every default filled in."""

from collections.abc import Callable, Iterator
from pathlib import Path

from formation.definition import grammar
from formation.definition.accounts import STATIC_GROUPS
from formation.definition.audit_model import exceptions_from
from formation.definition.beside import beside
from formation.definition.checks import groups_of
from formation.definition.data_path import DataPath
from formation.definition.image_checks_model import checks_from
from formation.definition.model import BaseDefinition, FileEntry, Identity, Section, UserEntry, VariantEntry
from formation.definition.problems import Invalid, Problem
from formation.definition.sections import Part
from formation.definition.values import Directory, File, Group, ImageConfig, RunDirectory, User, Variant, variant_tag

Place = Callable[[DataPath], str]
"""`FILE:LINE` of the value at a path of the model."""

_LABELS = "org.opencontainers.image"


def variant_from(
    part: Part,
    above: ImageConfig | None,
    model: BaseDefinition,
    directory: Path,
    problems: list[Problem],
    place: Place,
) -> Variant:
    """The variant that `part` describes. `above` is the complete config of what it extends, None for runtime.

    A file that is not in `directory` becomes a problem.
    """
    section = part.section
    assert isinstance(section, Section)
    return Variant(
        name=part.name,
        extends=part.extends,
        description=section.description or model.description,
        packages=tuple(grammar.package_request(line) for line in section.packages if not line.startswith("-")),
        without=tuple(line[1:] for line in section.packages if line.startswith("-")),
        groups=groups_from(part, place),
        users=users_from(part, place),
        directories=tuple(
            Directory(entry.path, entry.owner, entry.group, entry.mode, place((*part.path, "directories", index)))
            for index, entry in enumerate(section.directories)
        ),
        files=tuple(
            _file(entry, (*part.path, "files", index), directory, problems, place)
            for index, entry in enumerate(section.files)
        ),
        config=config_from(part, above or ImageConfig(), model, place),
        only=only_of(section),
        only_places={name: place((*part.path, "only", index)) for index, name in reversed(_only_lines(section))},
        checks=checks_from(section.checks, (*part.path, "checks"), place),
        exceptions=exceptions_from(section.audit, (*part.path, "audit"), place),
    )


def only_of(section: Section) -> tuple[str, ...] | None:
    """The packages that a minimal variant takes; None for another."""
    if not isinstance(section, VariantEntry) or section.only is None:
        return None
    return tuple(dict.fromkeys(section.only))


def _only_lines(section: Section) -> list[tuple[int, str]]:
    return list(enumerate(section.only or ())) if isinstance(section, VariantEntry) else []


def _nowhere(path: DataPath) -> str:
    return ""


def groups_from(part: Part, place: Place = _nowhere) -> tuple[Group, ...]:
    """The declared groups, and those that a user without `group` brings: with the user's id, as useradd(8) does.

    Those with a fixed id come first, so that no other takes it.
    """
    groups = [
        Group(group.name, group.gid, group.system, place((*part.path, "groups", index)))
        for index, group in enumerate(part.section.groups)
    ]
    there = {group.name for group in groups} | STATIC_GROUPS.keys()
    for each in part.lineage:
        there |= groups_of(each)
    above = (group for each in part.lineage for group in groups_from(each))
    taken = {*STATIC_GROUPS.values(), *(group.gid for group in (*groups, *above))}
    for index, user in enumerate(part.section.users):
        if user.group is None and user.name not in there:
            gid = None if user.uid in taken else user.uid
            groups.append(Group(user.name, gid, user.system, place((*part.path, "users", index))))
            taken.add(gid)
    return tuple(sorted(groups, key=lambda group: group.gid is None))


def users_from(part: Part, place: Place) -> tuple[User, ...]:
    """The declared users; those with a fixed id come first, so that no other takes it."""
    users = [user_from(user, place((*part.path, "users", index))) for index, user in enumerate(part.section.users)]
    return tuple(sorted(users, key=lambda user: user.uid is None))


def user_from(entry: UserEntry, place: str) -> User:
    """The user that `entry` describes."""
    return User(
        name=entry.name,
        uid=entry.uid,
        group=entry.group or entry.name,
        groups=tuple(entry.groups),
        home=entry.home or ("/nonexistent" if entry.system else f"/home/{entry.name}"),
        shell=entry.shell or ("/usr/sbin/nologin" if entry.system else "/bin/sh"),
        system=entry.system,
        comment=entry.comment,
        place=place,
    )


def _file(entry: FileEntry, path: DataPath, directory: Path, problems: list[Problem], place: Place) -> File:
    source: Path | None = None
    if entry.source is not None:
        try:
            source = beside(directory, entry.source)
        except Invalid as error:
            problems.append(Problem((*path, "source"), error.reason, error.hint))
    content = None if entry.content is None else entry.content.encode()
    written = entry.source or ""
    return File(entry.path, entry.owner, entry.group, entry.mode, content, source, place=place(path), written=written)


def config_from(part: Part, above: ImageConfig, model: Identity, place: Place) -> ImageConfig:
    """The config of `above` with what `part` says; volumes, environment and labels are added, the rest is replaced."""
    section = part.section
    labels = {
        f"{_LABELS}.title": model.name,
        **dict(above.labels),
        f"{_LABELS}.version": variant_tag(model.version, part.name),
        **({f"{_LABELS}.description": section.description} if section.description else {}),
        **section.labels,
    }
    return ImageConfig(
        environment=tuple({**dict(above.environment), **section.environment}.items()),
        volumes=tuple(dict.fromkeys([*above.volumes, *section.volumes])),
        working_directory=section.working_directory or above.working_directory,
        user=section.user or above.user,
        entrypoint=above.entrypoint if section.entrypoint is None else tuple(section.entrypoint),
        command=above.command if section.command is None else tuple(section.command),
        stop_signal=section.stop_signal or above.stop_signal,
        labels=tuple(labels.items()),
        run_directories=tuple(_run_directories(part, above, place)),
    )


def _run_directories(part: Part, above: ImageConfig, place: Place) -> Iterator[RunDirectory]:
    section = part.section
    for directory in above.run_directories:
        if directory.path in above.volumes or section.working_directory is None:
            yield directory
    for index, path in enumerate(section.volumes):
        yield RunDirectory("volume", path, place((*part.path, "volumes", index)))
    if section.working_directory is not None:
        yield RunDirectory("working directory", section.working_directory, place((*part.path, "working_directory")))
