"""The program `formation`: parses, calls a command, and prints what went wrong. No other place prints an error."""

import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from formation.cli.commands import command
from formation.cli.context import Context, StdoutError, read_context
from formation.cli.parser import parse
from formation.cli.registry_options import named_authorities
from formation.cli.standard_streams import open_closed_streams
from formation.cli.text import as_typed, printable
from formation.dataclass import replace
from formation.errors import FormationError, UsageError, remedy
from formation.garbage import collect_seldom, end_at_once, keep_all
from formation.logins import blotted

EXIT_FAILED = 3
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (None: that of the process, which then ends); the exit code of errors.py."""
    open_closed_streams()
    collect_seldom()
    try:
        context = read_context()
    except FileNotFoundError:
        print("error: the current directory no longer exists", file=sys.stderr)
        return EXIT_FAILED
    code = run(sys.argv[1:] if argv is None else argv, context)
    if argv is None:
        end_at_once(code)
    keep_all()
    return code


def run(argv: Sequence[str], context: Context) -> int:
    """Runs the command line `argv` in `context`. Raises nothing."""
    try:
        arguments = _arguments(argv, context)
        if isinstance(arguments, int):
            code = arguments
        else:
            context = replace(context, quiet=arguments.quiet, store_option=arguments.store)
            context = replace(context, authorities=named_authorities(arguments, context))
            code = command(arguments.command).run(arguments, context)
        context.flush()
        return code
    except FormationError as error:
        _print_error(context, error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        _print_error(context, "interrupted", None)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout has gone, as in `formation images | head -1`: nobody wants to know.
        _give_up_stdout(context)
        return EXIT_FAILED
    except OSError as error:
        _print_os_error(context, error)
        _give_up_stdout(context)
        return EXIT_FAILED
    except Exception as error:
        _print_bug(context, error)
        return EXIT_FAILED


def _arguments(argv: Sequence[str], context: Context) -> Namespace | int:
    """What `argv` says, with a command; or the exit code, where argparse has answered. Raises UsageError."""
    try:
        # stdout is passed on because argparse would print its help to that of the process.
        with contextlib.redirect_stdout(context.stdout):
            arguments = parse(argv or ["--help"])
    except SystemExit as end:
        # --help and --version, which argparse has answered.
        return int(end.code or 0)
    if arguments.command is None:
        raise UsageError("no command is given", hint="formation --help")
    if arguments.store == "":
        raise UsageError("--store names no directory", hint="name one: --store DIR; or leave it out")
    return arguments


def _give_up_stdout(context: Context) -> None:
    """Sends what stdout cannot take to nowhere: Python flushes it once more at its end, and would complain then."""
    try:
        context.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, context.stdout.fileno())
        os.close(nowhere)


def _print_os_error(context: Context, error: OSError) -> None:
    where = f"{error.filename}: " if error.filename else ""
    # Where stdout goes is not the store's matter.
    hint = None if isinstance(error, StdoutError) else remedy(error, _store_root(context))
    _print_error(context, f"{where}{error.strerror or error}", hint)
    if context.debug:
        _print_traceback(context, error)


def _store_root(context: Context) -> Path | None:
    try:
        return context.store.root
    except (FormationError, OSError):
        return None


def _print_traceback(context: Context, error: Exception) -> None:
    # It takes 2 ms, which the command that works need not wait for.
    import traceback

    traceback.print_exception(error, file=context.stderr)


def _print_bug(context: Context, error: Exception) -> None:
    if context.debug:
        _print_traceback(context, error)
    hint = None if context.debug else "FORMATION_DEBUG=1 shows where; please report it with that"
    _print_error(context, f"this is a bug in formation: {type(error).__name__}: {error}", hint)


def _print_error(context: Context, message: str, hint: str | None) -> None:
    red, blue, end = ("\x1b[1;31m", "\x1b[1;34m", "\x1b[0m") if context.colour else ("", "", "")
    lines = f"{red}error:{end} {_lines(_with_typed_hints(blotted(message), context.program))}\n"
    if hint is not None:
        lines += f"{blue}hint:{end} {_lines(as_typed(blotted(hint), context.program))}\n"
    try:
        context.stderr.write(lines)
        context.stderr.flush()
    except OSError:
        pass


def _with_typed_hints(message: str, program: str) -> str:
    """A message of several problems has a line with the hint of each."""
    lines = message.split("\n")
    return "\n".join(as_typed(line, program) if line.startswith("    hint: ") else line for line in lines)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
