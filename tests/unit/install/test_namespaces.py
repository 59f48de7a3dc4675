"""Calls of the system that Python has no functions for."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from formation.install import namespaces


def in_child(function: Callable[[], object]) -> int:
    """The exit status of a child process that called `function`: 0 when it returned."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_whose_parent_is_another_ends_at_once() -> None:
    assert in_child(lambda: namespaces.die_with_parent(os.getppid())) == 0
    assert in_child(lambda: namespaces.die_with_parent(os.getpid())) == 1


def test_a_fork_dies_with_its_parent() -> None:
    read_end, write_end = os.pipe()

    def parent() -> None:
        if namespaces.fork() == 0:
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(parent) == -signal.SIGKILL
    os.close(write_end)
    # The end of the pipe comes when the last process that has it is gone.
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_a_fork_gives_what_os_fork_gives() -> None:
    child = namespaces.fork()
    if child == 0:
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.root
def test_mounts_of_a_child_are_its_own_and_can_be_taken_away(tmp_path: Path) -> None:
    place = tmp_path / "with space" / "deep"
    place.mkdir(parents=True)

    def mounts() -> None:
        namespaces.private_mounts()
        namespaces.mount("tmpfs", place, "tmpfs")
        namespaces.bind(Path("/etc"), tmp_path / "with space", read_only=True)
        assert (tmp_path / "with space" / "passwd").exists()
        namespaces.unmount_below(tmp_path)
        assert list((tmp_path / "with space").iterdir()) == [place]
        assert not place.is_mount()

    assert in_child(mounts) == 0
    assert list(place.iterdir()) == []


@pytest.mark.root
def test_a_refused_mount_says_what_and_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"mount tmpfs on {tmp_path}/missing: No such file"):
        namespaces.mount("tmpfs", tmp_path / "missing", "tmpfs")


@pytest.mark.root
def test_capabilities_that_are_not_kept_are_gone_for_programs() -> None:
    def drop() -> None:
        namespaces.keep_capabilities({0, 1})
        status = Path("/proc/self/status").read_text()
        bounding = next(line for line in status.splitlines() if line.startswith("CapBnd"))
        assert int(bounding.split()[1], 16) == 0b11

    assert in_child(drop) == 0


@pytest.mark.root
def test_what_is_mounted_need_not_have_a_name_in_utf_8(tmp_path: Path) -> None:
    lower, memory, merged, bound = (tmp_path / os.fsdecode(name + b"\xff") for name in (b"l", b"u", b"m", b"b"))
    for each in (lower, memory, merged, bound):
        each.mkdir()
    (lower / "x").write_text("content")

    def mounts() -> None:
        namespaces.private_mounts()
        # In memory: an overlay cannot have another one as its upper directory.
        namespaces.mount("tmpfs", memory, "tmpfs")
        for name in ("upper", "scratch"):
            (memory / name).mkdir()
        options = f"lowerdir={lower},upperdir={memory}/upper,workdir={memory}/scratch"
        namespaces.mount("overlay", merged, "overlay", 0, options)
        namespaces.bind(merged, bound, read_only=True)
        assert (bound / "x").read_text() == "content"

    assert in_child(mounts) == 0
