"""The layers of a base as one tree: what is left of them, and nothing outside."""

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from formation.contents.filesystem import filesystem
from formation.contents.image import scan_layers
from formation.entry import Entry
from formation.errors import FormationError, IntegrityError
from formation.install.base_tree import base_tree
from formation.oci.image import Layer
from formation.store.store import Store
from layer_tars import Member, directory, file, hardlink, layer_of, symlink, tar_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.trees.mkdir(parents=True)
    return store


def own(member: Member) -> Member:
    """The same, of whoever runs the test: only root can give files away."""
    entry, *content = member if isinstance(member, tuple) else (member,)
    entry = replace(entry, uid=os.geteuid(), gid=os.getegid())
    return (entry, *content) if content else entry  # type: ignore[return-value]


def layers_of(*layers: list[Member]) -> tuple[Layer, ...]:
    return tuple(layer_of(tar_of(*map(own, members)), "gzip") for members in layers)


def unpacked(store: Store, layers: tuple[Layer, ...], work: Path) -> Path:
    work.mkdir(exist_ok=True)
    contents = scan_layers(layers, None, workers=1)
    return base_tree(store, layers, contents, filesystem(contents), work)


def listing(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


def test_the_tree_has_what_is_left_of_all_layers(store: Store, tmp_path: Path) -> None:
    first = [directory("etc", 0o750), file("etc/a", b"old"), file("etc/gone"), directory("opt"), file("opt/x")]
    second = [file("etc/a", b"new", 0o600), file("etc/.wh.gone"), file(".wh.opt"), symlink("bin", "usr/bin")]
    tree = unpacked(store, layers_of(first, second), tmp_path / "work")
    assert listing(tree) == ["bin", "etc", "etc/a"]
    assert (tree / "etc/a").read_bytes() == b"new"
    assert stat.S_IMODE((tree / "etc").stat().st_mode) == 0o750
    assert stat.S_IMODE((tree / "etc/a").stat().st_mode) == 0o600
    assert os.readlink(tree / "bin") == "usr/bin"


def test_names_of_one_file_stay_names_of_one_file_also_when_the_first_is_removed(store: Store, tmp_path: Path) -> None:
    first = [file("a", b"x"), hardlink("b", "a"), hardlink("c", "a")]
    tree = unpacked(store, layers_of(first, [file(".wh.a")]), tmp_path / "work")
    assert listing(tree) == ["b", "c"]
    assert (tree / "b").samefile(tree / "c") and (tree / "b").read_bytes() == b"x"


def test_the_last_of_a_path_that_a_layer_has_twice_counts(store: Store, tmp_path: Path) -> None:
    tree = unpacked(store, layers_of([file("a", b"1"), file("a", b"second")]), tmp_path / "work")
    assert (tree / "a").read_bytes() == b"second"


@pytest.mark.parametrize(
    "members",
    [
        [symlink("out", "/etc"), file("out/evil", b"x")],
        [symlink("out", "../../.."), directory("out/d"), file("out/d/evil", b"x")],
        [file("../evil", b"x")],
        [file("/evil", b"x")],
        [symlink("a", "b"), symlink("b", "a"), file("a/evil", b"x")],
    ],
)
def test_nothing_is_written_outside_the_tree(store: Store, tmp_path: Path, members: list[Member]) -> None:
    unpacked(store, layers_of([file("ok", b"1")], members), tmp_path / "work")
    found = [path for path in tmp_path.rglob("evil") if not path.is_relative_to(store.trees)]
    assert found == [] and not Path("/etc/evil").exists()


def test_devices_are_left_out_and_pipes_are_not(store: Store, tmp_path: Path) -> None:
    odd = [
        Entry("null", "character", 0o666, device=(1, 3)),
        Entry("hidden", "character", 0),
        Entry("pipe", "fifo", 0o606),
    ]
    tree = unpacked(store, layers_of([file("a"), *odd]), tmp_path / "work")
    assert listing(tree) == ["a", "pipe"]
    assert (tree / "pipe").lstat().st_mode == stat.S_IFIFO | 0o606


def test_a_layer_that_is_not_what_it_was_leaves_no_tree(store: Store, tmp_path: Path) -> None:
    layers = layers_of([file("a", b"x" * 5000)])
    contents = scan_layers(layers, None, workers=1)
    (other,) = layers_of([file("a", b"y" * 5000)])
    damaged = (Layer(layers[0].descriptor, layers[0].diff_id, other.source),)
    other.source.content[layers[0].descriptor.digest] = other.source.open_blob(other.descriptor.digest).read()  # type: ignore[attr-defined]
    (tmp_path / "work").mkdir()
    with pytest.raises((IntegrityError, FormationError)):
        base_tree(store, damaged, contents, filesystem(contents), tmp_path / "work")
    assert list(store.trees.iterdir()) == []


def test_the_same_layers_are_unpacked_once(store: Store, tmp_path: Path) -> None:
    layers = layers_of([file("a")])
    tree = unpacked(store, layers, tmp_path / "work")
    before = (tree / "a").stat()
    assert unpacked(store, layers, tmp_path / "other") == tree
    assert (tree / "a").stat() == before and list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("damage", ["mode", "time", "link", "gone"])
def test_a_tree_that_a_copy_of_the_store_has_spoilt_is_made_again(store: Store, tmp_path: Path, damage: str) -> None:
    layers = layers_of([directory("etc", 0o750), file("etc/a", b"x", 0o4755), hardlink("etc/b", "etc/a")])
    tree = unpacked(store, layers, tmp_path / "one")
    right = (tree / "etc/a").stat()
    match damage:
        case "mode":
            (tree / "etc").chmod(0o755)
        case "time":
            os.utime(tree / "etc/a", (9, 9))
        case "link":
            (tree / "etc/b").unlink()
            shutil.copy2(tree / "etc/a", tree / "etc/b")
        case _:
            (tree / "etc/b").unlink()
    assert unpacked(store, layers, tmp_path / "two") == tree
    found = (tree / "etc/b").stat()
    assert (found.st_mode, found.st_mtime, found.st_nlink) == (right.st_mode, right.st_mtime, 2)
    assert stat.S_IMODE((tree / "etc").stat().st_mode) == 0o750


def test_what_does_not_fit_is_not_begun(store: Store, tmp_path: Path) -> None:
    layers = layers_of([file("a", b"x")])
    contents = scan_layers(layers, None, workers=1)
    (entry,) = contents[0].entries
    huge = replace(contents[0], entries=(entry._replace(size=1 << 60),))
    (tmp_path / "work").mkdir()
    with pytest.raises(FormationError, match=r"the base takes 1152921504606846976 bytes, and .* left"):
        base_tree(store, layers, (huge,), filesystem((huge,)), tmp_path / "work")
