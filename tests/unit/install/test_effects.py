"""What counts as changed, and how it is kept."""

import json
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from formation.entry import Entry
from formation.errors import FormationError, IntegrityError
from formation.install.effects import capture, copy_candidates, entry_of, restore_links, upper_candidates
from formation.install.effects_record import load_effects, store_effects
from formation.install.landing import Landings
from formation.install.stacked import lower_path
from formation.store.locking import remove_tree
from trees import make_deep

EPOCH = 1_000_000


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    tree = tmp_path / "lower"
    (tree / "etc/dir").mkdir(parents=True)
    for name in ("etc/same", "etc/other", "etc/dir/gone", "etc/dir/kept"):
        (tree / name).write_text(name)
    (tree / "etc/link").symlink_to("same")
    return tree


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def changes(candidates, source: Path, lowers: list[Path]) -> tuple[list[str], list[str]]:
    changed, removed = capture(candidates, source, lowers, epoch=EPOCH)
    return [entry.path for entry in changed], removed


def copied(lower: Path, tmp_path: Path) -> Path:
    """A copy of the lower tree, as scripts would get it where overlayfs is missing."""
    copy = tmp_path / "copy"
    shutil.copytree(lower, copy, symlinks=True)
    return copy


def test_only_real_differences_of_a_copy_count(lower: Path, tmp_path: Path) -> None:
    copy = copied(lower, tmp_path)
    (copy / "etc/same").write_text("etc/same")  # touched
    (copy / "etc/other").write_text("changed")
    (copy / "etc/new").write_text("")
    (copy / "etc/dir/gone").unlink()
    (copy / "etc/link").unlink()
    (copy / "etc/link").symlink_to("other")
    (copy / "etc/dir").chmod(0o700)
    expected = ["etc/dir", "etc/link", "etc/new", "etc/other"], ["etc/dir/gone"]
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == expected


def test_a_directory_that_goes_takes_its_content_along(lower: Path, tmp_path: Path) -> None:
    copy = copied(lower, tmp_path)
    (copy / "etc/dir").rename(tmp_path / "away")
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == ([], ["etc/dir"])
    (copy / "etc/dir").symlink_to("/etc")
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == (["etc/dir"], [])


def test_sockets_are_left_out_and_hide_what_they_replace(lower: Path, tmp_path: Path) -> None:
    def make(path: Path) -> None:
        socket.socket(socket.AF_UNIX).bind(str(path))

    copy = copied(lower, tmp_path)
    (copy / "etc/same").unlink()
    make(copy / "etc/same")
    make(copy / "etc/new")
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == ([], ["etc/same"])
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    make(upper / "etc/same")
    make(upper / "etc/new")
    assert changes(upper_candidates(upper, [lower]), upper, [lower])[1] == ["etc/same"]


def test_pipes_are_kept_but_for_those_of_what_runs(lower: Path, tmp_path: Path) -> None:
    """Policy 10.6 has packages make theirs in a postinst."""
    copy, upper = copied(lower, tmp_path), tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    for root in (copy, upper):
        (root / "etc/same").unlink(missing_ok=True)
        (root / "run").mkdir()
        for path in ("etc/same", "etc/new", "run/initctl"):
            os.mkfifo(root / path)
    expected = ["etc/new", "etc/same", "run"], []
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == expected
    assert changes(upper_candidates(upper, [lower]), upper, [lower]) == expected
    assert changes(copy_candidates(copy, [upper, lower]), copy, [upper, lower]) == ([], [])


def test_an_overlays_upper_directory_says_what_is_gone(lower: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    whiteout(upper / "etc/other")
    whiteout(upper / "etc/never-there")
    (upper / "etc/same").write_text("etc/same")
    assert changes(upper_candidates(upper, [lower]), upper, [lower]) == ([], ["etc/other"])


def test_an_opaque_directory_hides_all_that_was_there(lower: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "etc/dir").mkdir(parents=True)
    (upper / "etc/dir/kept").write_text("etc/dir/kept")
    os.setxattr(upper / "etc/dir", "user.overlay.opaque", b"y")
    assert changes(upper_candidates(upper, [lower]), upper, [lower]) == ([], ["etc/dir/gone"])


def test_an_opaque_directory_hides_what_was_there_at_any_depth(lower: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "etc/dir").mkdir(parents=True)
    os.setxattr(upper / "etc", "user.overlay.opaque", b"y")
    candidates = upper_candidates(upper, [lower])
    expected = ["etc/dir/gone", "etc/dir/kept", "etc/link", "etc/other", "etc/same"]
    assert changes(candidates, upper, [lower]) == ([], expected)


@pytest.mark.parametrize("change", ["mode", "content"])
def test_what_happens_to_one_name_of_a_file_happens_to_all(lower: Path, tmp_path: Path, change: str) -> None:
    for name in ("etc/dir/name", "etc/third", "etc/removed"):
        (lower / name).hardlink_to(lower / "etc/same")
    copy = copied(lower, tmp_path / "copied")
    (copy / "etc/same").chmod(0o600) if change == "mode" else (copy / "etc/same").write_text("new")
    (copy / "etc/removed").unlink()
    # An overlay and a copy keep the names apart.
    assert len({(copy / name).stat().st_ino for name in ("etc/same", "etc/dir/name")}) == 2
    restore_links(copy_candidates(copy, [lower]), copy, copy, [lower])
    expected = ["etc/dir/name", "etc/same", "etc/third"], ["etc/removed"]
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == expected
    assert (copy / "etc/third").samefile(copy / "etc/same") and (copy / "etc/dir/name").samefile(copy / "etc/same")


def test_a_further_name_of_a_file_is_one(lower: Path, tmp_path: Path) -> None:
    """A layer has all names of a file, or it would be two."""
    (lower / "etc/third").hardlink_to(lower / "etc/same")
    copy = copied(lower, tmp_path / "copied")
    (copy / "made").hardlink_to(copy / "etc/same")
    (copy / "etc/link-to-traces").hardlink_to(copy / "etc/other")
    (copy / "etc/link-to-traces").rename(copy / "etc/machine-id")
    restore_links(copy_candidates(copy, [lower]), copy, copy, [lower])
    expected = ["etc/same", "etc/third", "made"]
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == (expected, [])
    assert (copy / "etc/third").samefile(copy / "made")


def test_names_of_an_untouched_file_stay_out_of_the_effects(lower: Path, tmp_path: Path) -> None:
    (lower / "etc/third").hardlink_to(lower / "etc/same")
    copy = copied(lower, tmp_path / "copied")
    restore_links(copy_candidates(copy, [lower]), copy, copy, [lower])
    assert changes(copy_candidates(copy, [lower]), copy, [lower]) == ([], [])


@pytest.mark.parametrize(
    "path",
    ["var/log/dpkg.log", "var/cache/ldconfig/aux-cache", "etc/machine-id", "etc/resolv.conf", "tmp/x", "dev/null",
     "var/lib/dpkg/status-old", "var/lib/dpkg/lock", "var/tmp/x", "var/lib/dpkg/diversions-old",
     "usr/sbin/policy-rc.d", "etc/ssh/ssh_host_rsa_key"],
)  # fmt: skip
def test_traces_of_the_run_never_count(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("x")
    assert path not in changes(copy_candidates(tmp_path, []), tmp_path, [])[0]


@pytest.mark.parametrize(
    "path", ["var/lib/dpkg/alternatives/x-old", "var/lib/dpkg/info/x-old.list", "var/lib/dpkg/x-old"]
)
def test_what_is_only_called_like_a_backup_of_dpkg_is_kept(tmp_path: Path, path: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text("x")
    assert path in changes(copy_candidates(tmp_path, []), tmp_path, [])[0]


def test_the_topmost_tree_that_has_a_path_is_found(lower: Path, tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/same").write_text("new")
    whiteout(top / "etc/other")
    (top / "etc/dir").symlink_to("/etc")
    found = {path: lower_path(path, [top, lower]) for path in ("etc/same", "etc/link", "etc/other", "etc/nothing")}
    assert found == {
        "etc/same": top / "etc/same",
        "etc/link": lower / "etc/link",
        "etc/other": None,
        "etc/nothing": None,
    }
    assert lower_path("etc/dir/kept", [top, lower]) is None


def test_a_symlinked_parent_is_never_followed_out_of_a_tree(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/etc").symlink_to("/etc")
    assert lower_path("etc/passwd", [tmp_path / "tree"]) is None


@pytest.mark.root
def test_a_device_is_an_error_that_names_it(tmp_path: Path) -> None:
    os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    with pytest.raises(FormationError, match="/opt/disk, which is neither"):
        entry_of(tmp_path / "disk", "opt/disk", (tmp_path / "disk").lstat(), EPOCH)


def test_a_time_in_the_future_is_clamped(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    assert entry_of(tmp_path / "f", "f", (tmp_path / "f").lstat(), EPOCH).mtime == EPOCH
    os.utime(tmp_path / "f", (5, 5))
    assert entry_of(tmp_path / "f", "f", (tmp_path / "f").lstat(), EPOCH).mtime == 5


def stored(tmp_path: Path, target: str = "effects/key"):
    source = tmp_path / "source"
    (source / "etc").mkdir(parents=True, exist_ok=True)
    (source / "etc/a").write_text("content")
    if not (source / "etc/pipe").exists():
        os.mkfifo(source / "etc/pipe")
    own = {"uid": os.geteuid(), "gid": os.getegid(), "mtime": 7}
    changed = [
        Entry("etc", "directory", 0o751, **own),
        Entry("etc/a", "file", 0o640, size=7, **own),
        Entry("etc/b", "symlink", 0o777, target="/a", **own),
        Entry("etc/pipe", "fifo", 0o620, **own),
    ]
    scratch = tmp_path / "scratch"
    (scratch / "files").mkdir(parents=True)
    landings = Landings({"var/run": "run"}, frozenset({"opt/link"}), frozenset({"etc/x"}))
    return store_effects(changed, ["etc/gone"], source, tmp_path / target, scratch, landings)


def test_names_of_one_file_are_that_in_the_store(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("x")
    (source / "b").hardlink_to(source / "a")
    (source / "c").write_text("x")
    own = {"uid": os.geteuid(), "gid": os.getegid(), "mtime": 7}
    changed = [Entry(name, "file", 0o640, size=1, **own) for name in ("a", "b", "c")]
    (tmp_path / "scratch/files").mkdir(parents=True)
    effects = store_effects(changed, [], source, tmp_path / "effects/key", tmp_path / "scratch")
    assert (effects.tree / "a").samefile(effects.tree / "b") and not (effects.tree / "a").samefile(effects.tree / "c")
    assert (effects.tree / "b").stat().st_mode & 0o7777 == 0o640


def test_stored_effects_are_read_back_and_fit_as_a_lower_tree(tmp_path: Path) -> None:
    effects = stored(tmp_path)
    assert load_effects(tmp_path / "effects/key") == effects
    assert (effects.tree / "etc/a").read_text() == "content"
    pipe = (effects.tree / "etc/pipe").lstat()
    assert (pipe.st_mode, pipe.st_mtime) == (stat.S_IFIFO | 0o620, 7)
    assert (effects.tree / "etc").stat().st_mode & 0o7777 == 0o751 and (effects.tree / "etc").stat().st_mtime == 7
    assert lower_path("etc/gone", [effects.tree]) is None and effects.removed == ("etc/gone",)


def test_effects_that_are_there_already_stay(tmp_path: Path) -> None:
    inode = stored(tmp_path).tree.stat().st_ino
    assert stored(tmp_path).tree.stat().st_ino == inode


def test_missing_effects_are_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_effects(tmp_path / "none")


@pytest.mark.parametrize(
    "lost", ["effects.json", "tree", "tree/etc", "tree/etc/b", "tree/etc/pipe", "tree/etc/gone", "files"]
)
def test_effects_of_which_a_part_is_gone_are_made_again(tmp_path: Path, lost: str) -> None:
    effects = stored(tmp_path)
    place = tmp_path / "effects/key" / lost
    remove_tree(place)
    with pytest.raises((FileNotFoundError, IntegrityError)):
        load_effects(tmp_path / "effects/key")
    assert stored(tmp_path) == effects and os.path.lexists(place)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "not json", "wrong fields"])
def test_damaged_effects_are_found_and_replaced(tmp_path: Path, damage: str) -> None:
    effects = stored(tmp_path)
    file, record = effects.tree / "etc/a", tmp_path / "effects/key/effects.json"
    match damage:
        case "cut":
            file.write_text("conten")
        case "flipped":
            file.write_text("Content")
        case "gone":
            file.unlink()
        case "not json":
            record.write_text(record.read_text()[:-5])
        case _:
            record.write_text(json.dumps({"changed": [[1]], "removed": []}))
    with pytest.raises(IntegrityError, match="damaged"):
        load_effects(tmp_path / "effects/key")
    assert (stored(tmp_path).tree / "etc/a").read_text() == "content"


def test_effects_that_were_copied_whole_are_as_good_as_before(tmp_path: Path) -> None:
    effects = stored(tmp_path)
    subprocess.run(["cp", "-a", tmp_path / "effects/key", tmp_path / "copy"], check=True)
    found = load_effects(tmp_path / "copy")
    assert (found.changed, found.removed) == (effects.changed, effects.removed)


@pytest.mark.parametrize("name", ["etc/a", "etc", "etc/pipe"])
def test_effects_with_another_mode_are_made_again(tmp_path: Path, name: str) -> None:
    effects = stored(tmp_path)
    (effects.tree / name).chmod(0o700)
    with pytest.raises(IntegrityError, match="damaged"):
        load_effects(tmp_path / "effects/key")
    assert (stored(tmp_path).tree / name).stat().st_mode & 0o777 != 0o700


@pytest.mark.parametrize("name", ["etc/a", "etc/b", "etc/pipe"])
def test_effects_with_the_times_of_a_copy_are_made_again(tmp_path: Path, name: str) -> None:
    effects = stored(tmp_path)
    os.utime(effects.tree / name, (9, 9), follow_symlinks=False)
    with pytest.raises(IntegrityError, match="damaged"):
        load_effects(tmp_path / "effects/key")
    assert (stored(tmp_path).tree / name).lstat().st_mtime == 7


@pytest.mark.root
@pytest.mark.parametrize("name", ["etc/a", "etc", "etc/b"])
def test_effects_that_belong_to_somebody_else_are_made_again(tmp_path: Path, name: str) -> None:
    effects = stored(tmp_path)
    os.chown(effects.tree / name, 0, 12345, follow_symlinks=False)
    with pytest.raises(IntegrityError, match="damaged"):
        load_effects(tmp_path / "effects/key")
    assert (stored(tmp_path).tree / name).lstat().st_gid == 0


@pytest.mark.parametrize("damage", ["mode", "time", "link", "parent"])
def test_in_a_copy_of_effects_all_files_count(tmp_path: Path, damage: str) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "files/d").mkdir(parents=True)
    (tmp_path / "source/var/lib").mkdir(parents=True)
    for name in ("a", "b"):
        (scratch / "files/d" / name).write_text("x")
        os.utime(scratch / "files/d" / name, (7, 7))
    (scratch / "files/d/c").hardlink_to(scratch / "files/d/b")
    store_effects([], ["var/lib/gone"], tmp_path / "source", tmp_path / "effects/key", scratch)
    subprocess.run(["cp", "-a", tmp_path / "effects/key", tmp_path / "copy"], check=True)
    load_effects(tmp_path / "copy")
    match damage:
        case "mode":
            (tmp_path / "copy/files/d").chmod(0o700)
        case "time":
            os.utime(tmp_path / "copy/files/d/a", (9, 9))
        case "parent":
            (tmp_path / "copy/tree/var").chmod(0o700)
        case _:
            (tmp_path / "copy/files/d/c").unlink()
            subprocess.run(["cp", "-a", tmp_path / "copy/files/d/b", tmp_path / "copy/files/d/c"], check=True)
    with pytest.raises(IntegrityError, match="damaged"):
        load_effects(tmp_path / "copy")


def test_a_path_that_no_image_may_have_ends_the_capture(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_deep(tree, 258)
    assert len(changes(copy_candidates(tree, []), tree, [])[0]) == 258
    make_deep(tree, 259)
    with pytest.raises(FormationError, match="a maintainer script made a path below more than 256 directories: /d/d"):
        changes(copy_candidates(tree, []), tree, [])
