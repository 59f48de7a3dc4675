"""`formation build` as far as it goes without a root to install into."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from archives import HOUR, served
from workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    """An archive, and a definition without a lock."""
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish(age=10 * HOUR)
        workshop.define("curl")
        yield workshop


def test_a_dry_run_starts_no_installer_and_writes_no_lock(formation, workshop, monkeypatch):
    def started(*_: object) -> NoReturn:
        raise AssertionError("a dry run installs nothing")

    monkeypatch.setattr("formation.install.installer.Installer.__init__", started)
    result = formation("build", "base", "--dry-run", "--json", now=int(time.time()))
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["packages"] == 6
    assert not (workshop.base / "formation.lock").exists()


def test_an_output_under_a_tag_that_others_cannot_read_is_refused_before_anything_is_built(formation, workshop):
    result = formation("build", "base", "--output", "oci:out:bad tag", now=int(time.time()))
    assert result.code == 2
    assert "error: 'bad tag' cannot be a tag in a layout" in result.stderr
    assert not (workshop.base / "formation.lock").exists()
