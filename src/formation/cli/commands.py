"""The commands there are. A command is a module of this package with these two functions:

register(subparsers)             adds its parser, with help; called at every start, so it imports nothing heavy
run(arguments, context) -> int   does the work and gives the exit code; imports what it needs when it runs
"""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from argparse import Namespace

    from formation.cli.context import Context
    from formation.cli.parser import Subparsers

COMMANDS = (
    "build",
    "lock",
    "why",
    "vendor",
    "images",
    "inspect",
    "verify",
    "audit",
    "lint",
    "diff",
    "pull",
    "copy",
    "tags",
    "release",
    "publish",
    "cache",
    "render",
    "new",
    "schema",
)
"""Modules of this package, in the order of `formation --help`; a command has its module's name."""


class Command(Protocol):
    """What a command's module offers."""

    def register(self, subparsers: "Subparsers") -> None: ...

    def run(self, arguments: "Namespace", context: "Context") -> int: ...


def command(name: str) -> Command:
    """The module of the command `name`, which is one of COMMANDS."""
    module: Command = import_module(f"formation.cli.{name}")
    return module
