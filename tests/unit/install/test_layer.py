"""Layers put together from segments, and the top layer of effects and additions."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from debs import directory, file, make_deb, symlink
from formation.definition.values import Directory, File
from formation.digest import sha256_file
from formation.entry import Entry
from formation.errors import IntegrityError
from formation.install.additions import Additions
from formation.install.effects_record import Effects
from formation.install.layer import LayerStore, package_layer
from formation.install.package_files import file_name
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import Segment
from formation.install.top import build_top

EPOCH = 1_600_000_000
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    places = [tmp_path / name for name in ("segments", "trees", "layers", "blobs", "work")]
    for place in places:
        place.mkdir()
    return LayerStore(*places, "gzip")


def segment(
    store: LayerStore, where: Path, name: str, *files: object, renames: tuple[tuple[str, str], ...] = ()
) -> Segment:
    deb = make_deb(where, name, files=files)  # type: ignore[arg-type]
    made = make_segment(deb, sha256_file(deb), SegmentSpec(EPOCH, renames=renames), kept=None, out=store.segments)
    # Only root can unpack a package with its owners; the content is all that a layer reads.
    plain = gzip.decompress((store.segments / f"{made.key}.seg").read_bytes()) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        (store.trees / made.key).mkdir()
        for member in archive:
            if member.isreg() and (content := archive.extractfile(member)) is not None:
                (store.trees / made.key / file_name(member.name)).write_bytes(content.read())
    return made


def members(store: LayerStore, digest: str, diff_id: str) -> dict[str, tarfile.TarInfo]:
    """What is in a layer whose digests are right, in its order."""
    data = (store.blobs / digest.removeprefix("sha256:")).read_bytes()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    plain = gzip.decompress(data)
    assert "sha256:" + hashlib.sha256(plain).hexdigest() == diff_id
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = archive.getmembers()
        assert len({member.name for member in found}) == len(found), "a path occurs twice"
        return {member.name: member for member in found}


def test_a_layer_names_every_directory_once_before_its_files(store: LayerStore, tmp_path: Path) -> None:
    segments = [
        segment(store, tmp_path, "one", directory("usr", mtime=5), file("usr/share/a", mtime=7)),
        segment(store, tmp_path, "two", directory("usr", mtime=9), file("usr/share/b"), symlink("usr/l", "share")),
    ]
    built = package_layer(segments, store, {"usr/share": (0o2775, 0, 8)})
    found = members(store, built.digest, built.diff_id)
    assert [name for name in found if not name.startswith("var")] == [
        "usr", "usr/share", "usr/share/a", "usr/l", "usr/share/b",
    ]  # fmt: skip
    assert (found["usr"].mtime, found["usr"].mode, found["usr/share"].mode, found["usr/share"].gid) == (
        9,
        0o755,
        0o2775,
        8,
    )
    assert built.size == (store.blobs / built.digest.removeprefix("sha256:")).stat().st_size


def test_a_directory_behind_a_symlink_has_those_above_it_in_the_layer(store: LayerStore, tmp_path: Path) -> None:
    # A package ships /var/lock, which leads to /run/lock.
    shipped = segment(store, tmp_path, "one", directory("var/lock", mtime=5), renames=(("var/lock", "run/lock"),))
    built = package_layer([shipped], store, {})
    found = members(store, built.digest, built.diff_id)
    assert [(name, found[name].mtime) for name in found if name.startswith("run")] == [("run", 5), ("run/lock", 5)]


def test_a_layer_is_put_together_once(store: LayerStore, tmp_path: Path) -> None:
    segments = [segment(store, tmp_path, "one", file("a"))]
    first = package_layer(segments, store, {})
    blob = store.blobs / first.digest.removeprefix("sha256:")
    inode = blob.stat().st_ino
    assert package_layer(segments, store, {}) == first and blob.stat().st_ino == inode
    blob.write_bytes(b"cut off")
    assert package_layer(segments, store, {}) == first
    members(store, first.digest, first.diff_id)
    assert list(store.work.iterdir()) == []


def test_a_segment_that_has_rotted_is_found(store: LayerStore, tmp_path: Path) -> None:
    made = segment(store, tmp_path, "one", file("a", b"x" * 5000))
    path = store.segments / f"{made.key}.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged") as caught:
        package_layer([made], store, {})
    assert caught.value.hint == f"remove {path} and run again"
    assert list(store.blobs.iterdir()) == list(store.work.iterdir()) == []


@pytest.mark.parametrize("damage", ["shorter", "missing", "longer", "changed"])
def test_files_that_have_rotted_are_found(store: LayerStore, tmp_path: Path, damage: str) -> None:
    made = segment(store, tmp_path, "one", file("a", b"x" * 5000))
    kept = store.trees / made.key
    if damage == "missing":
        (kept / file_name("a")).unlink()
    elif damage == "changed":
        (kept / file_name("a")).write_bytes(b"x" * 4999 + b"y")
    elif damage == "shorter":
        os.truncate(kept / file_name("a"), 4000)
    else:
        # What follows the size that the segment has is never read.
        os.truncate(kept / file_name("a"), 6000)
        built = package_layer([made], store, {})
        members(store, built.digest, built.diff_id)
        return
    with pytest.raises(IntegrityError, match="damaged") as caught:
        package_layer([made], store, {})
    assert caught.value.hint == "formation cache prune --all"
    assert list(store.blobs.iterdir()) == list(store.work.iterdir()) == []


def own(**fields: object) -> dict[str, object]:
    return {"uid": os.geteuid(), "gid": os.getegid(), "mtime": 5} | fields


def effects(
    where: Path, contents: dict[str, str], *, removed: tuple[str, ...] = (), links: dict[str, str] | None = None
):
    """Effects with these files and symlinks; directories come by themselves."""
    tree = where / "tree"
    changed = []
    for path, content in contents.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
        changed.append(Entry(path, "file", 0o600, size=len(content), **own()))  # type: ignore[arg-type]
    for path, target in (links or {}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).symlink_to(target)
        changed.append(Entry(path, "symlink", 0o777, target=target, **own()))  # type: ignore[arg-type]
    for path in removed:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        os.mknod(tree / path, stat.S_IFCHR, os.makedev(0, 0))
    return Effects(where / "files", tree, tuple(sorted(changed, key=lambda entry: entry.path)), removed)


def top(store: LayerStore, stages: list[Effects], additions: Additions | None = None, below: frozenset[str] = NOTHING):
    """The entries of a top layer, and what `build_top` gives."""
    trees = [stage.tree for stage in reversed(stages)]
    made = build_top(store, stages, additions or Additions(), trees, below, EPOCH, store.work / "tree", {})
    return members(store, made.layer.digest, made.layer.diff_id), made


def test_later_stages_win_and_removals_below_become_whiteouts(store: LayerStore, tmp_path: Path) -> None:
    first = effects(tmp_path / "1", {"etc/a": "one", "etc/b": "b", "etc/d/x": "x"})
    second = effects(tmp_path / "2", {"etc/a": "two!"}, removed=("etc/b", "etc/d", "usr/shipped", "var/never"))
    found, built = top(store, [first, second], below=frozenset({"usr/shipped"}))
    assert list(found) == ["etc", "etc/a", "usr", "usr/.wh.shipped"]
    assert found["etc/a"].size == 4 and found["etc/a"].mode == 0o600
    assert [entry.path for entry in built.entries] == list(found)
    assert built.layer.kind == "effects"


def test_a_directory_that_a_later_stage_replaces_takes_its_content_along(store: LayerStore, tmp_path: Path) -> None:
    first = effects(tmp_path / "1", {"etc/d/x": "x"})
    with_directory = replace(first, changed=(Entry("etc/d", "directory", 0o755), *first.changed))
    found, _ = top(store, [with_directory, effects(tmp_path / "2", {}, links={"etc/d": "/srv"})])
    assert list(found) == ["etc", "etc/d"] and found["etc/d"].linkname == "/srv"


def test_names_of_one_file_are_hard_links_to_the_first_and_lists_are_written(store: LayerStore, tmp_path: Path) -> None:
    stage = effects(tmp_path / "1", {"usr/a": "x", "usr/z": "x", "usr/other": "x"})
    (stage.tree / "usr/z").unlink()
    (stage.tree / "usr/z").hardlink_to(stage.tree / "usr/a")
    made = build_top(
        store, [stage], Additions(), [stage.tree], NOTHING, EPOCH, store.work / "tree", {"var/p.list": b"/.\n"}
    )
    found = members(store, made.layer.digest, made.layer.diff_id)
    assert [name for name in found if found[name].islnk()] == ["usr/z"] and found["usr/z"].linkname == "usr/a"
    assert found["var/p.list"].size == 3 and (store.work / "tree/var/p.list").read_bytes() == b"/.\n"


def test_additions_come_last_and_parents_keep_their_mode(store: LayerStore, tmp_path: Path) -> None:
    stage = effects(tmp_path / "1", {"etc/conf.d/a": "script"}, removed=("etc/back",))
    (stage.tree / "etc/conf.d").chmod(0o750)
    additions = Additions(
        directories=(Directory("/srv/app", "0", "0", 0o700),),
        files=(
            File("/etc/conf.d/a", "0", "0", 0o644, b"definition", None),
            File("/etc/back", "0", "0", 0o644, b"", None),
        ),
    )
    found, _ = top(store, [stage], additions, frozenset({"etc/back"}))
    assert list(found) == ["etc", "etc/back", "etc/conf.d", "etc/conf.d/a", "srv", "srv/app"]
    assert (found["etc/conf.d"].mode, found["srv"].mode, found["srv/app"].mode) == (0o750, 0o755, 0o700)
    assert found["etc/conf.d/a"].size == 10 and found["etc/conf.d/a"].mtime == EPOCH
