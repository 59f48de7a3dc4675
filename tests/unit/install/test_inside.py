"""Symlinks of a tree never lead this process out of it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from formation.errors import FormationError
from formation.install.inside import follow, inside, read_file, write_file


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("absolute/x", "etc/x"),
        ("up/x", "etc/x"),
        ("deep/link/x", "etc/x"),
        ("absolute", "etc"),
        ("missing/../etc/x", "etc/x"),
        ("../../etc/x", "etc/x"),
        ("last", "nowhere/at/all"),
        ("chain/x", "etc/x"),
        ("", ""),
    ],
)
def test_a_path_stays_in_the_tree(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "deep").mkdir()
    for name, target in {
        "absolute": "/etc", "up": "../../../../etc", "deep/link": "../etc", "last": "/nowhere/at/all", "chain": "up",
    }.items():  # fmt: skip
        (tmp_path / name).symlink_to(target)
    assert inside(tmp_path, path) == tmp_path / expected


def test_a_loop_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    with pytest.raises(FormationError, match="/a/x leads through a loop"):
        inside(tmp_path, "a/x")


@pytest.mark.parametrize(("last", "expected"), [(True, "c"), (False, "c/b")])
def test_the_last_name_is_followed_on_demand(last: bool, expected: str) -> None:
    links = {"a": "c", "c/b": "."}
    assert follow("a/b", links.get, last=last) == expected


def test_a_file_is_read_and_written(tmp_path: Path) -> None:
    write_file(tmp_path / "f", b"longer content")
    write_file(tmp_path / "f", b"content")
    assert read_file(tmp_path / "f") == b"content"
    assert read_file(tmp_path / "nothing") is None and read_file(tmp_path / "f/below") is None


ODD: dict[str, Callable[[Path], object]] = {
    "symlink": lambda path: path.symlink_to("/etc/passwd"),
    "pipe": os.mkfifo,
    "directory": os.mkdir,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
}


@pytest.mark.parametrize("kind", ODD)
def test_nothing_but_a_file_is_opened(tmp_path: Path, kind: str) -> None:
    """A symlink leads out of the tree, and at a pipe one would wait for ever."""
    ODD[kind](tmp_path / "odd")
    assert read_file(tmp_path / "odd") is None
    with pytest.raises(OSError):
        write_file(tmp_path / "odd", b"x")
