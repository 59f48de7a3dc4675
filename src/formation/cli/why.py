"""`formation why`: which request brought a package in."""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command

if TYPE_CHECKING:
    from formation.lock.model import Lock
    from formation.lock.why import Reason


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "why",
        "show which request pulled a package in",
        """
        Shows the way from a package in the lock to the request, or the essential package, that brought it in: each
        package with the dependency by which the next one needs it. It is the shortest way; there may be others.
        The lock of a service has only what it adds to its base: ask for the rest in the base's directory.

        A package that is not in the lock is exit code 1.
        """,
        """
        formation why libnghttp2-14 docker/base
        """,
    )
    parser.add_argument("package", metavar="PACKAGE", help="name of a binary package")
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help="directory of formation.yaml, or the file (default: the current directory)",
    )
    parser.add_argument("--json", action="store_true", help="print the ways as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.definition.load import load_any
    from formation.definition.service_packages import package_definition
    from formation.definition.service_values import ServiceDefinition
    from formation.errors import AnswerIsNo
    from formation.lock.lockfile import lock_path, read_lock
    from formation.lock.why import why

    definition = load_any(context.path(arguments.directory))
    lock = read_lock(lock_path(definition.path))
    base = None
    if isinstance(definition, ServiceDefinition):
        base, definition = definition.base, package_definition(definition, ())
    try:
        reasons = why(lock, definition, arguments.package)
    except AnswerIsNo as error:
        if arguments.json:
            context.write_json({"package": arguments.package, "reasons": []})
        if base is not None and error.hint is None:
            hint = f"it has what the service adds; for the rest ask in the directory of the definition of {base}"
            raise AnswerIsNo(error.message, hint=hint) from None
        raise
    if arguments.json:
        context.write_json({"package": arguments.package, "reasons": [_as_data(reason) for reason in reasons]})
    else:
        context.write("".join(_text(reason, lock) for reason in reasons))
    return 0


def _text(reason: "Reason", lock: "Lock") -> str:
    """Two lines: what it is, and the way."""
    package = reason.package
    of = f" of {', '.join(reason.architectures)}" if len(lock.packages) > 1 else ""
    return f"{package.name} {package.version} in {', '.join(package.variants)}{of}:\n  {reason}\n"


def _as_data(reason: "Reason") -> dict[str, Any]:
    return {
        "version": reason.package.version,
        "source": reason.package.source,
        "variants": list(reason.package.variants),
        "architectures": list(reason.architectures),
        "chain": [{"name": link.name, "because": link.because} for link in reason.chain],
        "request": reason.place,
    }
