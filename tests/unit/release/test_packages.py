"""What happened to the packages between two sides."""

from formation.release.packages import PackageState, package_changes


def state(name: str, version: str, *variants: str) -> PackageState:
    return PackageState(name, version, name, version, 1, f"sha256:{name}{version}", "trixie", variants)


def test_a_version_that_another_variant_adds_is_new_and_changes_none_that_was_there():
    old = [state("tool", "1.0-1", "dev"), state("tool", "2.0-1", "test")]
    (change,) = package_changes({"amd64": old}, {"amd64": [*old, state("tool", "3.0-1", "extra")]})
    assert (change.kind, change.old, change.new and change.new.version) == ("added", None, "3.0-1")


def test_of_several_versions_the_highest_go_together():
    old = [state("tool", "1.0-1", "dev"), state("tool", "2.0-1", "test")]
    new = [state("tool", "1.1-1", "dev"), state("tool", "2.1-1", "test")]
    changes = package_changes({"amd64": old}, {"amd64": new})
    assert [(change.kind, change.old, change.new) for change in changes] == [
        ("upgraded", old[1], new[1]),
        ("upgraded", old[0], new[0]),
    ]
