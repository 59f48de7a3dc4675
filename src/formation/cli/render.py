"""`formation render`: the Dockerfile and compose file for those who build with Docker."""

import difflib
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command

if TYPE_CHECKING:
    from formation.build.compose import Composed


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "render",
        "write the Dockerfile and docker-compose.yml of a definition",
        """
        Writes Dockerfile and .dockerignore beside a formation.yaml, and docker-compose.yml beside that of a base:
        `docker build` there gives an image that keeps the same contract, for those who have Docker and not Formation.
        Edit the definition, not these files. What `leave_out:` names stays where the starting image has it.
        What somebody else wrote, which does not begin as they do, is overwritten only by --force.

        `formation render compose DIR...` writes one compose file that runs services as in production: read-only root
        file system, no capabilities, logs and state in volumes. A directory that is called compose is ./compose.

        --check writes nothing: exit code 1 means that the files are not what the definition says, and the difference is
        printed.
        """,
        """
        formation render docker/base
        formation render docker/base --check     # in CI
        cd docker/base && docker build -t formation/base:latest .
        formation render compose services/form-dns services/form-api && docker-compose up -d
        """,
    )
    parser.add_argument(
        "directories",
        nargs="*",
        default=["."],
        metavar="DIR",
        help="directory of formation.yaml (default: the current one); or compose, and directories of services",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="the file that `render compose` writes, or - (default: docker-compose.yml)"
    )
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--check", action="store_true", help="write nothing; exit 1 when the files are stale")
    writing.add_argument("--dry-run", action="store_true", help="write nothing; say what would change")
    parser.add_argument("--force", action="store_true", help="overwrite files that somebody wrote")
    parser.add_argument("--json", action="store_true", help="print which files changed as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.errors import UsageError

    first, *others = arguments.directories
    if first == "compose":
        if arguments.output == "-":
            if arguments.check or arguments.dry_run or arguments.json:
                raise UsageError("--output - is for writing", hint="name a file: --output FILE")
            context.write(_compose(others or ["."], context.directory, context))
            return 0
        output = context.path(arguments.output or "docker-compose.yml")
        wanted = {output.name: _compose(others or ["."], output.parent, context)}
        return _write(output.parent, wanted, arguments, context)
    if others or arguments.output:
        what = f"one directory, not {1 + len(others)}" if others else "no --output"
        raise UsageError(
            f"formation render takes {what}", hint="formation render compose DIR... writes one file for all"
        )
    directory = context.path(first)
    return _write(directory, _files(directory), arguments, context)


def _files(directory: Path) -> Mapping[str, str]:
    """What is made from the definition in `directory`, by name."""
    from formation.definition.load import load_any
    from formation.definition.service_values import ServiceDefinition

    definition = load_any(directory)
    if isinstance(definition, ServiceDefinition):
        from formation.build.render_service import render_service

        return render_service(definition)
    from formation.build.render import render_base

    return render_base(definition)


def _compose(directories: list[str], beside: Path, context: Context) -> str:
    from formation.build.compose import render_services

    return render_services([_composed(context.path(directory), beside) for directory in directories])


def _composed(directory: Path, beside: Path) -> "Composed":
    from formation.build.compose import Composed
    from formation.definition.load import load_service

    service = load_service(directory)
    relative = Path(os.path.relpath(service.path.parent.resolve(), beside.resolve())).as_posix()
    # Without ./ Compose takes a word with a colon for the address of a repository.
    return Composed(service, relative if relative.startswith(".") else f"./{relative}")


def _write(directory: Path, wanted: Mapping[str, str], arguments: Namespace, context: Context) -> int:
    """Brings the files of `directory` to the texts that are `wanted`, or tells what that would change."""
    from formation.files import output_file

    found = {name: _read(directory / name) for name in wanted}
    stale = [name for name in wanted if found[name] != wanted[name]]
    write = not (arguments.check or arguments.dry_run)
    if not arguments.check and not arguments.force:
        _refuse_foreign([directory / name for name in stale if _is_foreign(directory / name, found[name])])
    for name in stale if write else ():
        with output_file(directory / name) as file:
            file.write(wanted[name].encode())
    if arguments.json:
        context.write_json({"directory": str(directory), "stale": stale, "written": stale if write else []})
    elif arguments.check:
        context.write("".join(_difference(name, found[name] or "", wanted[name]) for name in stale))
    else:
        verb = "wrote" if write else "would write"
        context.write("".join(f"{verb} {directory / name}\n" for name in stale) or "the files are up to date\n")
    return 1 if arguments.check and stale else 0


def _is_foreign(path: Path, text: str | None) -> bool:
    """Whether somebody wrote the file. A device such as /dev/stdout has no content to lose."""
    from formation.build.dockerfile_steps import HEADER

    return text is not None and path.is_file() and not text.startswith(HEADER)


def _refuse_foreign(paths: Sequence[Path]) -> None:
    """Raises UsageError when there are any: work of somebody would be gone."""
    from formation.errors import UsageError, quoted

    if paths:
        verb, them = ("were", "them") if len(paths) > 1 else ("was", "it")
        raise UsageError(
            f"{', '.join(map(str, paths))} {verb} not written by formation render, and would be overwritten",
            hint=f"move {them} away: mv {quoted(paths[0])} {quoted(f'{paths[0]}.old')}; or overwrite {them}: --force",
        )


def _read(path: Path) -> str | None:
    """The file's text; None when it is missing. Bytes that are not UTF-8 make it differ."""
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def _difference(name: str, found: str, wanted: str) -> str:
    lines = difflib.unified_diff(
        found.splitlines(keepends=True), wanted.splitlines(keepends=True), name, f"{name} of the definition"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n" for line in lines)
