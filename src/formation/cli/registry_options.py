"""The options of every command that speaks to a registry."""

from argparse import Namespace
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Parser

if TYPE_CHECKING:
    from pathlib import Path

    from formation.oci.reference import Reference
    from formation.progress import Progress
    from formation.registry.registry import Registry


def add_registry_options(parser: Parser) -> None:
    """Adds them."""
    parser.add_argument("--plain-http", action="store_true", help="speak to registries without TLS")
    add_authority_option(parser, " (also: FORMATION_CA_FILE, certs.d/HOST of Docker and Podman)")


def add_authority_option(parser: Parser, also: str = "") -> None:
    """Adds the one of a command that may speak to archives alone: `named_authorities` has what it names.

    `also` is the rest of its help.
    """
    parser.add_argument(
        "--ca", metavar="FILE", action="append", default=[], help=f"trust this certificate authority too{also}"
    )


def named_authorities(arguments: Namespace, context: Context) -> "tuple[Path, ...]":
    """The files of certificate authorities to trust besides the machine's; none for a command without `--ca`.

    Raises UsageError for one of ours that cannot be read: before anything is asked, for it may be needed late, or
    never. SSL_CERT_FILE is every program's, and is looked at where TLS is spoken.
    """
    if not hasattr(arguments, "ca"):
        return ()
    ours, everybodys = (context.environment.get(name) for name in ("FORMATION_CA_FILE", "SSL_CERT_FILE"))
    if found := [context.path(name) for name in (*arguments.ca, ours) if name]:
        from formation.network.tls import trusting

        trusting(found)("")
    return (*found, *([context.path(everybodys)] if everybodys else ()))


def named_repository(text: str) -> "Reference":
    """The repository that `text` names, with docker:// before it or not; with the tag and digest that stand there.

    Raises UsageError for a host alone, and for what is no reference.
    """
    from formation.errors import UsageError
    from formation.oci.name import Transport
    from formation.oci.reference import parse_reference

    name = text.removeprefix(Transport.REGISTRY.value)
    if "/" not in name and (name == "localhost" or not {":", "."}.isdisjoint(name)):
        raise UsageError(f"{name!r} names no repository", hint=f"name one: {name}/formation/base")
    return parse_reference(name, default_tag=None)


def open_registry(arguments: Namespace, context: Context, progress: "Progress") -> "Registry":
    """The client as the options and the environment say; a context manager."""
    from formation.registry.registry import Registry
    from formation.registry.settings import Settings

    settings = Settings(
        environment=context.environment,
        plain_http=arguments.plain_http,
        certificates=context.authorities,
    )
    return Registry(settings, progress)
