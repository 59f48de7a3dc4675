"""`formation render`: the Dockerfile and compose file for those who build with Docker."""

import difflib
from argparse import Namespace
from pathlib import Path

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "render",
        "write the Dockerfile and docker-compose.yml of a definition",
        """
        Writes Dockerfile and docker-compose.yml beside formation.yaml, made from it: `docker build` and `docker-compose
        build` there give an image that keeps the same contract, for those who have Docker and not Formation. Edit the
        definition, not these files.

        --check writes nothing: exit code 1 means that the files are not what the definition says, and the difference is
        printed.
        """,
        """
        formation render docker/base
        formation render docker/base --check     # in CI
        cd docker/base && docker build -t formation/base:latest .
        """,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help="directory of formation.yaml (default: the current one)",
    )
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--check", action="store_true", help="write nothing; exit 1 when the files are stale")
    writing.add_argument("--dry-run", action="store_true", help="write nothing; say what would change")
    parser.add_argument("--json", action="store_true", help="print which files changed as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.build.render import render_compose, render_dockerfile
    from formation.definition.load import load_definition
    from formation.files import write_bytes

    directory = context.path(arguments.directory)
    definition = load_definition(directory)
    wanted = {"Dockerfile": render_dockerfile(definition), "docker-compose.yml": render_compose(definition)}
    found = {name: _read(directory / name) for name in wanted}
    stale = [name for name in wanted if found[name] != wanted[name]]
    write = not (arguments.check or arguments.dry_run)
    for name in stale if write else ():
        write_bytes(directory / name, wanted[name].encode())
    if arguments.json:
        context.write_json({"directory": str(directory), "stale": stale, "written": stale if write else []})
    elif arguments.check:
        context.write("".join(_difference(name, found[name] or "", wanted[name]) for name in stale))
    else:
        verb = "wrote" if write else "would write"
        context.write("".join(f"{verb} {directory / name}\n" for name in stale) or "the files are up to date\n")
    return 1 if arguments.check and stale else 0


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
