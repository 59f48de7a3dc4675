"""What a power cut may have damaged is made again; what was synced before, or in this boot, stays."""

import json
import os
import threading
from pathlib import Path

import pytest

from formation.digest import sha256
from formation.store import unsynced
from formation.store.locking import in_use
from formation.store.store import Store
from formation.store.unsynced import boot_id, forget_damaged, sync_behind

NOW = 1_800_000_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that was noted in the boot `one` at NOW, with entries from before and from after."""
    store = Store(tmp_path / "store")
    assert forget_damaged(store, "one", NOW) == []
    for key, made in (("old", NOW - 100), ("new", NOW + 100)):
        (store.trees / key / "usr").mkdir(parents=True)
        (store.effects / key / "tree").mkdir(parents=True)
        store.segments.mkdir(exist_ok=True)
        for file in (
            *(store.segments / f"{key}.{end}" for end in ("json", "seg")),
            store.effects / key / "effects.json",
        ):
            file.write_text("{}")
            os.utime(file, (made, made))
    return store


def names(store: Store) -> list[str]:
    """What is in the store that a build would take."""
    found = [path for directory in (store.segments, store.trees, store.effects) for path in directory.iterdir()]
    return sorted(f"{path.parent.name}/{path.name}" for path in found if not path.name.startswith("."))


OLD = ["effects/old", "segments/old.json", "segments/old.seg", "trees/old"]


def test_in_the_same_boot_everything_stays(store: Store) -> None:
    before = names(store)
    assert forget_damaged(store, "one", NOW + 200) == []
    assert names(store) == before


def test_after_a_reboot_only_what_was_synced_is_left(store: Store) -> None:
    gone = forget_damaged(store, "two", NOW + 200)
    assert names(store) == OLD
    assert sorted(path.name for path in gone) == [".gone-new", ".gone-new", ".gone-new.json", ".gone-new.seg"]
    assert all(path.exists() for path in gone)
    assert forget_damaged(store, "two", NOW + 300) == []


def test_a_tree_or_segment_without_its_record_is_not_left(store: Store) -> None:
    (store.segments / "old.json").unlink()
    (store.effects / "old" / "effects.json").unlink()
    forget_damaged(store, "two", NOW + 200)
    assert names(store) == []


def test_of_downloads_only_those_that_are_damaged_go(store: Store) -> None:
    whole, damaged, old = (store.download(sha256(name)) for name in (b"whole", b"damaged", b"old"))
    for path, content, made in ((whole, b"whole", 100), (damaged, b"\0" * 7, 100), (old, b"not read", -100)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (NOW + made, NOW + made))
    assert forget_damaged(store, "one", NOW + 200) == []
    gone = forget_damaged(store, "two", NOW + 200)
    assert damaged.with_name(f".gone-{damaged.name}") in gone
    assert [path.exists() for path in (whole, damaged, old)] == [True, False, True]


def test_a_note_that_is_damaged_vouches_for_nothing(store: Store) -> None:
    (store.root / "unsynced.json").write_bytes(b"\0" * 40)
    forget_damaged(store, "one", NOW + 200)
    assert names(store) == []


def test_what_was_synced_behind_a_later_build_outlives_a_power_cut(store: Store) -> None:
    assert sync_behind(store, "one", NOW + 10) is None, "what is that recent, the kernel has not written yet"
    assert sync_behind(store, "two", NOW + 1000) is None
    syncing = sync_behind(store, "one", NOW + 1000)
    assert syncing is not None
    syncing.join()
    before = names(store)
    assert forget_damaged(store, "two", NOW + 2000) == []
    assert names(store) == before


def test_a_sync_that_failed_vouches_for_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def syncfs(self, _: int) -> int:
            return -1

    monkeypatch.setattr("ctypes.CDLL", Broken)
    before = (store.root / "unsynced.json").read_bytes()
    syncing = sync_behind(store, "one", NOW + 1000)
    assert syncing is not None
    syncing.join()
    assert (store.root / "unsynced.json").read_bytes() == before


def test_two_builds_after_a_reboot_remove_it_once(store: Store) -> None:
    """Both saw the old note; the second waits for the first, and must not take what that has made since."""
    found: list[list[Path]] = []
    with in_use(store):
        builds = [
            threading.Thread(target=lambda: found.append(forget_damaged(store, "two", NOW + 200))) for _ in range(2)
        ]
        for build in builds:
            build.start()
        assert names(store) != OLD
    for build in builds:
        build.join()
    assert sorted(map(len, found)) == [0, 4]
    assert names(store) == OLD


def test_the_note_says_the_boot_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    forget_damaged(store, boot_id(), NOW)
    told = json.loads((tmp_path / "unsynced.json").read_bytes())
    assert told == {"boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "since": NOW - 2}
    monkeypatch.setattr(unsynced, "_BOOT_ID", tmp_path / "missing")
    assert boot_id() == ""
