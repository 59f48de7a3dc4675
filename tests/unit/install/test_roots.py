"""The tree that scripts see: stacked or copied, and what shows through."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from formation.install.roots import Isolation, RootBuilder, copy_over
from trees import deep_below, make_deep

COPY = Isolation(namespaces=False, overlay=False, user_namespace=False)


def tree(where: Path, **files: str) -> Path:
    """A tree of files; `_` in a name stands for `/`."""
    where.mkdir()
    for name, content in files.items():
        path = where / name.replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return where


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.root
def test_a_copy_shows_the_topmost_of_each_path(tmp_path: Path) -> None:
    bottom = tree(tmp_path / "bottom", etc_a="a", etc_b="b", etc_c="c", dir_x="x")
    top = tree(tmp_path / "top", etc_b="B")
    os.mknod(top / "etc/c", stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(top / "dir", stat.S_IFCHR, os.makedev(0, 0))
    with RootBuilder(tmp_path, COPY).open([top, bottom]) as root:
        assert contents(root.path) == {"etc/a": "a", "etc/b": "B"}
        assert list(root.candidates())


@pytest.mark.root
def test_a_copy_keeps_owners_modes_times_and_capabilities(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", bin_ping="x", dir_f="f")
    (source / "link").symlink_to("/nowhere")
    os.chown(source / "bin/ping", 3, 4)
    (source / "bin/ping").chmod(0o4755)
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(source / "bin/ping", "security.capability", capability)
    os.chown(source / "link", 5, 6, follow_symlinks=False)
    (source / "dir").chmod(0o1770)
    os.chown(source / "dir", 7, 8)
    os.utime(source / "dir", (9, 9))
    (tmp_path / "target").mkdir()
    copy_over(source, tmp_path / "target")
    for name in ("bin/ping", "link", "dir", "dir/f"):
        one, other = (source / name).lstat(), (tmp_path / "target" / name).lstat()
        assert (one.st_mode, one.st_uid, one.st_gid, one.st_mtime) == (
            other.st_mode, other.st_uid, other.st_gid, other.st_mtime,
        )  # fmt: skip
    assert os.getxattr(tmp_path / "target/bin/ping", "security.capability") == capability


def test_a_copy_never_writes_through_a_symlink(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside")
    bottom = tree(tmp_path / "bottom")
    (bottom / "etc").symlink_to(outside)
    top = tree(tmp_path / "top", etc_evil="x")
    target = tmp_path / "target"
    target.mkdir()
    copy_over(bottom, target)
    copy_over(top, target)
    assert list(outside.iterdir()) == []
    assert contents(target) == {"etc/evil": "x"}


def test_a_pipe_is_copied_as_one_and_a_socket_is_not(tmp_path: Path) -> None:
    source = tree(tmp_path / "source", pipe="")
    os.mkfifo(source / "fifo")
    (source / "fifo").chmod(0o622)
    socket.socket(socket.AF_UNIX).bind(str(source / "socket"))
    target = tree(tmp_path / "target", fifo="in its place")
    copy_over(source, target)
    assert sorted(path.name for path in target.iterdir()) == ["fifo", "pipe"]
    assert (target / "fifo").lstat().st_mode == stat.S_IFIFO | 0o622


def test_a_second_root_goes_on_with_the_changes_of_the_first(tmp_path: Path) -> None:
    """A preinst ran in the first; then the packages are unpacked, as dpkg would over what it left."""
    bottom = tree(tmp_path / "bottom", etc_old="old")
    files = tree(tmp_path / "files", etc_new="shipped", etc_clash="shipped", dir_x="x")
    builder = RootBuilder(tmp_path, COPY)
    with builder.open([bottom]) as first:
        (first.path / "etc/made").write_text("by the preinst")
        (first.path / "etc/clash").write_text("by the preinst")
        (first.path / "dir").mkdir(mode=0o700)
        changes = first.changes
    with builder.open([files, bottom], upper=changes) as second:
        assert contents(second.path) == {
            "etc/old": "old", "etc/made": "by the preinst", "etc/clash": "shipped", "etc/new": "shipped", "dir/x": "x",
        }  # fmt: skip
        assert (second.path / "dir").stat().st_mode & 0o777 == 0o700


def test_a_daemon_is_refused_while_the_root_is_open_and_no_trace_stays(tmp_path: Path) -> None:
    base = tree(tmp_path / "base", usr_sbin_x="x")
    with RootBuilder(tmp_path, COPY).open([base]) as root:
        policy = root.path / "usr/sbin/policy-rc.d"
        assert "exit 101" in policy.read_text() and os.access(policy, os.X_OK)
    assert not policy.exists()


def test_the_policy_is_not_written_through_a_symlink(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside")
    base = tree(tmp_path / "base", usr_bin_x="x")
    (base / "usr/sbin").symlink_to(outside)
    with RootBuilder(tmp_path, COPY).open([base]):
        assert list(outside.iterdir()) == []


STACKED = """
import sys
from pathlib import Path
from formation.install import namespaces
from formation.install.roots import Isolation, RootBuilder, overlay_works
work, lower = Path(sys.argv[1]), Path(sys.argv[2])
namespaces.private_mounts()
if not overlay_works(work, user_namespace=False):
    sys.exit("no overlayfs")
builder = RootBuilder(work, Isolation(True, True, False))
with builder.open([lower]) as root:
    (root.path / "etc/a").write_text("changed")
    (root.path / "etc/b").unlink()
    print(sorted(p for p, s in root.candidates() if s is None or p == "etc/a"))
builder.close()
namespaces.unmount_below(work)
"""


@pytest.mark.root
def test_an_overlay_leaves_the_trees_below_as_they_are(tmp_path: Path) -> None:
    lower = tree(tmp_path / "lower", etc_a="a", etc_b="b")
    (tmp_path / "work").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", STACKED, tmp_path / "work", lower], capture_output=True, text=True, check=False
    )
    if "no overlayfs" in ran.stderr:
        pytest.skip("this machine cannot mount an overlay there")
    assert ran.stdout == "['etc/a', 'etc/b']\n", ran.stderr
    assert contents(lower) == {"etc/a": "a", "etc/b": "b"}


REMADE = """
import shutil, subprocess, sys
from pathlib import Path
from formation.install import namespaces
from formation.install.effects import capture
from formation.install.roots import Isolation, RootBuilder, overlay_works
work, files, lower = map(Path, sys.argv[1:4])
overlay = sys.argv[4] == "overlay"
namespaces.private_mounts()
if overlay and not overlay_works(work, user_namespace=False):
    sys.exit("no overlayfs")
builder = RootBuilder(work, Isolation(True, overlay, False))
with builder.open([lower]) as root:
    subprocess.run(["sh", "-ec", sys.argv[5]], cwd=root.path, check=True)
    changes = root.changes
with builder.open([files, lower], upper=changes) as root:
    print(sorted(p.relative_to(root.path).as_posix() for p in root.path.glob("d*/**/*")))
    changed, removed = capture(root.candidates(), root.changes, root.lowers, epoch=0)
    print([entry.path for entry in changed], removed)
builder.close()
namespaces.unmount_below(work)
"""


@pytest.mark.root
@pytest.mark.parametrize("way", ["overlay", "copy"])
@pytest.mark.parametrize(
    ("preinst", "there", "changed", "removed"),
    [
        ("rm -r d; mkdir d", ["d/new", "d/sub", "d/sub/new"], [], ["d/old", "d/sub/old"]),
        ("rm -r d", ["d/new", "d/sub", "d/sub/new"], [], ["d/old", "d/sub/old"]),
        (
            "mv d d.bak; mkdir -p d/other",
            ["d.bak/old", "d.bak/sub", "d.bak/sub/old", "d/new", "d/other", "d/sub", "d/sub/new"],
            ["d.bak", "d.bak/old", "d.bak/sub", "d.bak/sub/old", "d/other"],
            ["d/old", "d/sub/old"],
        ),
        (
            "rm -r d; mkdir -p d/sub/deep",
            ["d/new", "d/sub", "d/sub/deep", "d/sub/new"],
            ["d/sub/deep"],
            ["d/old", "d/sub/old"],
        ),
    ],
)
def test_a_directory_that_a_preinst_makes_anew_gets_what_the_package_ships(
    tmp_path: Path, way: str, preinst: str, there: list[str], changed: list[str], removed: list[str]
) -> None:
    lower = tree(tmp_path / "lower", d_old="old", d_sub_old="old")
    files = tree(tmp_path / "files", d_new="new", d_sub_new="new")
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", REMADE, tmp_path / "work", files, lower, way, preinst]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if "no overlayfs" in ran.stderr:
        pytest.skip("this machine cannot mount an overlay there")
    assert ran.stdout.splitlines() == [str(there), f"{changed} {removed}"], ran.stderr


def test_a_deep_tree_is_copied_and_replaced(tmp_path: Path) -> None:
    with deep_below(tmp_path):
        source, target, file = (tree(tmp_path / name) for name in ("source", "target", "file"))
        (make_deep(source) / "f").write_text("f")
        (file / "d").write_text("file")
        copy_over(source, target)
        assert (make_deep(target) / "f").read_text() == "f"
        copy_over(file, target)
        assert contents(target) == {"d": "file"}
