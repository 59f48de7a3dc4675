"""What `formation release` does before it builds the images that it looks at."""

import io
from argparse import Namespace
from pathlib import Path

import pytest

from formation.cli.context import Context
from formation.cli.release_build import built_images
from formation.definition.load import load_definition
from formation.errors import FormationError
from formation.lock.lockfile import file_text
from formation.lock.model import Lock
from formation.progress import Silent
from formation.store.unsynced import boot_id, forget_damaged

DEFINITION = """\
kind: base
name: formation/base
version: 1.0.0
distribution: debian/trixie
architectures: [amd64]
packages: [tool]
"""


def test_a_store_that_no_build_has_seen_in_this_boot_is_repaired_before_it_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "formation.yaml").write_text(DEFINITION)
    definition = load_definition(tmp_path)
    (tmp_path / "formation.lock").write_text(file_text(Lock(definition.digest, 1, (), {"amd64": ()})))
    environment = {"FORMATION_STORE": str(tmp_path / "store")}
    context = Context(environment, tmp_path, 0, io.StringIO(), io.StringIO(), False, False, False)

    def build(*_: object, **__: object) -> None:
        # It would wait for itself if there were anything to repair yet.
        noted = (context.store.root / "unsynced.json").exists()
        raise FormationError("in time" if noted and forget_damaged(context.store, boot_id(), 0) == [] else "too late")

    monkeypatch.setattr("formation.cli.release_build._build", build)
    with (
        pytest.raises(FormationError, match="in time"),
        built_images(definition, Namespace(platform=None), context, Silent()),
    ):
        pass
