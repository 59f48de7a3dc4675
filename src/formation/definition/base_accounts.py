"""The users and groups that a service takes from its base: nobody can check them before the base is there."""

from collections.abc import Collection, Iterator

from formation.definition.accounts import STATIC_GROUPS, STATIC_USERS
from formation.definition.data_path import DataPath
from formation.definition.problems import joined_error, nearest
from formation.definition.service_values import ServiceDefinition


def check_base_accounts(service: ServiceDefinition, users: Collection[str], groups: Collection[str]) -> None:
    """Every owner, group and default user of `service` is its own or one of the base's `users` and `groups`.

    Numbers stand for themselves. Raises DefinitionError with every name that is not there, each with file and line.
    """
    known = {
        "user": {*users, *STATIC_USERS, *(user.name for user in service.users)},
        "group": {*groups, *STATIC_GROUPS, *(group.name for group in service.groups)},
    }
    wrong: list[tuple[str, str | None]] = []
    unknown: set[str] = set()
    references = sorted(_references(service), key=lambda reference: service.line(reference[0]))
    user = (service.config.user or "root").partition(":")[0]
    wrong_user = not user.isdecimal() and user not in known["user"]
    for path, kind, name in references:
        if name.isdecimal() or name in known[kind]:
            continue
        told = unknown | ({user} if wrong_user and path != ("user",) else set())
        if name in told and path not in service.lines:
            # A directory that does not say its owner or group has those of a user that is told.
            continue
        if kind == "user":
            unknown.add(name)
        hint = nearest(name, known[kind]) or f"declare it under `{kind}s:`"
        wrong.append((f"{service.place(path)}: neither {service.base} nor this has the {kind} {name!r}", hint))
    if wrong:
        raise joined_error(wrong)


def _references(service: ServiceDefinition) -> Iterator[tuple[DataPath, str, str]]:
    """Where it is, `user` or `group`, and the name."""
    user, _, group = (service.config.user or "root").partition(":")
    yield ("user",), "user", user
    if group:
        yield ("user",), "group", group
    for index, account in enumerate(service.users):
        for name in (account.group, *account.groups):
            yield ("users", index), "group", name
    for index, directory in enumerate(service.directories):
        yield ("directories", index, "owner"), "user", directory.owner
        yield ("directories", index, "group"), "group", directory.group
    for file in service.files:
        yield (*file.data_path, "owner"), "user", file.owner
        yield (*file.data_path, "group"), "group", file.group
