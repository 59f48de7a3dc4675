"""Whether a machine can run the programs of an architecture: what binfmt_misc shows on Debian and elsewhere."""

from pathlib import Path

import pytest

from formation.build.foreign import require_runnable
from formation.errors import FormationError

ENTRY = """\
{state}
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: {flags}
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
"""/proc/sys/fs/binfmt_misc/qemu-aarch64 on Debian bookworm with qemu-user-static 7.2."""
S390X = """\
enabled
interpreter /usr/libexec/qemu-binfmt/s390x-binfmt-P
flags: POCF
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
"""
PYTHON = "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"
JAR = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"


@pytest.fixture
def binfmt(tmp_path: Path) -> Path:
    """binfmt_misc with formats that are no foreign programs."""
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").touch(0o200)
    (tmp_path / "python3.11").write_text(PYTHON)
    (tmp_path / "jar").write_text(JAR)
    return tmp_path


def refusal(architecture: str, binfmt: Path, machine: str = "x86_64") -> FormationError:
    with pytest.raises(FormationError) as caught:
        require_runnable(architecture, machine, binfmt)
    assert caught.value.exit_code == 3
    return caught.value


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("x86_64", "i386"), ("aarch64", "arm64"), ("s390x", "s390x"), ("sparc64", "arm64")],
)
def test_what_a_machine_runs_by_itself_needs_nothing(machine: str, architecture: str, tmp_path: Path):
    require_runnable(architecture, machine, tmp_path / "not mounted")


def test_a_foreign_architecture_needs_an_interpreter(binfmt: Path):
    error = refusal("arm64", binfmt)
    assert "(x86_64) cannot run programs for arm64" in error.message
    assert "apt-get install qemu-user-static" in (error.hint or "")
    assert "update-binfmts --enable" in (error.hint or "")


def test_where_binfmt_misc_is_not_mounted_the_hint_mounts_it(tmp_path: Path):
    assert f"mount -t binfmt_misc none {tmp_path}" in (refusal("arm64", tmp_path).hint or "")


def test_the_interpreter_of_another_architecture_is_of_no_use(binfmt: Path):
    (binfmt / "qemu-aarch64").write_text(ENTRY.format(state="enabled", flags="POCF"))
    require_runnable("arm64", "x86_64", binfmt)
    refusal("s390x", binfmt)
    (binfmt / "qemu-s390x").write_text(S390X)
    require_runnable("s390x", "x86_64", binfmt)
    refusal("riscv64", binfmt)
    refusal("amd64", binfmt, machine="aarch64")


@pytest.mark.parametrize(("state", "flags"), [("disabled", "POCF"), ("enabled", "OC"), ("enabled", "")])
def test_an_interpreter_that_is_off_or_would_be_looked_for_in_the_image_does_not_count(
    binfmt: Path, state: str, flags: str
):
    (binfmt / "qemu-aarch64").write_text(ENTRY.format(state=state, flags=flags))
    refusal("arm64", binfmt)
