"""What a new lock changes against the one before."""

import dataclasses

from formation.lock.changes import is_same, lock_changes
from formation.lock.model import Lock, LockedPackage, LockedSuite

SUITE = LockedSuite("debian", "http://x", "trixie", ("main",), "sha256:" + "0" * 64, 10, None, "A" * 40)


def package(name: str, version: str = "1.0", **fields: object) -> LockedPackage:
    usual = {
        "architecture": "amd64",
        "source": name,
        "source_version": version,
        "sha256": f"sha256:{name}{version}",
        "size": 1,
        "installed_size": 1,
        "archive": "debian",
        "suite": "trixie",
        "path": f"pool/{name}_{version}.deb",
        "variants": ("runtime",),
        "because": "requested",
        "essential": False,
    }
    return LockedPackage(name=name, version=version, **(usual | fields))  # type: ignore[arg-type]


def lock(*packages: LockedPackage, **more: tuple[LockedPackage, ...]) -> Lock:
    return Lock("sha256:d", 10, (SUITE,), {"amd64": packages, **more})


def changes(old: Lock | None, new: Lock) -> list[tuple[str, str]]:
    return [(change.name, str(change.kind)) for change in lock_changes(old, new)]


def test_nothing_changed_is_no_change():
    assert lock_changes(lock(package("aa")), lock(package("aa"))) == ()


def test_versions_go_up_and_down_in_dpkg_s_order():
    old = lock(package("aa", "1.9"), package("bb", "1.0"), package("cc", "1:0.1"))
    new = lock(package("aa", "1.10"), package("bb", "1.0~rc1"), package("cc", "2.0"))
    assert changes(old, new) == [("aa", "upgraded"), ("bb", "downgraded"), ("cc", "downgraded")]


def test_packages_come_and_go():
    assert changes(lock(package("aa")), lock(package("bb"))) == [("aa", "removed"), ("bb", "added")]


def test_everything_of_a_first_lock_is_added():
    assert changes(None, lock(package("aa"), package("bb"))) == [("aa", "added"), ("bb", "added")]


def test_another_file_of_the_same_version_is_a_rebuild():
    assert changes(lock(package("aa")), lock(package("aa", sha256="sha256:other"))) == [("aa", "rebuilt")]


def test_another_variant_suite_or_archive_is_a_move_that_tells_from_where():
    moves = [({"variants": ("dev",)}, ("runtime", "dev")), ({"suite": "sid"}, ("trixie", "sid"))]
    for fields, way in [*moves, ({"archive": "own"}, ("debian", "own"))]:
        (change,) = lock_changes(lock(package("aa")), lock(package("aa", **fields)))
        assert (str(change.kind), change.way) == ("moved", way)


def test_another_reason_alone_is_no_change():
    assert lock_changes(lock(package("aa")), lock(package("aa", because="bb Depends"))) == ()
    (change,) = lock_changes(lock(package("aa")), lock(package("aa", "2", because="bb Depends")))
    assert change.way is None


def test_a_change_that_several_architectures_share_is_told_once():
    old = lock(package("aa", architecture="all"), arm64=(package("aa", architecture="all"),))
    new = lock(package("aa", "2", architecture="all"), arm64=(package("aa", "2", architecture="all"),))
    (change,) = lock_changes(old, new)
    assert change.architectures == ("amd64", "arm64")


def test_versions_of_two_variants_are_compared_in_order():
    old = lock(package("aa", "1", variants=("x",)), package("aa", "3", variants=("y",)))
    new = lock(package("aa", "2", variants=("x",)), package("aa", "4", variants=("y",)))
    found = {
        (change.old and change.old.version, change.new and change.new.version) for change in lock_changes(old, new)
    }
    assert found == {("1", "2"), ("3", "4")}


def test_a_lock_with_other_dates_of_its_suites_only_is_the_same():
    old = lock(package("aa"))
    newer = dataclasses.replace(SUITE, date=20, valid_until=30, sha256="sha256:" + "1" * 64, signed_by="B" * 40)
    assert is_same(old, dataclasses.replace(old, epoch=20, suites=(newer,)))


def test_a_lock_with_another_package_definition_or_archive_is_another():
    old = lock(package("aa"))
    assert not is_same(old, lock(package("aa", "2")))
    assert not is_same(old, dataclasses.replace(old, definition="sha256:e"))
    assert not is_same(old, dataclasses.replace(old, suites=(dataclasses.replace(SUITE, uri="http://y"),)))
    assert not is_same(old, lock(package("aa"), arm64=()))
