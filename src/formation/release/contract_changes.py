"""What of a contract is not as before. Pure: from two contracts to changes."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from formation.contract.promise import Contract, DirectoryPromise, FilePromise, UserPromise
from formation.release import meaning
from formation.release.changes import Change, Topic, configured


def contract_changes(old: Contract, new: Contract) -> Iterator[Change]:
    """Each thing besides packages and files that `new` promises otherwise than `old`, topic by topic.

    An attribute of a user, group or file that only one of them states (None in the other) is no change. Of what runs,
    and as whom, the side that states nothing has nothing: whoever makes the contract fills in what stands for that. Two
    ways to write one thing are no change.
    """
    yield from _records(
        "user",
        {each.name: _user(each) for each in old.users},
        {each.name: _user(each) for each in new.users},
    )
    yield from _records(
        "group",
        {each.name: {"gid": each.gid} for each in old.groups},
        {each.name: {"gid": each.gid} for each in new.groups},
    )
    yield from _records(
        "directory",
        {each.path: _directory(each) for each in old.directories},
        {each.path: _directory(each) for each in new.directories},
    )
    yield from _records(
        "file", {each.path: _file(each) for each in old.files}, {each.path: _file(each) for each in new.files}
    )
    yield from _values("environment", dict(old.environment), dict(new.environment))
    yield from _names("volume", map(meaning.directory, old.volumes), map(meaning.directory, new.volumes))
    yield from _names("port", map(meaning.port, old.ports), map(meaning.port, new.ports))
    yield from _values("label", dict(old.labels), dict(new.labels))
    yield from _configuration(old, new)
    yield from _names("command", old.commands, new.commands)
    yield from _names("library", (each.name for each in old.sonames), (each.name for each in new.sonames))
    before = {each.name: each.versions for each in old.sonames}
    for library in new.sonames:
        if library.name in before:
            yield from _names(
                "symbol version",
                (f"{library.name} {version}" for version in before[library.name]),
                (f"{library.name} {version}" for version in library.versions),
            )


def _file(file: FilePromise) -> dict[str, Any]:
    return {
        "owner": file.owner,
        "group": file.group,
        "mode": None if file.mode is None else f"{file.mode:04o}",
        "content": None if file.sha256 is None else file.sha256[:12],
    }


def _user(user: UserPromise) -> dict[str, Any]:
    return {
        "uid": user.uid,
        "group": user.group,
        "groups": " ".join(user.groups),
        "home": user.home,
        "shell": user.shell,
    }


def _directory(directory: DirectoryPromise) -> dict[str, Any]:
    return {"owner": directory.owner, "group": directory.group, "mode": f"{directory.mode:04o}"}


def _configuration(old: Contract, new: Contract) -> Iterator[Change]:
    same_user = meaning.identity(old, old.user or "") == meaning.identity(new, new.user or "")
    for name, before, after in (
        ("user", old.user, old.user if old.user and new.user and same_user else new.user),
        ("working directory", *(meaning.directory(side.working_directory or "") for side in (old, new))),
        ("entrypoint", _words(old.entrypoint), _words(new.entrypoint)),
        ("command", _words(old.command), _words(new.command)),
        ("stop signal", *(meaning.stop_signal(side.stop_signal or "") for side in (old, new))),
    ):
        yield from configured(name, before or "", after or "")


def _words(words: tuple[str, ...] | None) -> str | None:
    return None if words is None else shlex.join(words)


def _records(
    topic: Topic, old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]
) -> Iterator[Change]:
    """Named things with attributes. One that is None on a side says nothing."""
    yield from _names(topic, old, new)
    for name, before in sorted(old.items()):
        for attribute, value in before.items() if name in new else ():
            now = new[name][attribute]
            if value is not None and now is not None and value != now:
                yield Change(topic, "changed", name, attribute, str(value), str(now))


def _values(topic: Topic, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield Change(topic, "removed", name, "", old[name])
        elif name not in old:
            yield Change(topic, "added", name, "", "", new[name])
        elif old[name] != new[name]:
            yield Change(topic, "changed", name, "", old[name], new[name])


def _names(topic: Topic, old: Iterable[str], new: Iterable[str]) -> Iterator[Change]:
    before, after = set(old), set(new)
    yield from (Change(topic, "removed", name) for name in sorted(before - after))
    yield from (Change(topic, "added", name) for name in sorted(after - before))
