"""The section `checks` of a definition, looked at in an image. Only command checks run it, through a Runner."""

import re
from collections.abc import Iterator
from typing import Protocol

from formation.contents.merge import Node
from formation.contents.reading import read_content
from formation.contract.facts import Facts
from formation.contract.findings import Finding
from formation.contract.kept_promises import owner_number
from formation.dataclass import dataclass
from formation.definition.image_checks import Checks, CommandCheck, FileCheck
from formation.errors import FormationError


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command in a container ended."""

    exit_code: int
    output: str
    """stdout and stderr, as they came."""


class Runner(Protocol):
    """Runs commands in containers of one image: an engine, or a sandbox."""

    def run(self, command: tuple[str, ...], user: str | None) -> Ran:
        """Runs `command` in a new container, without network. Raises FormationError when that cannot be done."""


def check_definition(checks: Checks, facts: Facts, runner: Runner | None) -> Iterator[Finding]:
    """What of `checks` fails. Without a `runner`, command checks are left out, and one warning says so.

    What is in PATH and which libraries are there belongs to the contract.
    """
    for file in checks.files:
        yield from _file(file, facts)
    for what, pairs, has in (
        ("environment variable", checks.environment, facts.environment),
        ("label", checks.labels, facts.image.config.execution.labels),
    ):
        for name, pattern in pairs:
            if name not in has:
                message = f"there is no {what} {name}"
                yield Finding("checks", "check-metadata", message, place=checks.place)
            elif not re.fullmatch(pattern, has[name]):
                message = f"the {what} {name} is {has[name]!r}, which {pattern!r} does not match"
                yield Finding("checks", "check-metadata", message, place=checks.place)
    if checks.commands and runner is None:
        count = len(checks.commands)
        were = "check was" if count == 1 else "checks were"
        message = f"{count} command {were} left out: --run docker or --run podman runs {'it' if count == 1 else 'them'}"
        yield Finding("checks", "check-not-run", message, "warning", place=checks.place)
    elif runner is not None:
        for command in checks.commands:
            yield from _command(command, runner)


def _file(check: FileCheck, facts: Facts) -> Iterator[Finding]:
    path = facts.files.resolve(check.path, follow_last=check.type != "symlink")
    node = None if path is None else facts.files.get(path)

    def finding(id_: str, message: str) -> Finding:
        layer = None if node is None else node.layer
        return Finding("checks", f"check-{id_}", message, path=check.path, layer=layer, place=check.place)

    if not check.exists:
        if node is not None:
            yield finding("file-exists", f"{check.path} is there, and must not be")
        return
    if node is None:
        yield finding("file-missing", f"{check.path} is not there")
        return
    if check.type is not None and node.entry.type != check.type:
        yield finding("file-type", f"{check.path} is a {node.entry.type}, not a {check.type}")
    if check.mode is not None and node.entry.mode != check.mode:
        yield finding("file-mode", f"{check.path} has the mode {node.entry.mode:04o}, not {check.mode:04o}")
    for what, has, wanted, numbers in (
        ("owner", node.entry.uid, check.owner, facts.uids),
        ("group", node.entry.gid, check.group, facts.gids),
    ):
        if wanted is not None and owner_number(wanted, numbers) != has:
            yield finding("file-owner", f"{check.path} has the {what} {has}, not {wanted}")
    if check.contains or check.lacks:
        for message in _content(check, node, facts):
            yield finding("file-content", message)


def _content(check: FileCheck, node: Node, facts: Facts) -> Iterator[str]:
    if node.entry.type != "file":
        yield f"{check.path} is a {node.entry.type}, and has no content"
        return
    try:
        text = read_content(facts.image, facts.files, check.path).decode("utf-8", "replace")
    except FormationError as error:
        yield f"the content of {check.path} cannot be read: {error.message}"
        return
    yield from (
        f"{check.path} does not have {pattern!r}"
        for pattern in check.contains
        if not re.search(pattern, text, re.MULTILINE)
    )
    yield from (
        f"{check.path} has {pattern!r}, and must not"
        for pattern in check.lacks
        if re.search(pattern, text, re.MULTILINE)
    )


def _command(check: CommandCheck, runner: Runner) -> Iterator[Finding]:
    shown = " ".join(check.run)[:200]

    def finding(message: str) -> Finding:
        return Finding("checks", "check-command", message, place=check.place)

    try:
        ran = runner.run(check.run, check.user)
    except FormationError as error:
        yield finding(f"`{shown}` could not be run: {error.message}")
        return
    if ran.exit_code != check.exit_code:
        last = ran.output.strip().rpartition("\n")[2][:200]
        yield finding(f"`{shown}` ended with {ran.exit_code}, not {check.exit_code}{f': {last}' if last else ''}")
    for pattern in check.output:
        if not re.search(pattern, ran.output, re.MULTILINE):
            yield finding(f"`{shown}` does not print {pattern!r}")
    for pattern in check.no_output:
        if re.search(pattern, ran.output, re.MULTILINE):
            yield finding(f"`{shown}` prints {pattern!r}, and must not")
