"""Files that two packages ship."""

import pytest

from formation.dataclass import replace
from formation.debian.diversions import Diversion
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.conflicts import Shipped, find_overlaps, is_diverted


def shipped(name: str, *paths: str, replaces: str = "", diverts: bool = False) -> Shipped:
    entries = [Entry(path, "file", 0o644) for path in paths]
    control = f"Package: {name}\nVersion: 1\n" + (f"Replaces: {replaces}\n" if replaces else "")
    return Shipped(name, "1", "amd64", f"sha256:{name}", entries, control.encode(), diverts)


@pytest.mark.parametrize("turned", [False, True])
def test_the_package_that_is_replaced_loses_the_file(turned):
    packages = [shipped("old", "a", "b"), shipped("new", "a", replaces="old (<< 2)")]
    overlaps = find_overlaps(packages[::-1] if turned else packages, {})
    assert overlaps.lost == {"sha256:old": {"a"}}
    assert overlaps.contested == ()


def test_two_packages_that_ship_a_file_cannot_be_installed_together():
    with pytest.raises(FormationError, match="both ship /a, and neither replaces the other"):
        find_overlaps([shipped("one", "a"), shipped("two", "a")], {})


def test_a_package_that_may_divert_is_given_the_chance():
    (contested,) = find_overlaps(
        [shipped("gzip", "usr/bin/zcat"), shipped("zutils", "usr/bin/zcat", diverts=True)], {}
    ).contested
    assert contested.loser is None
    assert is_diverted(contested.path, contested.names, [Diversion("bin/zcat", "bin/zcat.gzip", "zutils")])
    assert not is_diverted(contested.path, contested.names, [Diversion("bin/zcat", "bin/zcat.gzip", "busybox")])
    assert not is_diverted(contested.path, contested.names, [])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("who", ["old", "new"])
def test_what_is_replaced_is_not_lost_while_either_package_may_divert_it(turned, who):
    packages = [shipped("old", "a", diverts=who == "old"), shipped("new", "a", replaces="old", diverts=who == "new")]
    owners = {}
    overlaps = find_overlaps(packages[::-1] if turned else packages, owners)
    assert overlaps.lost == {}
    (contested,) = overlaps.contested
    assert (contested.loser, contested.winner, owners["a"].name) == (*packages, "new")


def with_link(name: str, target: str, **fields) -> Shipped:
    return replace(shipped(name, **fields), entries=[Entry("opt/lib/cur", "symlink", 0o777, target=target)])


@pytest.mark.parametrize("target", ["v1", "../lib/./v1", "/opt/lib/v1", "v1/"])
@pytest.mark.parametrize("replaces", ["", "one"])
def test_a_symlink_to_a_directory_to_which_another_package_has_one_there_stays_with_both(target, replaces):
    owners = {}
    packages = [with_link("one", "v1"), with_link("two", target, replaces=replaces)]
    overlaps = find_overlaps(packages, owners, {"opt/lib/v1"})
    assert (overlaps.lost, overlaps.alike) == ({}, {"sha256:two": {"opt/lib/cur"}})
    assert owners["opt/lib/cur"].name == "one"


@pytest.mark.parametrize(("one", "two"), [("v2", "v2"), ("v1", "v2"), ("v2", "v1"), ("v1", None)])
def test_other_symlinks_that_two_packages_have_are_in_the_way(one, two):
    second = shipped("two", "opt/lib/cur") if two is None else with_link("two", two)
    with pytest.raises(FormationError, match="both ship /opt/lib/cur"):
        find_overlaps([with_link("one", one), second], {}, {"opt/lib/v1"})


def test_a_symlink_that_two_packages_have_alike_may_be_diverted():
    packages = [with_link("one", "v1"), with_link("two", "v1", diverts=True)]
    overlaps = find_overlaps(packages, {}, {"opt/lib/v1"})
    assert (len(overlaps.contested), overlaps.alike) == (1, {})
