"""`formation vendor` against a signed archive on a server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import served
from formation.lock.lockfile import file_text
from workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish()
        lock = workshop.lock(workshop.define("curl"))
        (workshop.base / "formation.lock").write_text(file_text(lock))
        yield workshop


def test_the_packages_are_beside_the_definition_and_sha256sum_agrees(formation, workshop):
    result = formation("vendor", "base")
    assert result.code == 0, result.stderr
    assert "6 packages" in result.stdout
    assert "brought 6, removed 0" in result.stdout
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=workshop.base / "vendor", capture_output=True)
    assert check.returncode == 0
    assert check.stdout.count(b": OK\n") == 6


def test_another_directory_can_be_named(formation, workshop):
    formation("vendor", "base", "--output", "kept")
    assert (workshop.directory / "kept" / "curl_1.0_amd64.deb").is_file()
    assert not (workshop.base / "vendor").exists()


def test_a_dry_run_only_says_what_it_would_do(formation, workshop):
    data = json.loads(formation("vendor", "base", "--dry-run", "--json").stdout)
    assert (data["packages"], len(data["downloaded"]), data["dry_run"]) == (6, 6, True)
    assert not (workshop.base / "vendor").exists()


def test_a_stale_lock_is_not_vendored(formation, workshop):
    workshop.define("curl gdb")
    result = formation("vendor", "base")
    assert result.code == 2
    assert "is stale: it has no package for gdb, which runtime asks for" in result.stderr
    assert "hint: formation lock base" in result.stderr


def test_offline_without_a_store_is_exit_code_5(formation, workshop):
    result = formation("vendor", "base", "--offline")
    assert result.code == 5
    assert "this run is offline" in result.stderr
