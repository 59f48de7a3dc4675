import os
import time

import pytest

from formation.digest import sha256
from formation.errors import FormationError
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.store.blobs import add_bytes, add_image, has_blob
from formation.store.images import list_images, open_stored, tag_image
from formation.store.locking import in_use, remove_tree, work_directory
from formation.store.prune import KINDS, mark_used, prune, usage
from formation.store.store import Store
from tiny_images import tiny_image
from trees import deep_below, make_deep

LOCK = b"lock"
OLD, NEW = 1_000_000, 2_000_000


@pytest.fixture
def store(tmp_path):
    """A store with one image and its lock, one blob of no image, and an old and a new entry of each other kind."""
    store = Store(tmp_path / "store")
    image = tiny_image(annotations={LOCK_DIGEST: sha256(LOCK)})
    tag_image(store, parse_reference("a:1"), add_image(store, image))
    add_bytes(store, LOCK)
    add_bytes(store, b"nobody's")
    for age, name in ((OLD, "old"), (NEW, "new")):
        digest = sha256(name.encode())
        files = [
            store.download(digest), store.metadata / name / "InRelease", store.segments / f"{name}.gz",
            store.segments / f"{name}.json", store.effects / f"{name}.tar", store.trees / name / "usr" / "file",
        ]  # fmt: skip
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
            os.utime(file, (age, age))
    return store


class Clock:
    """A clock that stands still, some days from now."""

    start = time.time_ns()

    def __init__(self, days):
        self._now = self.start + days * 86_400 * 10**9

    def time(self):
        return self._now / 1e9

    def time_ns(self):
        return self._now


def counts(usages):
    return {usage.kind: usage.entries for usage in usages if usage.entries}


def test_usage_counts_every_kind(store):
    found = usage(store)
    assert [kind.kind for kind in found] == list(KINDS)
    assert counts(found) == {
        "downloads": 2, "metadata": 2, "segments": 2, "trees": 2, "effects": 2, "blobs": 6, "images": 1
    }  # fmt: skip
    assert all(kind.size > 0 for kind in found if kind.entries)


def test_the_usage_of_a_store_that_does_not_exist_is_nothing(tmp_path):
    assert counts(usage(Store(tmp_path / "missing"))) == {}


def test_prune_removes_what_is_old_and_the_blobs_of_no_image(store):
    freed = prune(store, before=(OLD + NEW) / 2, remove=remove_tree)
    assert counts(freed) == {"downloads": 1, "metadata": 1, "segments": 1, "effects": 1, "blobs": 1}
    assert store.download(sha256(b"new")).exists()
    assert not store.download(sha256(b"old")).exists()
    assert sorted(path.name for path in store.segments.iterdir()) == ["new.gz", "new.json"]
    assert not has_blob(store, sha256(b"nobody's"))
    assert has_blob(store, sha256(LOCK))
    assert validate(open_stored(store, parse_reference("a:1"))) == ()


def test_a_tree_is_as_old_as_its_last_use_whatever_its_package_says(store, monkeypatch):
    old, new = store.trees / "old", store.trees / "new"
    os.utime(new, (0, 0))
    monkeypatch.setattr("formation.store.prune.time", Clock(days=2))
    while new.stat().st_ctime_ns <= old.stat().st_ctime_ns:
        mark_used(new)
    list(old.iterdir())
    prune(store, before=new.stat().st_ctime, remove=remove_tree)
    assert [path.name for path in store.trees.iterdir()] == ["new"]
    assert new.stat().st_mtime == 0


def test_a_second_use_on_one_day_writes_nothing(store, monkeypatch):
    tree = store.trees / "old"
    before = tree.stat()
    mark_used(tree)
    assert tree.stat() == before
    monkeypatch.setattr("formation.store.prune.time", Clock(days=2))
    mark_used(tree)
    assert tree.stat().st_atime_ns == Clock(days=2).time_ns()
    assert tree.stat().st_mtime_ns == before.st_mtime_ns


def test_a_file_that_is_marked_as_used_stays(store):
    mark_used(store.segments / "old.gz")
    mark_used(store.segments / "missing")
    prune(store, before=(OLD + NEW) / 2, remove=remove_tree)
    assert (store.segments / "old.json").exists()


def test_a_dry_run_says_the_same_and_removes_nothing(store):
    before = counts(usage(store))
    dry = prune(store, before=None, remove=remove_tree, keep_images=False, dry_run=True)
    assert counts(usage(store)) == before
    assert prune(store, before=None, remove=remove_tree, keep_images=False) == dry


def test_a_segment_of_which_one_file_was_used_stays_whole(store):
    os.utime(store.segments / "old.json", (NEW, NEW))
    prune(store, before=(OLD + NEW) / 2, remove=remove_tree)
    assert (store.segments / "old.gz").exists()


def test_pruning_all_keeps_images_unless_told_otherwise(store):
    prune(store, before=None, remove=remove_tree)
    assert counts(usage(store)) == {"blobs": 5, "images": 1}
    prune(store, before=None, remove=remove_tree, keep_images=False)
    assert counts(usage(store)) == {}
    assert list_images(store) == ()


def test_an_image_whose_manifest_is_not_there_is_told_and_stops_no_prune(store):
    other = tiny_image([{"x": b"x"}])
    tag_image(store, parse_reference("b:1"), add_image(store, other))
    store.blob(other.digest).unlink()
    notes = []
    for _ in range(2):
        prune(store, before=None, remove=remove_tree, note=notes.append)
    remedy = "pull or build it again, or forget it: formation images --remove b:1"
    assert notes == [f"the store lacks {other.digest} of b:1: {remedy}"] * 2
    assert not has_blob(store, other.manifest.layers[0].digest)
    assert validate(open_stored(store, parse_reference("a:1"))) == ()
    assert [str(image.reference) for image in list_images(store)] == ["a:1", "b:1"]


def test_what_killed_runs_left_is_removed(store):
    (store.trees / ".gone-old" / "usr").mkdir(parents=True)
    (store.blobs / ".abc.tmp").write_text("half")
    (store.work / "0123").mkdir(parents=True)
    (store.work / "0123.lock").write_text("")
    prune(store, before=0, remove=remove_tree)
    assert not list(store.root.rglob(".*"))
    assert list(store.work.iterdir()) == []
    assert (store.trees / "old").exists()


def test_a_tree_is_renamed_before_it_is_taken_apart(store):
    seen = []

    def killed(path):
        seen.append(path.name)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prune(store, before=None, remove=lambda p: killed(p) if p.parent == store.trees else remove_tree(p))
    assert seen == [".gone-new"]
    prune(store, before=0, remove=remove_tree)
    assert [path.name for path in store.trees.iterdir()] == ["old"]


def test_what_cannot_be_removed_is_named_after_the_rest_is_gone(store):
    def refuse(path):
        if path.parent == store.trees:
            raise PermissionError(1, "Operation not permitted")
        remove_tree(path)

    with pytest.raises(FormationError, match="2 entries could not be removed"):
        prune(store, before=None, remove=refuse)
    assert counts(usage(store)) == {"trees": 2, "blobs": 5, "images": 1}


def test_prune_does_not_run_beside_a_user_of_the_store(store):
    for used in (in_use, work_directory):
        with used(store), pytest.raises(FormationError, match="is in use"):
            prune(store, before=None, remove=remove_tree)
    assert store.download(sha256(b"old")).exists()


def test_a_deep_tree_is_counted_and_removed(store, tmp_path):
    with deep_below(tmp_path):
        place = store.effects / "deep"
        place.mkdir(parents=True)
        (make_deep(place) / "file").write_text("x" * 10_000)
        size = next(each.size for each in usage(store) if each.kind == "effects")
        assert size >= 10_000
        prune(store, before=None, remove=remove_tree)
        assert not place.exists()
