"""The options of every command that speaks to a registry."""

from argparse import Namespace
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Parser

if TYPE_CHECKING:
    from formation.progress import Progress
    from formation.registry.registry import Registry


def add_registry_options(parser: Parser) -> None:
    """Adds them."""
    parser.add_argument("--plain-http", action="store_true", help="speak to registries without TLS")
    parser.add_argument(
        "--ca",
        metavar="FILE",
        action="append",
        default=[],
        help="trust this certificate authority too (also: FORMATION_CA_FILE, certs.d/HOST of Docker and Podman)",
    )


def open_registry(arguments: Namespace, context: Context, progress: "Progress") -> "Registry":
    """The client as the options and the environment say; a context manager."""
    from formation.network.long_waits import LongWaits
    from formation.registry.registry import Registry
    from formation.registry.settings import Settings

    settings = Settings(
        environment=context.environment,
        plain_http=arguments.plain_http,
        certificates=tuple(context.path(name) for name in arguments.ca),
    )
    registry = Registry(settings, progress)
    registry.run.long_waits = LongWaits(progress.note)
    return registry
