"""`formation new`: the first files of a service."""

from argparse import Namespace
from pathlib import Path

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "new",
        "write the first files of a service",
        """
        Writes services/NAME with formation.yaml, the Dockerfile and .dockerignore made from it, a start script and a
        short README. What is missing is the service: a Makefile beside these files whose first target makes
        target/release/NAME, in whatever language.

        Nothing that exists is overwritten without --force.

        A base needs no more than its formation.yaml: README.md shows one.
        """,
        """
        formation new service form-api --port 8080
        formation new service form-dns --port 53/udp --port 53/tcp --package bind9-utils
        formation new service form-dns --dry-run
        """,
    )
    parser.add_argument("kind", choices=["service"], help="what to make")
    parser.add_argument("name", metavar="NAME", help="its name: up to 55 of a-z, 0-9 and -")
    parser.add_argument("--port", action="append", default=[], metavar="PORT", help="8080 or 53/udp; may be repeated")
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="a Debian package that it needs; may be repeated",
    )
    parser.add_argument(
        "--base",
        default="formation/base:1.0.0",
        metavar="IMAGE",
        help="the image it stands on, with its version (default: formation/base:1.0.0)",
    )
    parser.add_argument(
        "--directory",
        default="services",
        metavar="DIR",
        help="where the service's directory is made (default: services)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite what exists")
    parser.add_argument("--dry-run", action="store_true", help="write nothing; say what would be written")
    parser.add_argument("--json", action="store_true", help="print the names of the files as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.build.scaffold import NewService, existing, scaffold
    from formation.errors import UsageError
    from formation.files import write_bytes

    asked = NewService(arguments.name, arguments.base, tuple(arguments.port), tuple(arguments.package))
    directory: Path = context.path(arguments.directory) / asked.name
    files = scaffold(asked, directory)
    there = existing(tuple(files), directory)
    if there and not arguments.force:
        raise UsageError(f"{directory} has {', '.join(there)} already", hint="--force overwrites them")
    for name, text in files.items() if not arguments.dry_run else ():
        write_bytes(directory / name, text.encode(), mode=0o755 if name.endswith(".sh") else 0o644)
    if arguments.json:
        written = [] if arguments.dry_run else list(files)
        context.write_json({"directory": str(directory), "files": list(files), "written": written})
    else:
        verb = "would write" if arguments.dry_run else "wrote"
        context.write("".join(f"{verb} {directory / name}\n" for name in files))
    return 0
