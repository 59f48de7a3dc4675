"""Programs in a tree, cut off from this machine: with namespaces, and with a chroot alone."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from conftest import require_tool
from formation.errors import FormationError
from formation.install import sandbox
from formation.install.sandbox import Program, end_children, pinned_environment, remove_devices, run_programs

pytestmark = pytest.mark.root

EPOCH = 1_600_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with busybox as every command."""
    tree = tmp_path / "root"
    for name in ("bin", "dev", "proc", "tmp", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(require_tool("busybox"), tree / "bin/busybox")
    for name in (
        "sh",
        "env",
        "ls",
        "cat",
        "mknod",
        "chmod",
        "sleep",
        "ps",
        "touch",
        "kill",
        "chroot",
        "mount",
        "setsid",
    ):
        (tree / "bin" / name).symlink_to("busybox")
    return tree


def script(text: str, **environment: str) -> Program:
    return Program(("/bin/sh", "-c", text), tuple(environment.items()), "a script")


def run(root: Path, *texts: str, isolated: bool = True) -> list[tuple[int, str]]:
    outcomes = run_programs(
        root, [script(text) for text in texts], epoch=EPOCH, isolated=isolated, log=root.parent / "log"
    )
    return [(outcome.status, outcome.output) for outcome in outcomes]


@pytest.mark.parametrize("isolated", [True, False])
def test_the_environment_is_pinned_and_nothing_else(
    root: Path, isolated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    program = Program(("/bin/env",), (("DPKG_ROOT", ""),))
    (outcome,) = run_programs(root, [program], epoch=EPOCH, isolated=isolated, log=root.parent / "log")
    assert set(outcome.output.splitlines()) == {
        f"{name}={value}" for name, value in {**pinned_environment(EPOCH), "DPKG_ROOT": ""}.items()
    }


@pytest.mark.parametrize("isolated", [True, False])
def test_programs_run_in_order_until_one_fails(root: Path, isolated: bool) -> None:
    texts = ("echo one; echo two >&2", "exit 7", "echo never")
    assert run(root, *texts, isolated=isolated) == [(0, "one\ntwo\n"), (7, "")]


@pytest.mark.parametrize("isolated", [True, False])
def test_a_program_that_a_signal_ends_or_that_is_missing_is_told(root: Path, isolated: bool) -> None:
    assert run(root, "kill -TERM $$", isolated=isolated)[0][0] == -signal.SIGTERM
    (outcome,) = run_programs(root, [Program(("/no/such",))], epoch=EPOCH, isolated=isolated, log=root.parent / "log")
    assert outcome.status == 126 and "cannot run /no/such: " in outcome.output


@pytest.mark.parametrize("isolated", [True, False])
def test_stdin_is_empty_and_the_devices_work(root: Path, isolated: bool) -> None:
    text = "cat; echo x > /dev/null; [ -c /dev/urandom ] && echo device; [ -L /dev/stdin ] && echo link"
    assert run(root, text, isolated=isolated) == [(0, "device\nlink\n")]
    remove_devices(root)
    assert list((root / "dev").iterdir()) == []


@pytest.mark.parametrize("isolated", [True, False])
def test_shared_memory_is_enough_for_a_database(root: Path, isolated: bool) -> None:
    (root / "bin/dd").symlink_to("busybox")
    text = "dd if=/dev/zero of=/dev/shm/segment bs=1M count=32 2>/dev/null && ls /dev/shm"
    assert run(root, text, isolated=isolated) == [(0, "segment\n")]
    remove_devices(root)
    assert list((root / "dev").iterdir()) == []


def test_no_process_network_or_mount_of_this_machine_is_there(root: Path) -> None:
    (_, text), (_, network), (_, mounts) = run(
        root, "ls /proc | grep -c '^[0-9]'", "cat /proc/net/dev", "cat /proc/mounts"
    )
    assert int(text or 0) < 10
    assert [line.split(":")[0].strip() for line in network.splitlines()[2:]] == ["lo"]
    assert {line.split()[1].partition("/dev/")[0] for line in mounts.splitlines()} <= {
        "/", "/proc", "/dev", "/tmp", "", *(f"/proc/{name}" for name in sandbox._PROTECTED),
    }  # fmt: skip


@pytest.mark.parametrize(
    "attempt",
    [
        "echo evil > /proc/sys/kernel/core_pattern",
        "echo h > /proc/sysrq-trigger",
        "chmod 000 /dev/null",
        "mknod /disk b 8 0",
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /proc/sys",
        "chroot /tmp /bin/true",
    ],
)
def test_a_script_cannot_reach_for_the_machine(root: Path, attempt: str) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text(), Path("/dev/null").stat().st_mode
    ((status, _),) = run(root, attempt)
    assert status != 0
    assert (Path("/proc/sys/kernel/core_pattern").read_text(), Path("/dev/null").stat().st_mode) == before


def test_a_chroot_cannot_be_left_nor_devices_made(root: Path) -> None:
    for attempt in ("mknod /disk b 8 0", "chroot /root /bin/true", "mount -t tmpfs none /tmp"):
        assert run(root, attempt, isolated=False)[0][0] != 0


@pytest.mark.parametrize("isolated", [True, False])
def test_what_a_script_leaves_running_ends_with_the_sandbox(root: Path, isolated: bool) -> None:
    started = 'for i in 1 2 3; do setsid sh -c "echo \\$\\$ >> /pids; exec sleep 1000" & done; sh -c "sleep 1000 &"'
    wait = "while [ $(cat /pids | wc -l) -lt 3 ]; do :; done"
    for name in ("wc",):
        (root / "bin" / name).symlink_to("busybox")
    assert run(root, f"{started}; {wait}", isolated=isolated)[0][0] == 0
    running = [Path(f"/proc/{path.name}/root") for path in Path("/proc").iterdir() if path.name.isdecimal()]
    assert not any(_root(path) == str(root) for path in running)


def _root(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def test_a_device_directory_that_is_a_symlink_leads_nowhere_else(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "null").write_text("precious")
    (root / "dev").rmdir()
    (root / "dev").symlink_to(other)
    with pytest.raises(FormationError, match="cannot set up the sandbox"):
        run(root, "true", isolated=False)
    remove_devices(root)
    assert (other / "null").read_text() == "precious" and len(list(other.iterdir())) == 1


def test_only_the_end_of_a_long_output_is_kept(root: Path) -> None:
    ((_, output),) = run(root, "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; echo end")
    assert len(output) == 100_000 and output.endswith("end\n")


def test_without_children_there_is_nothing_to_end() -> None:
    child = os.fork()
    if child == 0:
        end_children()
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
