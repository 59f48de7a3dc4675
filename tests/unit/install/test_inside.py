"""Symlinks of a tree never lead this process out of it."""

from pathlib import Path

import pytest

from formation.errors import FormationError
from formation.install.inside import follow, inside


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
