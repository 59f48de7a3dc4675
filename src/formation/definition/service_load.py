"""From the YAML of a service to a checked ServiceDefinition."""

from pathlib import Path

from formation.debian.archive import Archive
from formation.definition import checks, grammar
from formation.definition.archives import archives_from
from formation.definition.audit_model import exceptions_from
from formation.definition.data_path import DataPath
from formation.definition.identity import service_lock_digest
from formation.definition.image_checks_model import checks_from
from formation.definition.interpret import config_from, groups_from, users_from
from formation.definition.problems import Problem, definition_error
from formation.definition.sections import Part, package_lines
from formation.definition.service_model import HealthCheckEntry, ServiceFileEntry, ServiceModel
from formation.definition.service_values import HealthCheck, ServiceBuild, ServiceDefinition, ServiceFile
from formation.definition.source import Source
from formation.definition.substitution import UnknownVariable, substituted
from formation.definition.validate import Validated
from formation.definition.values import RUNTIME, Directory, ImageConfig

_OTHER_GROUPS = dict.fromkeys(("nobody", "sync", "_apt"), "nogroup")
"""Users of every Debian system whose primary group is not called as they are (base-passwd's passwd.master)."""


def service_from(file: Path, source: Source) -> ServiceDefinition:
    """The service that `source`, the content of `file`, describes. Raises DefinitionError with all that is wrong."""
    validated = Validated(source, ServiceModel)
    model = validated.model
    part = Part(RUNTIME, (), model, None, ())
    problems: list[Problem] = []
    archives = archives_from(model, file.parent, problems)
    _check(part, model, archives, problems)
    files = tuple(_file(entry, model.variables, ("files", i), problems) for i, entry in enumerate(model.files))
    if problems or validated.problems:
        located = [Problem(validated.original(each.path), each.reason, each.hint) for each in problems]
        told = [each for each in located if not _follows_from_another(each, source)]
        raise definition_error(source, [*validated.problems, *told])
    requests = tuple(grammar.package_request(line) for line in model.packages if not line.startswith("-"))
    without = tuple(line[1:] for line in model.packages if line.startswith("-"))
    own_archives = archives if model.distribution is not None or model.archives else None
    return ServiceDefinition(
        path=file.absolute(),
        name=model.name,
        version=model.version,
        description=model.description,
        base=model.base,
        architectures=tuple(model.architectures),
        archives=own_archives,
        recommends=model.recommends,
        packages=requests,
        without=without,
        groups=groups_from(part, validated.place),
        users=users_from(part, validated.place),
        directories=_directories(validated),
        files=files,
        config=config_from(part, ImageConfig(), model, validated.place),
        ports=tuple(model.ports),
        health_check=_health_check(model.health_check) if model.health_check else None,
        checks=checks_from(model.checks, ("checks",), validated.place),
        exceptions=exceptions_from(model.audit, ("audit",), validated.place),
        build=_build(model),
        digest=service_lock_digest(
            file.parent, model.base, own_archives, model.architectures, requests, without, recommends=model.recommends
        ),
        shown_path=str(file),
        lines={path: position.line for path, position in source.positions.items()},
        package_lines=package_lines([part], source),
    )


def _check(part: Part, model: ServiceModel, archives: tuple[Archive, ...], problems: list[Problem]) -> None:
    # Only the base knows its groups, so `base_accounts` checks owners and groups when it is there.
    groups = {name for user in model.users for name in (*user.groups, *([user.group] if user.group else []))}
    checks.check_accounts(part, checks.SetAside(frozenset(), frozenset(groups)), problems)
    checks.check_paths(part, problems)
    checks.check_directories(part, problems)
    suites = tuple(suite for archive in archives for suite in archive.suites)
    checks.check_packages(part, model, suites, problems)
    for index, port in enumerate(model.ports):
        if port in model.ports[:index]:
            problems.append(Problem(("ports", index), f"the port {port} is there already"))
    for index, file in enumerate(model.files):
        _check_file(file, ("files", index), model, problems)


def _follows_from_another(problem: Problem, source: Source) -> bool:
    """Whether a file lacks a source only because the one that the document gives is wrong, which is told already."""
    if problem.path[:1] != ("files",) or len(problem.path) != 2:
        return False
    entry = source.data["files"][problem.path[1]]
    return ("content" in entry) != ("source" in entry)


def _check_file(file: ServiceFileEntry, path: DataPath, model: ServiceModel, problems: list[Problem]) -> None:
    if file.ignore and not (file.source and file.source.endswith("/")):
        hint = f"write it as {file.source}/ if it is one" if file.source else None
        problems.append(Problem((*path, "ignore"), "`ignore` is for a source that is a directory", hint))
    build = _build(model)
    if file.source and build and build.makes(file.source):
        if file.variables is not None:
            reason = f"{file.source!r} comes from the build, and variables are for text in the repository"
            problems.append(Problem((*path, "variables"), reason))
        if file.ignore:
            reason = f"{file.source!r} comes from the build, where .dockerignore does not reach"
            problems.append(Problem((*path, "ignore"), reason, "let the build leave it out"))


def _directories(validated: Validated[ServiceModel]) -> tuple[Directory, ...]:
    """One that does not say whose it is belongs to the default user; one that says only the owner, to its group too."""
    model = validated.model
    user, _, group = model.user.partition(":")
    return tuple(
        Directory(
            entry.path,
            entry.owner or user,
            entry.group or _primary_group(model, entry.owner or user, group),
            entry.mode,
            validated.place(("directories", index)),
        )
        for index, entry in enumerate(model.directories)
    )


def _primary_group(model: ServiceModel, owner: str, group: str) -> str:
    """The group of `owner`; `group` is that of the default user, where `user:` says one."""
    if group and owner == model.user.partition(":")[0]:
        return group
    primary = {entry.name: entry.group or entry.name for entry in model.users}
    # A uid has no group that could be known; an engine that finds none in /etc/passwd takes gid 0.
    return primary.get(owner, "root" if owner.isdecimal() else _OTHER_GROUPS.get(owner, owner))


def _file(entry: ServiceFileEntry, shared: dict[str, str], path: DataPath, problems: list[Problem]) -> ServiceFile:
    variables = None if entry.variables is None else {**shared, **entry.variables}
    content = entry.content
    if content is not None and variables is not None:
        try:
            content = substituted(content, variables)
        except UnknownVariable as error:
            reason = f"line {error.line} of the content: {error.reason}"
            problems.append(Problem((*path, "content"), reason, error.hint))
    says_mode = "mode" in entry.model_fields_set or content is not None
    return ServiceFile(
        path=entry.path,
        owner=entry.owner,
        group=entry.group,
        mode=entry.mode if says_mode else None,
        content=None if content is None else content.encode(),
        source=entry.source,
        ignore=tuple(entry.ignore),
        variables=variables,
        data_path=path,
    )


def _health_check(entry: HealthCheckEntry) -> HealthCheck:
    return HealthCheck(tuple(entry.command), entry.interval, entry.timeout, entry.start_period, entry.retries)


def _build(model: ServiceModel) -> ServiceBuild | None:
    build = model.build
    return None if build is None else ServiceBuild(build.command, build.image, tuple(build.results))
