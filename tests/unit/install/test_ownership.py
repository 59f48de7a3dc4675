"""Who owns which path, as packages come, divert and land."""

from pathlib import Path

import pytest

from formation.debian.diversions import Diversion
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.conflicts import Shipped
from formation.install.effects_record import Effects
from formation.install.ownership import Ownership, without_lost


def shipped(name: str, *entries: Entry, replaces: str = "", diverts: bool = False) -> Shipped:
    control = f"Package: {name}\nVersion: 1\n" + (f"Replaces: {replaces}\n" if replaces else "")
    return Shipped(name, "1", "amd64", f"sha256:{name}", entries, control.encode(), diverts)


def effects(*changed: Entry, removed: tuple[str, ...] = ()) -> Effects:
    return Effects(Path(), Path(), changed, removed)


def file(path: str) -> Entry:
    return Entry(path, "file", 0o644)


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, "directory", mode)


def test_the_first_package_to_bring_a_directory_decides_its_mode() -> None:
    ownership = Ownership()
    ownership.add([shipped("one", directory("d", 0o700), directory("e"))])
    ownership.add([shipped("two", directory("d"), directory("e", 0o700))])
    assert ownership.special_directories() == {"d": (0o700, 0, 0)}


def test_an_earlier_package_loses_what_a_later_one_replaces() -> None:
    ownership = Ownership()
    assert ownership.add([shipped("one", file("a"), file("b"))]).lost == {}
    assert ownership.add([shipped("two", file("a"), replaces="one")]).lost == {"sha256:one": {"a"}}


def test_what_only_the_other_version_had_is_nobodys_and_still_there() -> None:
    ownership = Ownership()
    ownership.start([shipped("one", file("a"), file("b")), shipped("two", file("c"))], {}, ())
    ownership.renew([shipped("one", file("a"), file("d"))], effects())
    assert ownership.paths() == {"a", "b", "c", "d"}
    assert ownership.add([shipped("three", file("b"))]).lost == {}
    with pytest.raises(FormationError, match="both ship /d, and neither replaces"):
        ownership.add([shipped("three", file("d"))])


def test_a_directory_that_dpkg_took_away_is_one_no_more() -> None:
    ownership = Ownership()
    ownership.start([], dict.fromkeys(("x", "x/deep", "y", "z"), (0o755, 0, 0)), ())
    ownership.renew([shipped("one", file("y"), directory("w"))], effects(file("y"), removed=("x",)))
    assert ownership.paths() == {"w", "x", "x/deep", "y", "z"}
    assert ownership.add([shipped("two", file("x"))]).lost == {}
    with pytest.raises(FormationError, match="two 1 ships a file /z, where a directory is"):
        ownership.add([shipped("two", file("z"))])


def test_what_dpkg_has_installed_is_not_contested() -> None:
    ownership = Ownership()
    ownership.start([shipped("one", file("a"))], {}, ())
    ownership.renew([shipped("two", file("a")), shipped("four", file("b"), replaces="three")], effects())
    ownership.renew([shipped("three", file("b"))], effects())
    assert ownership.add([shipped("late", file("b"), replaces="four")]).lost == {"sha256:four": {"b"}}


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (directory("x"), file("x"), "two 1 ships a file /x, where a directory is"),
        (file("x"), directory("x"), "two 1 ships a directory /x, where one 1 ships a file"),
    ],
)
def test_a_file_and_a_directory_cannot_be_one(first: Entry, second: Entry, told: str) -> None:
    ownership = Ownership()
    ownership.add([shipped("one", first)])
    with pytest.raises(FormationError, match=told):
        ownership.add([shipped("two", second)])


def test_a_directory_may_be_where_another_package_has_a_symlink() -> None:
    ownership = Ownership()
    ownership.add([shipped("one", Entry("x", "symlink", 0o777, target="y"))])
    assert ownership.add([shipped("two", directory("x"), file("x/a"))]).lost == {}


def test_a_contested_file_must_be_diverted() -> None:
    ownership = Ownership()
    packages = [shipped("one", file("x")), shipped("two", file("x"), diverts=True)]
    ownership.add(packages)
    assert ownership.settle([Diversion("x", "x.real", "two")]) == {}
    ownership = Ownership()
    ownership.add(packages)
    with pytest.raises(FormationError, match="both ship /x"):
        ownership.settle([])


def test_a_replaced_file_that_might_have_been_diverted_is_lost_to_a_package_that_is_there() -> None:
    old, new = shipped("old", file("x"), file("y")), shipped("new", file("x"), file("y"), replaces="old", diverts=True)
    ownership = Ownership()
    assert ownership.add([old, new]).lost == {}
    names = {"old", "new"}
    assert ownership.yielded(old.digest, {new.digest}) == {"x": names, "y": names}
    assert ownership.yielded(old.digest, {old.digest}) == ownership.yielded(new.digest, {old.digest}) == {}
    assert ownership.settle([Diversion("y", "y.real", "new"), Diversion("x", "x.real", "other")]) == {old.digest: {"x"}}
    assert ownership.settle([]) == {}


def test_what_moves_is_in_the_tree_where_it_went() -> None:
    ownership = Ownership()
    ownership.add([shipped("one", directory("var/run", 0o711), file("var/run/x"), file("usr/bin/y"))])
    renames = (("bin/y", "bin/y.real"), ("var/run", "run"), ("var/run/x", "run/x"))
    ownership.move("sha256:one", renames, {"bin/y"})
    assert ownership.paths() == {"var/run", "run", "run/x", "usr/bin/y.real"}
    assert ownership.special_directories()["run"] == (0o711, 0, 0)


def test_two_packages_cannot_land_on_one_file() -> None:
    ownership = Ownership()
    ownership.add([shipped("one", file("var/run/x")), shipped("two", file("run/x"))])
    with pytest.raises(FormationError, match=r"one 1 ships /var/run/x, which a symlink makes /run/x, .* of two 1"):
        ownership.move("sha256:one", (("var/run/x", "run/x"),), ())


def test_a_top_layer_leaves_directories_as_they_are_in_it() -> None:
    ownership = Ownership()
    ownership.add([shipped("one", directory("d", 0o700))])
    ownership.add_top([directory("d", 0o750), file("e")])
    assert (ownership.special_directories(), ownership.paths()) == ({"d": (0o750, 0, 0)}, {"d", "e"})


def test_a_file_list_is_without_what_is_lost_whatever_its_name_is() -> None:
    assert without_lost(b"/.\n/bin/a\n/b\n/bin/\xff\n", {"usr/bin/a", "usr/bin/\udcff"}) == b"/.\n/b\n"
    assert without_lost(b"/.\n/a\rb\n/c\n", {"a\rb"}) == b"/.\n/c\n"
