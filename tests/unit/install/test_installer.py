"""The ordinary side of a build: how an ordinary user's ids are mapped, and what is said when that cannot be."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from formation.errors import FormationError, IntegrityError
from formation.install import agent, installer, namespaces
from formation.install.job import Failed


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of subordinate ids, for the user `builder`."""
    monkeypatch.setattr(installer, "_user_name", lambda: "builder")
    return tmp_path / "subuid"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("builder:100000:65536\n", (100000, 65536)),
        ("other:5:900000\nbuilder:200000:65536\n", (200000, 65536)),
        ("builder:100000:1000\nbuilder:300000:70000\n", (300000, 70000)),
        (f"{os.getuid()}:400000:65536\n", (400000, 65536)),
        ("# comment\n:::\nbuilder:x:y\nbuilder:100000:65536\n", (100000, 65536)),
    ],
)
def test_the_largest_range_of_the_user_is_taken(tables: Path, text: str, expected: tuple[int, int]) -> None:
    tables.write_text(text)
    assert installer._subordinate(tables, "builder") == expected


@pytest.mark.parametrize("text", [None, "", "other:100000:65536\n", "builder:100000:1000\n"])
def test_too_few_subordinate_ids_are_an_error_with_the_remedy(tables: Path, text: str | None) -> None:
    if text is not None:
        tables.write_text(text)
    with pytest.raises(FormationError, match="has no 65536 subordinate ids") as caught:
        installer._subordinate(tables, "builder")
    assert caught.value.hint == "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 builder"


def test_a_missing_newuidmap_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FormationError, match="newuidmap is missing") as caught:
        installer.map_ids(1)
    assert caught.value.hint == "sudo apt-get install uidmap"


def test_the_user_is_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.setenv("USER", "somebody")
    assert installer._user_name() != "somebody"


def test_a_machine_without_user_namespaces_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(namespaces, "unshare", refuse)
    with pytest.raises(FormationError, match="no user namespace") as caught:
        agent._become_root(None)  # type: ignore[arg-type]
    assert "sysctl" in (caught.value.hint or "")


def test_an_error_comes_back_as_what_it_was() -> None:
    error = installer._error(Failed("IntegrityError", "wrong", "do this", ""))
    assert type(error) is IntegrityError and (error.message, error.hint) == ("wrong", "do this")
    assert isinstance(installer._error(Failed("FormationError", "bug", None, "Traceback")), RuntimeError)


def test_errors_of_the_system_come_with_their_remedy() -> None:
    failed = agent._failure(OSError(28, "No space left on device", "/store/x"), Path("/store"))
    assert (failed.kind, failed.message) == ("FormationError", "/store/x: No space left on device")
    assert failed.hint == "free some space: formation cache prune"
    failed = agent._failure(PermissionError(13, "Permission denied", "/store/x"), Path("/store"))
    assert "--store DIR" in (failed.hint or "")


def test_an_installer_that_was_killed_is_told_from_one_that_failed() -> None:
    assert "dmesg" in (installer._ended(-signal.SIGKILL).hint or "")
    assert installer._ended(1).message == "the installer process ended with status 1"


def test_leaving_the_block_ends_the_process() -> None:
    with installer.Installer() as started:
        process = started._process
        assert process.poll() is None
    assert isinstance(process, subprocess.Popen) and process.returncode is not None
