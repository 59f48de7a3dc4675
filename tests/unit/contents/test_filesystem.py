"""The merged view of layers, against what an engine would unpack."""

import shutil
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.contents import merge
from formation.contents.filesystem import Filesystem, filesystem
from hostile import hostile
from layer_tars import Member, contents_of, directory, file, hardlink, symlink


def merged(*layers: list[Member]) -> Filesystem:
    return filesystem(contents_of(*layers).layers)


def tree(files: Filesystem) -> dict[str, str]:
    return {path: node.entry.type for path, node in files}


def test_upper_layers_add_replace_and_remove():
    files = merged(
        [directory("etc"), file("etc/a", b"1"), file("etc/b", b"1"), directory("srv"), file("srv/x")],
        [directory("etc"), file("etc/a", b"22"), file("etc/.wh.b"), file(".wh.srv"), file("new")],
    )
    assert tree(files) == {"etc": "directory", "etc/a": "file", "new": "file"}
    assert (files.get("etc/a").entry.size, files.layer_of("etc/a"), files.layer_of("etc")) == (2, 1, 1)
    assert files.problems == ()


def test_layers_on_top_give_another_file_system_and_leave_this_one_as_it_is():
    first = [directory("etc"), file("etc/a", b"1"), file("etc/b", b"1"), symlink("lib", "usr/lib")]
    second = [file("etc/.wh.b"), file("etc/a", b"22"), file("lib/x"), file(".wh.none")]
    layers = contents_of(first, second).layers
    below = filesystem(layers[:1])
    before = dict(below), below.problems, below.children("etc")
    whole, at_once = below.with_layers(layers[1:]), filesystem(layers)
    assert (dict(whole), whole.problems) == (dict(at_once), at_once.problems)
    assert (dict(below), below.problems, below.children("etc")) == before


def test_an_opaque_directory_hides_what_is_below_and_not_what_is_beside_it():
    files = merged(
        [directory("d"), file("d/old"), directory("d/sub"), file("d/sub/old")],
        [directory("d"), file("d/new"), file("d/.wh..wh..opq")],
    )
    assert tree(files) == {"d": "directory", "d/new": "file"}


def test_a_whiteout_is_about_lower_layers_only():
    files = merged([directory("d")], [file("d/a"), file("d/.wh.a")])
    assert "d/a" in files


def test_a_directory_that_becomes_a_file_loses_what_is_in_it_and_the_other_way_round():
    files = merged([directory("a"), file("a/x"), file("b")], [file("a"), directory("b"), file("b/y")])
    assert tree(files) == {"a": "file", "b": "directory", "b/y": "file"}


def test_a_hard_link_shares_what_its_target_was_when_it_was_made():
    files = merged(
        [directory("etc"), file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), hardlink("etc/link", "etc/passwd")],
        [file("etc/passwd", b"other:x:1:1::/:/bin/sh\n")],
    )
    assert files.get("etc/link").entry.type == "file"
    assert files.content("etc/link").startswith(b"root")
    assert files.content("etc/passwd").startswith(b"other")
    assert [user.name for user in files.users()[0]] == ["other"]


def test_what_engines_disagree_about_is_told():
    files = merged(
        [directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib")],
        [file("lib/x"), file("opt/app/bin"), file("usr/.wh.never")],
    )
    assert {(problem.kind, problem.path) for problem in files.problems} == {
        ("below-symlink", "lib/x"),
        ("missing-parent", "opt"),
        ("missing-parent", "opt/app"),
        ("whiteout-of-nothing", "usr/never"),
    }
    assert "usr/lib/x" in files


def test_look_up_follows_links_as_a_container_does():
    files = merged(
        [
            directory("usr"),
            directory("usr/bin"),
            file("usr/bin/dash"),
            symlink("usr/bin/sh", "dash"),
            symlink("bin", "usr/bin"),
            symlink("up", "../../../usr"),
            symlink("loop", "pool"),
            symlink("pool", "loop"),
            symlink("self", "self/x"),
        ]
    )
    assert files.resolve("/bin/sh") == "usr/bin/dash"
    assert files.resolve("bin/sh", follow_last=False) == "usr/bin/sh"
    assert files.resolve("up/bin/../bin/./sh") == "usr/bin/dash"
    assert files.find("usr/bin/dash/x") is None
    assert files.resolve("loop") is None and files.resolve("self") is None
    assert files.resolve("usr/new") == "usr/new"
    assert files.find("usr/new") is None
    assert files.resolve("") == ""


def test_chains_of_links_are_followed_as_far_as_linux_does():
    def chain(length: int) -> Filesystem:
        return merged([file("l0"), *(symlink(f"l{number}", f"l{number - 1}") for number in range(1, length + 1))])

    assert chain(40).resolve("l40") == "l0"
    assert chain(41).resolve("l41") is None


def test_paths_are_sorted_with_a_directory_before_what_is_in_it():
    files = merged([directory("a-b"), directory("a"), file("a/z"), file("a.b")])
    assert files.paths() == ("a", "a/z", "a-b", "a.b")


def test_very_deep_paths_and_very_many_missing_directories_are_left_out(monkeypatch: pytest.MonkeyPatch):
    files = merged([file("/".join("d" * 300))])
    assert [problem.kind for problem in files.problems] == ["limit"]
    monkeypatch.setattr(merge, "_MOST_IMPLIED", 3)
    files = merged([file("a/b/x"), file("c/d/x"), file("a/b/y")])
    assert "a/b/x" in files and "c/d/x" not in files and "a/b/y" in files


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)


@st.composite
def _layers(draw: st.DrawFn) -> list[list[tuple[str, str]]]:
    """Kind and path of the entries of some layers; a layer has each path once, and no file above another entry."""
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        entries: dict[str, str] = {}
        for kind, path in draw(st.lists(st.tuples(st.sampled_from(["file", "dir", "wh", "opq"]), _PATHS), max_size=6)):
            parents = {str(parent) for parent in PurePosixPath(path).parents}
            above = any(entries.get(parent, "dir") not in ("dir", "opq") for parent in parents)
            below = any(other.startswith(f"{path}/") for other in entries)
            if path not in entries and not above and not (below and kind != "dir"):
                entries[path] = kind
        layers.append(list(entries.items()))
    return layers


def unpack(layers: list[list[tuple[str, str]]], root: Path) -> None:
    """What umoci does: whiteouts of a layer first, then its entries."""
    for entries in layers:
        for path, kind in entries:
            target = root / path
            if kind == "wh":
                remove(target)
            elif kind == "opq" and target.is_dir():
                for child in list(target.iterdir()):
                    remove(child)
        for path, kind in entries:
            if kind == "wh":
                continue
            target = root / path
            for parent in reversed(target.relative_to(root).parents):
                if not (root / parent).is_dir():
                    remove(root / parent)
                    (root / parent).mkdir()
            if kind == "file":
                remove(target)
                target.touch()
            elif not target.is_dir():
                remove(target)
                target.mkdir()


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


@given(layers=_layers())
def test_layers_merge_as_an_engine_unpacks_them(tmp_path_factory: pytest.TempPathFactory, layers):
    root = tmp_path_factory.mktemp("root")
    unpack(layers, root)
    members = []
    for entries in layers:
        members.append([])
        for path, kind in entries:
            parent, _, name = path.rpartition("/")
            if kind == "wh":
                members[-1].append(file(f"{parent}/.wh.{name}".lstrip("/")))
            elif kind == "file":
                members[-1].append(file(path))
            else:
                members[-1].append(directory(path))
                members[-1] += [file(f"{path}/.wh..wh..opq")] if kind == "opq" else []
    there = {str(path.relative_to(root)): "directory" if path.is_dir() else "file" for path in root.rglob("*")}
    assert tree(merged(*members)) == there
    shutil.rmtree(root)


@hostile
@given(
    st.lists(st.tuples(_PATHS, st.lists(st.sampled_from(["a", "b", "..", ".", "/", "c"]), min_size=1).map("/".join)))
)
def test_no_web_of_links_makes_a_look_up_hang_or_leave_the_root(links):
    files = merged([symlink(path, target) for path, target in dict(links).items()])
    for path, _ in files:
        resolved = files.resolve(path + "/a/../b")
        assert resolved is None or not {"..", ".", ""} & set(resolved.split("/")) or resolved == ""
