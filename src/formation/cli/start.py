"""The way into the program: Ctrl-C is answered from here on, while most of it is still to be imported."""

import sys


def main() -> int:
    """Runs the command line of the process, which then ends; the exit code of errors.py."""
    try:
        from formation.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
