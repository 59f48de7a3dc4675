"""The rules about what RUN does with packages, FL020 to FL024, in the stages that are shipped."""

import re
from collections.abc import Iterator, Sequence

from formation.dataclass import dataclass
from formation.lint.dockerfile import Dockerfile
from formation.lint.dockerfile_syntax import Instruction
from formation.lint.findings import Finding, finding
from formation.lint.shell import Command, Word, commands_of
from formation.lint.text import Edit, Text, shown

_LISTS = "/var/lib/apt/lists"
_WITH_VALUE = frozenset({"-o", "--option", "-t", "--target-release", "--default-release", "-c", "--config-file", "-a"})
_NO_RECOMMENDS = re.compile(r"(?i)(?:-o|--option=)?apt::install-recommends=[\"']?(?:false|0|no)")
_CACHE_MOUNT = re.compile(r"(?=.*type=cache)(?=.*(?:target|dst|destination)=/var/lib/apt(?:/lists)?/?(?:,|\Z))")


@dataclass(frozen=True, slots=True)
class Apt:
    """A call of apt-get."""

    verb: Word
    """install, update, …"""
    packages: tuple[Word, ...]
    recommends: bool
    """Whether it installs recommended packages too, as far as its own options say."""


def package_findings(text: Text, file: Dockerfile) -> Iterator[Finding]:
    """Findings about the RUNs of the stages that are shipped."""
    for stage in file.shipped:
        for instruction in stage.instructions:
            if instruction.keyword == "RUN":
                yield from _run(text, instruction)


def _run(text: Text, instruction: Instruction) -> Iterator[Finding]:
    commands = commands_of(instruction)
    calls = [apt for command in commands if (apt := _apt(command)) is not None]
    installs = [call for call in calls if call.verb.text == "install" and call.packages]
    cached = any(flag.name == "mount" and _CACHE_MOUNT.match(flag.value) for flag in instruction.flags)
    updates = any(call.verb.text == "update" for call in calls)
    if updates and not cached and not any(map(_cleans, commands)):
        first = next(call for call in calls if call.verb.text == "update")
        edits = _clean(instruction, commands)
        yield finding(text, first.verb.start, "FL020", "what apt-get update downloads stays in the layer", edits=edits)
    for call in installs:
        if call.recommends:
            end = call.verb.end
            edits = (Edit(end, end, " --no-install-recommends"),) if end > call.verb.start else ()
            yield finding(text, call.verb.start, "FL021", "apt-get install takes recommended packages too", edits=edits)
        for word in call.packages:
            name, equals, version = word.text.partition("=")
            if equals and "$" not in version:
                message = f"{shown(name)} is pinned to {shown(version)}, which the archive drops with the next patch"
                yield finding(text, word.start, "FL022", message)
    for call in calls:
        if call.verb.text in ("upgrade", "dist-upgrade", "full-upgrade"):
            yield finding(text, call.verb.start, "FL023", f"apt-get {call.verb.text} changes what the base brought")
    local = [all(word.text.startswith(("./", "/")) for word in call.packages) for call in installs]
    if installs and not updates and not cached and not all(local):
        yield finding(text, installs[0].verb.start, "FL024", "apt-get install without apt-get update in the same RUN")


def _apt(command: Command) -> Apt | None:
    """`command` as a call of apt-get or apt; None when it is none."""
    if command.program not in ("apt-get", "apt"):
        return None
    words: list[Word] = []
    recommends, skip = True, False
    for word in command.arguments:
        if word.text == "--no-install-recommends" or _NO_RECOMMENDS.match(word.text):
            recommends = False
        if not skip and not word.text.startswith("-") and not word.text.startswith((">", "<", "2>")):
            words.append(word)
        skip = not skip and word.text in _WITH_VALUE
    return Apt(words[0], tuple(words[1:]), recommends) if words else None


def _cleans(command: Command) -> bool:
    if command.program == "rm":
        return any(word.text.startswith((_LISTS, "/var/lib/apt/*")) for word in command.arguments)
    return command.program == "find" and any(word.text.startswith(_LISTS) for word in command.arguments)


def _clean(instruction: Instruction, commands: Sequence[Command]) -> tuple[Edit, ...]:
    """Ends the RUN with the cleaning; nothing where its end may not be the end of a script."""
    value = instruction.value
    script = value.text.rstrip()
    last = commands[-1].program if commands else ""
    plain = instruction.words is None and not instruction.heredocs and "#" not in script and "<<" not in script
    if not plain or not script or script[-1] in ";&|\\" or last in ("fi", "done", "esac", "true", "exit", "exec"):
        return ()
    end = value.offset(len(script) - 1) + 1
    return (Edit(end, end, f" && rm -rf {_LISTS}/*"),)
