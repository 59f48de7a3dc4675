"""The command line's grammar: argparse, with errors that are ours and global options before or after the command."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from formation import __version__
from formation.cli.commands import COMMANDS, command
from formation.errors import UsageError

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"
"""Where a command adds its parser."""

WIDTH = 100
"""Columns of help texts: fixed, so that the README can quote them."""

_INVALID_CHOICE = r"(?s)(?P<where>.*): invalid choice: (?P<given>.+) \(choose from (?P<known>.*)\)"


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError where argparse would print and exit."""

    texts: tuple[str, str] | None = None
    """Description and examples of a command, as they stand in its module."""

    def format_help(self) -> str:
        """The help, its texts filled."""
        if self.texts is not None:
            import textwrap  # for help only

            description, examples = map(textwrap.dedent, self.texts)
            paragraphs = (" ".join(paragraph.split()) for paragraph in description.strip().split("\n\n"))
            self.description = "\n\n".join(textwrap.fill(paragraph, WIDTH) for paragraph in paragraphs)
            self.epilog = "examples:\n" + textwrap.indent(examples.strip(), "  ")
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Raises UsageError for argparse's `message`, with the nearest right word for a wrong one."""
        hint = f"{self.prog} --help"
        wrong = re.fullmatch(_INVALID_CHOICE, message)
        if wrong is not None:
            given = wrong["given"].strip("'\"")
            known = re.findall(r"[\w.-]+", wrong["known"])
            nearest = _nearest(given, known)
            where = wrong["where"].removeprefix("argument ")
            what = "there is no command" if where == "COMMAND" else f"{where}: there is no"
            message = f"{what} {given[:100]!r}"
            hint = f"did you mean {nearest[0]}?" if nearest else f"there is: {', '.join(known)}"
        raise UsageError(message, hint=hint)


def add_command(subparsers: "Subparsers", name: str, summary: str, description: str, examples: str) -> Parser:
    """The parser of a new command. `summary` is its line in `formation --help`; `examples` ends its own help."""
    parser = subparsers.add_parser(
        name,
        help=summary,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.texts = description, examples
    # SUPPRESS: an option that is not written after the command must not undo the one written before it.
    _add_global_options(parser, default=argparse.SUPPRESS)
    return parser


def build_parser(names: Sequence[str] = COMMANDS) -> Parser:
    """The parser of the command line, with the commands `names`."""
    parser = Parser(
        prog="formation",
        description="Define, lock, build and prove container base images from Debian packages, without a daemon.",
        epilog="Where an image is named: formation/base:1.0.0 is in the local store; others are oci:DIR[:TAG],\n"
        "oci-archive:FILE[:TAG], docker-archive:FILE[:REF] and docker-daemon:REF.\n\n"
        "`formation COMMAND --help` tells more about a command, with examples.",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"formation {__version__}")
    _add_global_options(parser, default=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=Parser)
    for name in names:
        command(name).register(subparsers)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments that `argv` is. Raises UsageError, and SystemExit after --help and --version.

    argparse fills the arguments of a command from the words before an option as far as it can, and has no place for
    those that come later. A command that has one gives its parser the default `take_more`, which is called with them.
    """
    alone = _command_of(argv)
    parser = build_parser(COMMANDS if alone is None else (alone,))
    arguments, unknown = parser.parse_known_args(argv)
    take_more = getattr(arguments, "take_more", None)
    if take_more is not None and unknown and not any(word.startswith("-") for word in unknown):
        take_more(arguments, unknown)
    elif unknown:
        asked = getattr(arguments, "command", None)
        # The usage line is the public place that lists the options of a command.
        usage = _usage_of(asked) if asked else parser.format_usage()
        nearest = _nearest(unknown[0].partition("=")[0], re.findall(r"--[\w-]+", usage))
        prog = f"formation {asked}" if asked else "formation"
        hint = f"did you mean {nearest[0]}?" if nearest else f"{prog} --help"
        raise UsageError(f"{prog} does not take {unknown[0][:100]!r}", hint=hint)
    return arguments


def _command_of(argv: Sequence[str]) -> str | None:
    """The command of `argv` when nothing but global options is before it: then the grammar of the others, which takes
    longer to make than some commands run, is not asked for. None when it takes all of it to tell what is meant."""
    words = iter(argv)
    for word in words:
        if word == "--store":
            next(words, None)
        elif word not in ("--quiet", "-q") and not word.startswith("--store="):
            return word if word in COMMANDS else None
    return None


def _nearest(given: str, known: Sequence[str]) -> list[str]:
    """The one of `known` that was meant, if it is like any."""
    import difflib  # for errors only

    return difflib.get_close_matches(given, known, n=1)


def _usage_of(name: str) -> str:
    alone = Parser(prog="formation").add_subparsers(parser_class=Parser)
    command(name).register(alone)
    return str(alone.choices[name].format_usage())


def _add_global_options(parser: Parser, default: str | None) -> None:
    group = parser.add_argument_group("options for every command") if default else parser
    group.add_argument(
        "--store",
        metavar="DIR",
        default=default,
        help="the local store (default: FORMATION_STORE or ~/.cache/formation)",
    )
    group.add_argument(
        "--quiet", "-q", action="store_true", default=default or False, help="no progress on stderr, only errors"
    )


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, width=WIDTH, max_help_position=30)
