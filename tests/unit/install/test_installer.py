"""The ordinary side of a build: how an ordinary user's ids are mapped, and what is said when that cannot be."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from formation.errors import FormationError, IntegrityError
from formation.install import agent, installer, namespaces
from formation.install.job import Failed


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of subordinate ids, for the user `builder`, and `subgid` beside it."""
    monkeypatch.setattr(installer, "_user_name", lambda: "builder")
    monkeypatch.setattr(installer, "_TABLES", (tmp_path / "subuid", tmp_path / "subgid"))
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


@pytest.mark.parametrize(
    ("text", "groups", "free"),
    [
        (None, None, "100000-165535"),
        ("", "", "100000-165535"),
        ("other:100000:65536\n", "", "165536-231071"),
        ("builder:100000:1000\n", "more:400000:65536\n", "465536-531071"),
        ("other:5:10\n", "x:y:z\n", "100000-165535"),
    ],
)
def test_too_few_subordinate_ids_are_an_error_with_ids_that_nobody_has(
    tables: Path, text: str | None, groups: str | None, free: str
) -> None:
    if groups is not None:
        (tables.parent / "subgid").write_text(groups)
    if text is not None:
        tables.write_text(text)
    with pytest.raises(FormationError, match="has no 65536 subordinate ids") as caught:
        installer._subordinate(tables, "builder")
    assert caught.value.hint == f"sudo usermod --add-subuids {free} --add-subgids {free} builder"


def test_a_user_id_without_an_account_is_not_sent_to_usermod(tables: Path) -> None:
    with pytest.raises(FormationError) as caught:
        installer._subordinate(tables, "4321")
    assert "4321 has no account" in (caught.value.hint or "") and "usermod" not in (caught.value.hint or "")


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


DOCKER = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
PODMAN = {0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31}


@pytest.mark.parametrize("there", [set(range(41)), DOCKER, PODMAN, DOCKER - {27}, set(range(41)) - {18, 27}])
def test_root_with_the_capabilities_of_a_container_may_build(monkeypatch: pytest.MonkeyPatch, there: set[int]) -> None:
    monkeypatch.setattr(namespaces, "effective_capabilities", lambda: frozenset(there))
    agent._check_capabilities()


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        (DOCKER - {0}, "CAP_CHOWN"),
        (DOCKER - {3, 18}, "CAP_FOWNER and CAP_SYS_CHROOT"),
        (set(range(41)) - {1, 18}, "CAP_DAC_OVERRIDE"),
    ],
)
def test_a_root_that_lacks_capabilities_is_told_which(
    monkeypatch: pytest.MonkeyPatch, there: set[int], lacking: str
) -> None:
    monkeypatch.setattr(namespaces, "effective_capabilities", lambda: frozenset(there))
    with pytest.raises(FormationError, match=f"^this root lacks {lacking}, which a build needs$") as caught:
        agent._check_capabilities()
    assert f"--cap-add {lacking.split('_', 1)[1].split()[0]}" in (caught.value.hint or "")


@pytest.mark.root
def test_the_capabilities_are_those_that_the_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from formation.install.namespaces import *; print(sorted(effective_capabilities()))"
    command = ["setpriv", "--bounding-set=-all,+chown,+setuid", "--inh-caps=-all", sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[0, 7]\n"


def test_an_error_comes_back_as_what_it_was() -> None:
    error = installer._error(Failed("IntegrityError", "wrong", "do this", ""))
    assert type(error) is IntegrityError and (error.message, error.hint) == ("wrong", "do this")
    assert isinstance(installer._error(Failed("FormationError", "bug", None, "Traceback")), RuntimeError)


def test_errors_of_the_system_come_with_their_remedy() -> None:
    failed = agent._failure(OSError(28, "No space left on device", "/store/x"), Path("/store"))
    assert (failed.kind, failed.message) == ("FormationError", "/store/x: No space left on device")
    assert failed.hint == "free some space (--images takes the images too): formation cache prune --all"
    failed = agent._failure(OSError(28, "No space left on device"), Path("/store"))
    assert failed.message == "/store: No space left on device"
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
