"""`formation vendor`: keeps the packages of a lock beside its definition."""

from argparse import Namespace
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_authority_option
from formation.cli.text import counted, size_text

if TYPE_CHECKING:
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.lock.model import Lock


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "vendor",
        "download the packages of a lock to keep them",
        """
        Downloads every package of formation.lock, of all variants and architectures, into a directory, and writes
        SHA256SUMS beside them. Archives drop a version soon after the next one arrives; `formation build` takes what it
        finds in the directory `vendor` beside formation.yaml before it asks an archive. Of a service these are the
        packages that it adds to its base.

        Packages that are there already are not downloaded again. Those that an earlier SHA256SUMS lists and the lock no
        longer has are removed.
        """,
        """
        formation vendor docker/base
        formation vendor docker/base --output /srv/packages && cd /srv/packages && sha256sum -c SHA256SUMS
        """,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help="directory of formation.yaml, or the file (default: the current directory)",
    )
    parser.add_argument("--output", metavar="DIR", help="where to keep them (default: vendor beside formation.yaml)")
    parser.add_argument("--offline", action="store_true", help="take packages from the store only")
    add_authority_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="write nothing; say what would change")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.definition.load import load_any
    from formation.errors import UsageError, quoted
    from formation.lock.lockfile import lock_path, read_lock
    from formation.lock.vendor import vendor, vendor_directory

    loaded = load_any(context.path(arguments.directory))
    path = lock_path(loaded.path)
    lock = read_lock(path)
    definition, reason = _packages_of(loaded, lock)
    if reason is not None:
        raise UsageError(f"{path} is stale: {reason}", hint=f"formation lock {quoted(arguments.directory)}")
    directory = context.path(arguments.output) if arguments.output else vendor_directory(definition)
    with context.progress() as progress, context.downloader(progress, offline=arguments.offline) as downloader:
        result = vendor(
            definition, lock, directory, downloader=downloader, store=context.store, dry_run=arguments.dry_run
        )
    if arguments.json:
        context.write_json(
            {
                "directory": str(directory),
                "packages": len(result.packages),
                "downloaded": [package.name for package in result.downloaded],
                "removed": list(result.removed),
                "dry_run": arguments.dry_run,
            }
        )
    else:
        size = sum(package.size for package in result.packages)
        brought, removed = ("would bring", "would remove") if arguments.dry_run else ("brought", "removed")
        context.write(
            f"{directory}: {counted(len(result.packages), 'package')}, {size_text(size)}; "
            f"{brought} {len(result.downloaded)}, {removed} {len(result.removed)}\n"
        )
    return 0


def _packages_of(loaded: "Definition | ServiceDefinition", lock: "Lock") -> "tuple[Definition, str | None]":
    """The definition as far as it is of packages, and why `lock` is not of it; None when it is.

    The base of a service is not asked for: it may be out of reach, and the packages are those of the lock anyway.
    """
    from formation.definition.service_packages import package_definition
    from formation.definition.service_values import ServiceDefinition
    from formation.lock.check import staleness
    from formation.lock.service_check import service_archives, service_staleness

    if not isinstance(loaded, ServiceDefinition):
        return loaded, staleness(loaded, lock)
    definition = package_definition(loaded, service_archives(loaded, lock))
    return definition, service_staleness(loaded, lock, {}, lambda architecture: ())
