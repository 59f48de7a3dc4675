"""What a build finds in the store is what the lock names, and counts as used, so that a prune by age leaves it."""

from pathlib import Path

import pytest

from debs import file, make_deb
from formation.digest import sha256_file
from formation.errors import MalformedError
from formation.install import work
from formation.install.effects_record import store_effects
from formation.install.job import PackageJob
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import segment_key
from formation.install.stages import Stage
from formation.store.store import Store

SPEC = SegmentSpec(epoch=work.FAR, compression="gzip", path_excludes=(), path_includes=())


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collects what is marked as used."""
    marked: list[Path] = []
    monkeypatch.setattr(work, "mark_used", marked.append)
    return marked


@pytest.mark.root
def test_a_segment_that_is_found_counts_as_used_with_its_tree(tmp_path: Path, used: list[Path]) -> None:
    store = Store(tmp_path / "store")
    deb = make_deb(tmp_path, files=[file("usr/bin/hello", b"x")])
    digest = sha256_file(deb)
    package = PackageJob("hello", "1.0", "all", digest, False, deb.stat().st_size)
    assert work.known_segment(store, package, SPEC, work.FAR) is None
    key = segment_key(digest, SPEC)
    make_segment(deb, digest, SPEC, kept=store.trees / key, out=store.segments)
    assert used == []
    assert work.known_segment(store, package, SPEC, work.FAR) is not None
    assert used == [store.segments / f"{key}.json", store.trees / key]


@pytest.mark.root
@pytest.mark.parametrize(
    ("package", "told"),
    [
        (("jq", "1.0", "all"), "calls jq 1.0 calls itself hello 1.0"),
        (("hello", "1.1", "all"), "calls hello 1.1 calls itself hello 1.0"),
        (("hello", "1.0", "amd64"), "hello 1.0 is for 'all', and not for 'amd64' as the lock says"),
    ],
)
def test_a_segment_of_the_digest_that_a_lock_has_for_another_package_is_refused(
    tmp_path: Path, package: tuple[str, str, str], told: str
) -> None:
    store = Store(tmp_path / "store")
    deb = make_deb(tmp_path)
    digest = sha256_file(deb)
    segment = make_segment(deb, digest, SPEC, kept=store.trees / segment_key(digest, SPEC), out=store.segments)
    right = PackageJob("hello", "1.0", "all", digest, False, deb.stat().st_size)
    assert work.stage_package(store, right, segment).version == "1.0"
    with pytest.raises(MalformedError, match=told):
        work.stage_package(store, PackageJob(*package, digest, False, deb.stat().st_size), segment)


@pytest.mark.root
def test_a_conffile_that_a_package_both_ships_and_wants_removed_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    conffiles = {"conffiles": "remove-on-upgrade /etc/old\n/etc/new\n"}
    for name, path in (("good", "etc/new"), ("bad", "etc/old")):
        deb = make_deb(tmp_path, name, files=[file(path)], control=conffiles)
        package = PackageJob(name, "1.0", "all", sha256_file(deb), False, deb.stat().st_size)
        place = store.download(package.digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        deb.rename(place)
        work.unpack(store, package, SPEC, work.FAR)
        # The next build finds it in the store.
        segment = work.known_segment(store, package, SPEC, work.FAR)
        assert segment is not None
        if name == "good":
            assert work.stage_package(store, package, segment).listed == ("/.", "/etc", "/etc/new")
            continue
        with pytest.raises(
            MalformedError, match=r"^bad 1.0: its conffiles have '/etc/old' for removal on upgrade, and"
        ):
            work.stage_package(store, package, segment)


def test_effects_that_are_found_count_as_used(tmp_path: Path, used: list[Path]) -> None:
    store = Store(tmp_path / "store")
    stage = Stage(key="0" * 64, packages=(), epoch=0, bootstrap=False)
    assert work.known_effects(store, stage) is None
    (tmp_path / "scratch/files").mkdir(parents=True)
    store_effects((), (), tmp_path, store.effects / stage.key, tmp_path / "scratch")
    assert used == []
    assert work.known_effects(store, stage) is not None
    assert used == [store.effects / stage.key]


@pytest.mark.root
def test_a_name_with_a_character_that_ends_lines_elsewhere_is_one_path(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    deb = make_deb(tmp_path, files=[file("opt/a\u2028b\x0cc", b"x")])
    digest = sha256_file(deb)
    segment = make_segment(deb, digest, SPEC, kept=store.trees / segment_key(digest, SPEC), out=store.segments)
    package = PackageJob("hello", "1.0", "all", digest, False, deb.stat().st_size)
    assert work.stage_package(store, package, segment).listed == ("/.", "/opt", "/opt/a\u2028b\x0cc")
