import io
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from formation.cli.context import Context
from formation.cli.main import run
from formation.oci.annotations import LAYER_KIND, LAYER_PACKAGES, LOCK_DIGEST, packages_text
from formation.oci.config import Execution
from formation.oci.reference import parse_reference
from formation.store.blobs import add_bytes, add_image
from formation.store.images import tag_image
from formation.store.store import Store
from tiny_images import tiny_image

GOLDEN = Path(__file__).parent / "golden"
LOCK = b"# the lock\npackages: []\n"


@dataclass(frozen=True)
class Result:
    """What a command line gave."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class CommandLine:
    """Runs `formation` in this process, in a directory and with a store of its own."""

    directory: Path

    @property
    def store(self) -> Store:
        return Store(self.directory / "store")

    def __call__(self, *arguments: str, environment: dict[str, str] | None = None, now: int = 2_000_000_000) -> Result:
        out, err = io.StringIO(), io.StringIO()
        context = Context(
            environment={"FORMATION_STORE": "store", "PATH": "", **(environment or {})},
            directory=self.directory,
            now=now,
            stdout=out,
            stderr=err,
            stdout_is_terminal=False,
            stderr_is_terminal=False,
            colour=False,
        )
        code = run(arguments, context)
        return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def formation(tmp_path):
    return CommandLine(tmp_path)


@pytest.fixture
def with_image(formation):
    """The command line with formation/base:1.0.0 in its store."""
    image = tiny_image(
        [{"usr/bin/bash": b"bash"}, {"usr/bin/curl": b"curl"}, {"var/lib/dpkg/status": b"status"}],
        # Uncompressed: the digests in the goldens must not depend on the machine's zlib.
        compression="none",
        execution=Execution(
            environment=("PATH=/usr/bin:/bin",),
            working_directory="/app",
            command=("sh", "-c", "echo base image"),
            volumes=("/var/log/formation",),
            labels={"org.opencontainers.image.version": "1.0.0"},
        ),
        annotations={LOCK_DIGEST: add_bytes(formation.store, LOCK)},
        layer_annotations=[
            {LAYER_KIND: "packages", LAYER_PACKAGES: packages_text([("bash", "5.2.37-2+b10")])},
            {
                LAYER_KIND: "packages",
                LAYER_PACKAGES: packages_text(
                    [("curl", "8.14.1-2"), ("libcurl4t64", "8.14.1-2"), ("adduser", "3.152")]
                ),
            },
            {LAYER_KIND: "effects"},
        ],
    )
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), add_image(formation.store, image))
    return formation


@pytest.fixture
def golden():
    """Compares a text with a file in golden/; REWRITE_GOLDENS=1 in the environment writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("REWRITE_GOLDENS") == "1":
            path.write_text(text)
        assert text == path.read_text()

    return compare
