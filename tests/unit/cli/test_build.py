"""`formation build` as far as it goes without a root to install into."""

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from archives import HOUR, served
from formation.build.recall import BuiltImage
from formation.cli.build_output import as_data, check_output
from formation.cli.build_steps import require_relock
from formation.cli.context import Context
from formation.lock.vendor import PackageGoneError
from formation.oci.annotations import LOCK_DIGEST
from formation.progress import Silent
from tiny_images import tiny_image
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


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_tells_on_stdout_though_an_archive_would_go_there(tmp_path, dry_run):
    with (tmp_path / "out.tar").open("w") as stdout:
        context = replace(quiet_context(tmp_path, quiet=True), stdout=stdout)
        arguments = Namespace(output=["docker-archive:out.tar"], dry_run=dry_run)
        context = replace(context, environment={"FORMATION_STORE": "store"})
        assert check_output(arguments, context).stdout is (stdout if dry_run else context.stderr)


def test_a_locked_build_cannot_be_from_a_fresh_lock(formation, workshop):
    result = formation("build", "base", "--locked", "--relock-when-gone")
    assert result.code == 2
    assert "--relock-when-gone: not allowed with argument --locked" in result.stderr


@pytest.mark.parametrize("quiet", [True, False])
def test_a_fresh_lock_is_told_to_those_who_want_quiet_too(tmp_path, quiet):
    context, notes = quiet_context(tmp_path, quiet=quiet), []
    progress = SimpleNamespace(note=notes.append)
    gone = PackageGoneError("the archive no longer has curl 1.0", hint=None)
    arguments = Namespace(relock_when_gone=True, locked=False, directory="base")
    require_relock(gone, arguments, context, progress)
    told = "the archive no longer has curl 1.0; locking afresh for this build, the lock file stays as it is"
    expected = (f"warning: {told}\n", []) if quiet else ("", [told])
    assert (context.stderr.getvalue(), notes) == expected


def test_who_did_not_ask_for_a_fresh_lock_hears_of_both_ways_out(tmp_path):
    gone = PackageGoneError("the archive no longer has curl 1.0", hint=None)
    arguments = Namespace(relock_when_gone=False, locked=False, directory="base")
    with pytest.raises(PackageGoneError) as caught:
        require_relock(gone, arguments, quiet_context(tmp_path, quiet=True), Silent())
    assert caught.value.hint == "formation lock base, or for this build alone: formation build base --relock-when-gone"


def quiet_context(directory: Path, *, quiet: bool) -> Context:
    return Context({}, directory, 0, StringIO(), StringIO(), False, False, False, quiet)


def test_programs_are_told_of_which_lock_an_image_is(tmp_path):
    image = tiny_image()
    data = as_data(BuiltImage(("formation/test:1.0.0",), image, 1, False), 0.0)
    assert (data["lock"], data["relocked"]) == (image.manifest.annotations.get(LOCK_DIGEST), False)
    assert as_data(BuiltImage(("formation/test:1.0.0",), image, 1, False, relocked=True), 0.0)["relocked"] is True
