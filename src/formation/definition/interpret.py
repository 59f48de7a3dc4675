"""From a variant as written to a Variant with every default filled in."""

from pathlib import Path

from formation.definition import grammar
from formation.definition.accounts import STATIC_GROUPS
from formation.definition.beside import beside
from formation.definition.checks import groups_of
from formation.definition.model import BaseDefinition, FileEntry, Identity, Section, UserEntry
from formation.definition.problems import Invalid, Problem
from formation.definition.sections import Part
from formation.definition.source import DataPath
from formation.definition.values import Directory, File, Group, ImageConfig, User, Variant, variant_tag

_LABELS = "org.opencontainers.image"


def variant_from(
    part: Part, above: ImageConfig | None, model: BaseDefinition, directory: Path, problems: list[Problem]
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
        groups=groups_from(part),
        users=tuple(user_from(user) for user in section.users),
        directories=tuple(Directory(entry.path, entry.owner, entry.group, entry.mode) for entry in section.directories),
        files=tuple(
            _file(entry, (*part.path, "files", index), directory, problems) for index, entry in enumerate(section.files)
        ),
        config=config_from(part, above or ImageConfig(), model),
    )


def groups_from(part: Part) -> tuple[Group, ...]:
    """The declared groups, then those that a user without `group` brings, with the user's id as useradd(8) does."""
    declared = [Group(group.name, group.gid, group.system) for group in part.section.groups]
    there = {group.name for group in declared} | STATIC_GROUPS.keys()
    for each in part.lineage:
        there |= groups_of(each)
    taken = {group.gid for group in declared}
    for user in part.section.users:
        if user.group is None and user.name not in there:
            declared.append(Group(user.name, None if user.uid in taken else user.uid, user.system))
    return tuple(declared)


def user_from(entry: UserEntry) -> User:
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
    )


def _file(entry: FileEntry, path: DataPath, directory: Path, problems: list[Problem]) -> File:
    source: Path | None = None
    if entry.source is not None:
        try:
            source = beside(directory, entry.source)
        except Invalid as error:
            problems.append(Problem((*path, "source"), error.reason, error.hint))
    content = None if entry.content is None else entry.content.encode()
    return File(entry.path, entry.owner, entry.group, entry.mode, content, source)


def config_from(part: Part, above: ImageConfig, model: Identity) -> ImageConfig:
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
    )
