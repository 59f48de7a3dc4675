"""Merging packages into a root as dpkg would."""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from debs import Item, directory, file, hard_link, make_deb, symlink
from formation.digest import sha256_file
from formation.entry import Entry
from formation.errors import FormationError, IntegrityError
from formation.install.link import link_tree
from formation.install.package_files import file_name
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import read_entries

OWN = {"uid": os.geteuid(), "gid": os.getegid()}


def install(where: Path, root: Path, name: str, *files: Item) -> Sequence[Entry]:
    deb = make_deb(where, name, files=[directory("", **OWN), *files])
    kept = where / "trees" / name
    segment = make_segment(deb, sha256_file(deb), SegmentSpec(epoch=1), kept=kept, out=where / "segments")
    root.mkdir(exist_ok=True)
    link_tree(kept, root, read_entries(where / "segments", segment))
    return read_entries(where / "segments", segment)


def test_files_are_linked_not_copied(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", directory("d", **OWN), file("d/a", b"x", **OWN), symlink("d/s", "a", **OWN))
    assert (root / "d/a").stat().st_ino == (tmp_path / "trees/one" / file_name("d/a")).stat().st_ino
    assert os.readlink(root / "d/s") == "a"


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", directory("d", mode=0o700, **OWN))
    install(tmp_path, root, "two", directory("d", mode=0o755, **OWN), file("d/a", **OWN))
    assert (root / "d").stat().st_mode & 0o7777 == 0o700
    assert (root / "d/a").exists()


def test_a_link_to_a_directory_is_followed_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", directory("run", **OWN), directory("var", **OWN), symlink("var/run", "/run", **OWN))
    install(tmp_path, root, "two", directory("var", **OWN), directory("var/run", **OWN), file("var/run/a", **OWN))
    assert (root / "var/run").is_symlink()
    assert (root / "run/a").exists()


@pytest.mark.parametrize("target", ["/etc", "../../../../../../etc"])
def test_a_link_never_leads_out_of_the_root(tmp_path: Path, target: str) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", directory("etc", **OWN), symlink("a", target, **OWN))
    install(tmp_path, root, "two", directory("a", **OWN), file("a/made-by-a-test", **OWN))
    assert (root / "etc/made-by-a-test").exists()
    assert not Path("/etc/made-by-a-test").exists()


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", symlink("a", "b", **OWN), symlink("b", "a", **OWN))
    with pytest.raises(FormationError, match="/a"):
        install(tmp_path, root, "two", directory("a", **OWN))


def test_a_symlink_over_a_directory_or_the_same_symlink_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", directory("d", **OWN), symlink("s", "d", **OWN))
    install(tmp_path, root, "two", symlink("d", "elsewhere", **OWN), symlink("s", "d", **OWN))
    assert (root / "d").is_dir() and not (root / "d").is_symlink()


@pytest.mark.parametrize("other", [file("a", b"2", **OWN), symlink("a", "z", **OWN), directory("a", **OWN)])
def test_a_path_of_another_package_is_an_error(tmp_path: Path, other: Item) -> None:
    root = tmp_path / "root"
    install(tmp_path, root, "one", file("a", b"1", **OWN))
    with pytest.raises(FormationError, match="/a "):
        install(tmp_path, root, "two", other)
    assert (root / "a").read_bytes() == b"1"


def test_linking_the_same_package_again_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for _ in range(2):
        install(tmp_path, root, "one", file("a", b"1", **OWN), symlink("s", "a", **OWN))
    assert (root / "a").read_bytes() == b"1"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_files_are_copied_where_they_cannot_be_linked(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, real = tmp_path / "root", os.link

    def link(source: bytes, place: bytes, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool) -> None:
        if os.path.realpath(f"/proc/self/fd/{src_dir_fd}") != os.path.realpath(f"/proc/self/fd/{dst_dir_fd}"):
            raise OSError(code, "no")
        real(source, place, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "link", link)
    items = [
        file("a", b"1" * 3_000_000, mode=0o4711, **OWN),
        hard_link("b", "a", mode=0o4711, **OWN),
        symlink("s", "a", **OWN),
    ]
    install(tmp_path, root, "one", *items)
    copied = (root / "a").stat()
    assert copied.st_ino != (tmp_path / "trees/one" / file_name("a")).stat().st_ino
    assert (copied.st_mode & 0o7777, copied.st_mtime, copied.st_nlink, copied.st_size) == (0o4711, 1, 2, 3_000_000)
    assert os.readlink(root / "s") == "a"


def test_directories_that_nothing_announces_are_made(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[file("x/y/a", **OWN)], parents=False)
    kept, out, root = tmp_path / "kept", tmp_path / "segments", tmp_path / "root"
    if os.geteuid() != 0:
        pytest.skip("implied directories belong to root")
    segment = make_segment(deb, sha256_file(deb), SegmentSpec(epoch=1), kept=kept, out=out)
    root.mkdir()
    link_tree(kept, root, read_entries(out, segment))
    assert (root / "x/y").stat().st_mode & 0o7777 == 0o755
    assert (root / "x/y/a").exists()


@pytest.mark.root
def test_files_that_somebody_will_change_are_copies_and_take_the_place_of_what_is_there(tmp_path: Path) -> None:
    root, kept = tmp_path / "root", tmp_path / "trees/one"
    files = [file("b", b"new", mode=0o4755, uid=5), hard_link("a", "b", mode=0o4755, uid=5), symlink("s", "b")]
    entries = [each for each in install(tmp_path, tmp_path / "other", "one", *files) if each.path in ("a", "b", "s")]
    root.mkdir()
    (root / "outside").write_text("kept")
    (root / "a.new").symlink_to("outside")
    (root / "s").write_text("old")
    link_tree(kept, root, entries, {"a": "a.new"}, anew=True)
    assert os.readlink(root / "s") == "b" and (root / "outside").read_text() == "kept"
    status = (root / "b").stat()
    assert status.st_ino == (root / "a.new").lstat().st_ino != (kept / file_name("b")).stat().st_ino
    assert (status.st_mode & 0o7777, status.st_uid, (root / "b").read_bytes()) == (0o4755, 5, b"new")


def test_files_get_again_the_mode_and_time_that_a_copy_of_the_store_has_lost(tmp_path: Path) -> None:
    files = [file("a", b"x", mode=0o4711, mtime=1, **OWN), file("b", mtime=1, **OWN)]
    entries = install(tmp_path, tmp_path / "root", "one", *files)
    shutil.copytree(tmp_path / "trees/one", tmp_path / "copy", copy_function=shutil.copyfile)
    (tmp_path / "other").mkdir()
    link_tree(tmp_path / "copy", tmp_path / "other", entries)
    status = (tmp_path / "other/a").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o4711, 1, 2)


@pytest.mark.root
def test_files_get_again_the_owner_that_a_copy_of_the_store_has_lost(tmp_path: Path) -> None:
    entries = install(tmp_path, tmp_path / "root", "one", file("a", b"x", mode=0o2755, gid=42))
    kept = tmp_path / "trees/one" / file_name("a")
    os.chown(kept, 1000, 1000)
    (tmp_path / "other").mkdir()
    link_tree(tmp_path / "trees/one", tmp_path / "other", entries)
    assert (kept.stat().st_uid, kept.stat().st_gid, stat.S_IMODE(kept.stat().st_mode)) == (0, 42, 0o2755)


def test_names_of_one_file_are_that_also_where_a_copy_of_the_store_has_made_two_files_of_them(tmp_path: Path) -> None:
    entries = install(tmp_path, tmp_path / "root", "one", file("a", b"x", **OWN), hard_link("b", "a", **OWN))
    shutil.copytree(tmp_path / "trees/one", tmp_path / "copy")
    (tmp_path / "other").mkdir()
    link_tree(tmp_path / "copy", tmp_path / "other", entries)
    assert (tmp_path / "other/a").samefile(tmp_path / "other/b")


def test_a_file_of_another_size_is_damage_that_nothing_makes_good(tmp_path: Path) -> None:
    entries = install(tmp_path, tmp_path / "root", "one", file("a", b"x", **OWN))
    (tmp_path / "trees/one" / file_name("a")).write_bytes(b"xy")
    (tmp_path / "other").mkdir()
    with pytest.raises(IntegrityError, match="are damaged: /a"):
        link_tree(tmp_path / "trees/one", tmp_path / "other", entries)
