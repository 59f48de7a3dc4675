"""Hints can be typed as they are printed, however the program was called."""

import dataclasses
import io
from pathlib import Path

import pytest

from formation.cli.context import Context
from formation.cli.main import run
from formation.cli.text import as_typed


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """In a directory with two programs, of which that in `on path` is in PATH."""
    for name in ("on path", "my venv/bin"):
        program = tmp_path / name / "formation"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
    return Context(
        environment={"PATH": f"/nonexistent:{tmp_path}/on path", "FORMATION_STORE": "store"},
        directory=tmp_path,
        now=0,
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        stdout_is_terminal=False,
        stderr_is_terminal=False,
        colour=False,
    )


def test_a_store_that_was_named_is_named_again(context: Context) -> None:
    assert dataclasses.replace(context, store_option="my store").program == "formation --store 'my store'"


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("formation", "formation"),
        ("{directory}/on path/formation", "formation"),
        ("on path/formation", "formation"),
        ("my venv/bin/formation", "'my venv/bin/formation'"),
        (".venv/bin/formation", ".venv/bin/formation"),
        ("/site-packages/formation/__main__.py", "formation"),
        ("-c", "formation"),
    ],
)
def test_the_program_is_called_as_it_was_typed(context: Context, called: str, program: str):
    context = dataclasses.replace(context, called=called.format(directory=context.directory))
    assert context.program == program


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ("formation lock docker/base", "X lock docker/base"),
        ("free some space: formation cache prune", "free some space: X cache prune"),
        ("such as formation/base:1; `formation build` takes both", "such as formation/base:1; `X build` takes both"),
        (
            "update formation, or write it anew: formation lock docker/base",
            "update formation, or write it anew: X lock docker/base",
        ),
        ("wait until the other formation has ended", "wait until the other formation has ended"),
        ("it has: formation/base:1.0.0", "it has: formation/base:1.0.0"),
    ],
)
def test_only_commands_are_rewritten(hint: str, typed: str):
    assert as_typed(hint, "X") == typed


def test_an_error_s_hint_is_the_command_to_type(context: Context):
    context = dataclasses.replace(context, called=".venv/bin/formation")
    assert run(["inspect", "a/b:1"], context) == 3
    assert "hint: it has: none; .venv/bin/formation build\n" in context.stderr.getvalue()
