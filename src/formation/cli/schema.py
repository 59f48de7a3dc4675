"""`formation schema`: the JSON Schema of formation.yaml."""

from argparse import Namespace

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "schema",
        "print the JSON Schema of formation.yaml",
        """
        Prints the JSON Schema of formation.yaml. Editors complete and check definitions with it; Formation's own
        checks go further.
        """,
        """
        formation schema > formation.schema.json
        """,
    )
    parser.add_argument("--json", action="store_true", help="the same: a schema is JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.definition.schema import json_schema

    context.write_json(json_schema())
    return 0
