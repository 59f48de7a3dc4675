"""What preinst scripts left, as it is under what the packages bring."""

import os
import stat
from pathlib import Path

import pytest

from formation.entry import Entry
from formation.install.landing import NOWHERE_ELSE, Arriving, Ground
from formation.install.making_way import brought_back, give_back, make_way
from formation.install.roots import copy_over
from trees import deep_below, make_deep

pytestmark = pytest.mark.root


def tree(where: Path, *paths: str) -> Path:
    """Files whose content is the name of the tree."""
    where.mkdir()
    for path in paths:
        (where / path).parent.mkdir(parents=True, exist_ok=True)
        (where / path).write_text(where.name)
    return where


def shown(*trees: Path) -> dict[str, str]:
    """What an overlay of trees without opaque directories shows; the topmost comes last."""
    target = trees[0].parent / "shown"
    target.mkdir()
    for each in trees:
        copy_over(each, target)
    return {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def opaque(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.setxattr(path, "user.overlay.opaque", b"y")


def test_what_packages_ship_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    upper = tree(tmp_path / "upper", "etc/clash", "etc/own", "dir/sub/f", "etc/was-directory/x")
    files = tree(tmp_path / "files", "etc/clash", "etc/removed", "gone/x", "dir/sub/g", "etc/was-directory")
    before = tree(tmp_path / "before")
    whiteout(upper / "etc/removed")
    whiteout(upper / "gone")
    make_way(upper, files, [before])
    assert shown(before, files, upper) == {
        "etc/clash": "files", "etc/own": "upper", "etc/removed": "files", "etc/was-directory": "files",
        "gone/x": "files", "dir/sub/f": "upper", "dir/sub/g": "files",
    }  # fmt: skip


def test_a_directory_that_was_made_anew_hides_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    before = tree(tmp_path / "before", "d/old", "d/shipped/old", "d/made/old", "d/other/old", "kept/old")
    upper = tree(tmp_path / "upper", "d/own", "d/made/own")
    files = tree(tmp_path / "files", "d/new", "d/shipped/new", "kept/new")
    opaque(upper / "d")
    (upper / "d").chmod(0o700)
    (files / "d/shipped").chmod(0o751)
    make_way(upper, files, [before])
    assert shown(before, files, upper) == {
        "d/own": "upper", "d/made/own": "upper", "d/new": "files", "d/shipped/new": "files",
        "kept/old": "before", "kept/new": "files",
    }  # fmt: skip
    assert [path.lstat().st_mode & 0o777 for path in (upper / "d", upper / "d/shipped")] == [0o700, 0o751]


@pytest.mark.parametrize("what", ["nothing", "file", "symlink"])
def test_a_directory_that_is_gone_does_not_come_back_with_a_shipped_one(tmp_path: Path, what: str) -> None:
    before = tree(tmp_path / "before", "d/old", "d/sub/old", "d/sub/deep/old")
    upper, files = tree(tmp_path / "upper"), tree(tmp_path / "files", "d/new", "d/sub/new")
    if what == "nothing":
        whiteout(upper / "d")
    else:
        (upper / "d").write_text("") if what == "file" else (upper / "d").symlink_to("/etc")
    make_way(upper, files, [before])
    assert shown(before, files, upper) == {"d/new": "files", "d/sub/new": "files"}


def test_a_directory_in_the_place_of_a_symlink_is_not_followed(tmp_path: Path) -> None:
    before = tree(tmp_path / "before", "target/old")
    (before / "d").symlink_to(tmp_path / "before/target")
    upper, files = tree(tmp_path / "upper"), tree(tmp_path / "files", "d/new")
    opaque(upper / "d")
    make_way(upper, files, [before])
    assert list((upper / "d").iterdir()) == []
    assert shown(before, files, upper) == {"d/new": "files", "target/old": "before"}


def test_what_no_package_ships_stays_as_it_is(tmp_path: Path) -> None:
    before, upper = tree(tmp_path / "before", "d/old"), tree(tmp_path / "upper")
    opaque(upper / "d")
    make_way(upper, tree(tmp_path / "files", "e/new"), [before])
    assert os.getxattr(upper / "d", "user.overlay.opaque") == b"y" and list((upper / "d").iterdir()) == []


@pytest.mark.parametrize("what", ["file", "directory"])
def test_way_is_made_in_deep_trees(tmp_path: Path, what: str) -> None:
    """A preinst script may make them, and take them away again before anybody counts."""
    with deep_below(tmp_path):
        upper, files = tree(tmp_path / "upper"), tree(tmp_path / "files")
        (make_deep(upper) / "new").write_text("")
        if what == "file":
            (files / "d").write_text("")
        else:
            (make_deep(files) / "new").write_text("")
        make_way(upper, files, [])
        assert list((upper if what == "file" else make_deep(upper)).iterdir()) == []


def test_a_directory_that_was_removed_comes_back_as_the_first_package_has_it(tmp_path: Path) -> None:
    before = tree(tmp_path / "before", "gone/sub/old", "kept/old")
    now = tree(tmp_path / "now", "kept/old", "new/made")
    first = [Entry("gone", "directory", 0o2750, gid=8), Entry("kept", "directory", 0o700)]
    second = [Entry("gone", "directory", 0o700), Entry("gone/sub", "directory", 0o711), Entry("own", "directory", 1)]
    arriving = [Arriving(name, entries, {}) for name, entries in (("first", first), ("second", second))]
    again = brought_back(arriving, NOWHERE_ELSE, Ground([now]), Ground([before]))
    assert again == {"gone": first[0], "gone/sub": second[1]}
    (now / "gone").mkdir()
    give_back(now, again)
    status = (now / "gone").stat()
    assert (status.st_mode & 0o7777, status.st_gid) == (0o2750, 8)
