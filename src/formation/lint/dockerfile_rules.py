"""The rules about a service's Dockerfile, except those about its base and its packages."""

import json
import re
import shlex
from collections.abc import Callable, Iterator

from formation.lint.dockerfile import Dockerfile, Stage, arguments_of, pairs, paths_of
from formation.lint.dockerfile_syntax import Instruction
from formation.lint.findings import Finding, finding
from formation.lint.rules import Severity
from formation.lint.secrets import is_secret_file, is_secret_name, is_secret_value, secret_in
from formation.lint.shell import commands_of
from formation.lint.text import Edit, Text, shown
from formation.lint.variables import expanded

LOG_VOLUME = "/var/log/formation"

_ROOTS = frozenset({"root", "0"})
_REMOTE = re.compile(r"(?i)(?:https?://|git@|git://|ssh://)|.*\.git(?:#|\Z)")
_ARCHIVE = re.compile(r"(?i).*(?:\.tar(?:\.[a-z0-9]+)?|\.t[gbx]z2?|\.gz|\.bz2|\.xz|\.zst)\Z")
# A shell gives these a meaning; a word without them is the same in the exec form.
_SHELL = re.compile(r"[|&;<>()$`\\\"'*?\[\]#~=%!{}\n]")
_DESTINATION = re.compile(r"/+\Z")


def service_findings(text: Text, file: Dockerfile) -> Iterator[Finding]:
    """Findings about what the last stage makes of the image."""
    if not file.shipped:
        return
    yield from _user(text, file)
    yield from _health(text, file)
    yield from _forms(text, file)
    for stage in file.shipped:
        yield from _volumes(text, stage)
        yield from _modes(text, stage, file.escape)


def file_findings(text: Text, file: Dockerfile, is_plain: Callable[[str], bool]) -> Iterator[Finding]:
    """Findings about single instructions of any stage: secrets and ADD.

    `is_plain` tells of a path, as an instruction names it, whether what is there is known, and ADD would not unpack it.
    """
    for stage in file.stages:
        for instruction in (stage.source, *stage.instructions):
            if instruction.keyword in ("COPY", "ADD"):
                yield from _copied(text, instruction, is_plain, shipped=stage in file.shipped)
            yield from _written(text, instruction)


def _user(text: Text, file: Dockerfile) -> Iterator[Finding]:
    found = file.last("USER")
    if found is None:
        where = file.stages[-1].source.start
        yield finding(text, where, "FL010", "there is no USER after FROM, and the base's is root")
        return
    stage, instruction = found
    user = expanded(instruction.value.text.strip(), stage.variables, file.escape)
    if user is not None and _is_root(user):
        yield finding(text, instruction.start, "FL010", f"the service runs as {shown(user) or 'root'}")
        return
    # Docker takes an ARG without a default for nothing, and USER of nothing for root.
    unset = {name: value or "" for name, value in stage.variables.items()}
    user = expanded(instruction.value.text.strip(), unset, file.escape)
    if user is not None and _is_root(user):
        message = f"the service runs as root unless who builds sets {shown(instruction.value.text.strip())}"
        yield finding(text, instruction.start, "FL010", message)


def _is_root(user: str) -> bool:
    return user.partition(":")[0].lstrip("0") in ("", *_ROOTS)


def _health(text: Text, file: Dockerfile) -> Iterator[Finding]:
    found = file.last("HEALTHCHECK")
    if found is None:
        yield finding(
            text, file.stages[-1].source.start, "FL012", "the image has no HEALTHCHECK", fix="add HEALTHCHECK"
        )
    elif found[1].value.text.strip().upper() == "NONE":
        yield finding(text, found[1].start, "FL012", "HEALTHCHECK NONE switches the health check off")


def _forms(text: Text, file: Dockerfile) -> Iterator[Finding]:
    for keyword, other in (("ENTRYPOINT", "CMD"), ("CMD", "ENTRYPOINT")):
        found = file.last(keyword)
        if found is None or found[1].words is not None or not found[1].value.text:
            continue
        instruction = found[1]
        # An entrypoint through a shell ignores CMD, one in exec form gets it; and the other way round.
        edits = _exec_form(instruction) if file.last(other) is None else ()
        yield finding(text, instruction.start, "FL013", f"{keyword} is in shell form", edits=edits)


def _exec_form(instruction: Instruction) -> tuple[Edit, ...]:
    value = instruction.value
    if _SHELL.search(value.text) or len(value.pieces) > 1 or instruction.flags:
        return ()
    try:
        words = shlex.split(value.text)
    except ValueError:
        return ()
    if words[0] in ("exec", "cd", "set", "export", "source", ".", "umask", "ulimit", "trap"):
        return ()
    start = value.offset(0)
    return (Edit(start, start + len(value.text), json.dumps(words, ensure_ascii=False)),)


def _volumes(text: Text, stage: Stage) -> Iterator[Finding]:
    for instruction in stage.instructions:
        if instruction.keyword != "VOLUME" or instruction.onbuild:
            continue
        for path in instruction.words or instruction.value.text.split():
            if is_log_directory(path):
                yield finding(text, instruction.start, "FL042", f"{shown(path)} is not the volume {LOG_VOLUME}")


def is_log_directory(path: str) -> bool:
    """Whether `path` is for logs, and not the platform's place for them."""
    path = _DESTINATION.sub("", path) or "/"
    inside = f"{path}/".startswith((f"{LOG_VOLUME}/", "/var/log/journal/"))
    return not inside and (f"{path}/".startswith("/var/log/") or path.rpartition("/")[2] in ("log", "logs"))


def _modes(text: Text, stage: Stage, escape: str) -> Iterator[Finding]:
    """RUN chown and chmod of what a COPY before it brought."""
    brought: list[str] = []
    directory = "/"
    for instruction in stage.instructions:
        if instruction.keyword == "WORKDIR":
            path = expanded(instruction.value.text.strip(), stage.variables, escape) or "?"
            directory = _absolute(path, directory)
        elif instruction.keyword in ("COPY", "ADD"):
            sources, target = paths_of(instruction)
            target = expanded(target, stage.variables, escape) or ""
            brought += _targets(sources, _absolute(target, directory)) if target else []
        elif instruction.keyword == "RUN" and brought:
            for command in commands_of(instruction):
                if command.program not in ("chown", "chmod", "chgrp"):
                    continue
                paths = {_absolute(word.text, directory) for word in command.operands[1:]}
                for path in sorted(paths & set(brought)):
                    message = f"{command.program} of {shown(path)}, which COPY brought"
                    yield finding(text, command.start, "FL041", message)


def _targets(sources: tuple[str, ...], target: str) -> list[str]:
    # Whether `target` is a directory may depend on the base: both are meant.
    names = [source.rstrip("/").rpartition("/")[2] for source in sources]
    inside = [f"{target.rstrip('/')}/{name}" for name in names if name and name not in (".", "..")]
    return [target, *inside]


def _absolute(path: str, directory: str) -> str:
    whole = path if path.startswith("/") else f"{directory.rstrip('/')}/{path.removeprefix('./')}"
    return _DESTINATION.sub("", whole).removesuffix("/.") or "/"


def _copied(
    text: Text, instruction: Instruction, is_plain: Callable[[str], bool], *, shipped: bool
) -> Iterator[Finding]:
    sources, _ = paths_of(instruction)
    from_stage = instruction.flag("from") is not None
    if instruction.keyword == "ADD" and sources and not any(_REMOTE.match(source) for source in sources):
        archive = any(_ARCHIVE.match(source) for source in sources)
        edit = Edit(instruction.start, instruction.keyword_end, "COPY")
        unknown = any(character in source for source in sources for character in "$*?[")
        plain = {flag.name for flag in instruction.flags} <= {"chown", "chmod", "link", "exclude"}
        edits = (edit,) if plain and not archive and not unknown and all(map(is_plain, sources)) else ()
        fix = "write COPY, and unpack it with tar in a stage of its own" if archive else ""
        yield finding(text, instruction.start, "FL040", f"ADD of {shown(' '.join(sources))}", fix=fix, edits=edits)
    # A builder's files stay behind, but for the layers that a cache may publish.
    severity: Severity | None = None if shipped else "warning"
    for source in sources if not from_stage else ():
        if is_secret_file(source):
            message = f"{shown(source)} looks like a file with a secret"
            yield finding(text, instruction.start, "FL031", message, severity=severity)


def _written(text: Text, instruction: Instruction) -> Iterator[Finding]:
    named: list[tuple[str, str | None, int]] = []
    if instruction.keyword == "ARG":
        named = list(arguments_of(instruction))
    elif instruction.keyword in ("ENV", "LABEL"):
        named = list(pairs(instruction.value))
    for name, value, where in named:
        if value is not None and is_secret_name(name) and is_secret_value(value):
            yield finding(text, where, "FL030", f"{instruction.keyword} {shown(name)} has the value of a secret")
        elif instruction.keyword == "ARG" and value is None and is_secret_name(name):
            message = f"ARG {shown(name)} takes a secret, which stays in the image's history"
            yield finding(text, where, "FL030", message, fix=f"RUN --mount=type=secret,id={shown(name).lower()}")
    for part in (instruction.value, *(heredoc.body for heredoc in instruction.heredocs)):
        if found := secret_in(part.text):
            yield finding(text, part.offset(found[0]), "FL030", f"{instruction.keyword} holds {found[1]}")
