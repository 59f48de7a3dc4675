"""A base as packages are added to it: who owns what, and what may be replaced."""

from pathlib import Path

import pytest

from formation.dataclass import replace
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.conflicts import Shipped
from formation.install.foundation import Foundation, lay_foundation
from formation.install.job import Base
from formation.install.ownership import Ownership
from formation.install.stages import early_names
from formation.store.blobs import add_image
from formation.store.store import Store
from layer_tars import Member, directory, file, image_of_layers, symlink

STATUS = b"""\
Package: old
Status: install ok installed
Version: 1.0
Architecture: amd64
Multi-Arch: same

Package: removed
Status: deinstall ok config-files
Version: 1.0
Architecture: all

Package: dpkg
Essential: yes
Status: install ok installed
Version: 1.22
Architecture: amd64
Depends: old
"""
DIRECTORIES = [directory(path) for path in ("usr", "usr/bin", "var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info")]
MEMBERS: list[Member] = [
    *DIRECTORIES,
    symlink("bin", "usr/bin"),
    directory("tmp", 0o1777),
    file("usr/bin/tool"),
    file("usr/bin/moved.real"),
    file("usr/bin/dpkg"),
    file("etc"),
    file("var/lib/dpkg/status", STATUS),
    file("var/lib/dpkg/diversions", b"/usr/bin/moved\n/usr/bin/moved.real\nother\n"),
    file("var/lib/dpkg/info/old:amd64.list", b"/.\n/usr\n/usr/bin\n/bin/tool\n/usr/bin/moved\n/usr/bin/gone\n"),
    file("var/lib/dpkg/info/dpkg.list", b"/.\n/usr/bin/dpkg\n"),
]


def laid(place: Path, *layers: list[Member]) -> Foundation:
    store = Store(place / "store")
    for path in (store.trees, place / "work"):
        path.mkdir(parents=True)
    image = image_of_layers(*layers)
    add_image(store, image)
    return lay_foundation(store, Base(image, 1234), place / "work")


def test_packages_own_their_files_where_links_and_diversions_put_them(tmp_path: Path) -> None:
    found = laid(tmp_path, MEMBERS)
    owned = {package.name: [entry.path for entry in package.entries] for package in found.shipped}
    assert owned == {"dpkg": ["usr/bin/dpkg"], "old": ["usr/bin/tool", "usr/bin/moved.real"]}
    assert {"bin", "etc", "var/lib/dpkg/status"} <= found.unowned
    assert "usr/bin/tool" not in found.unowned and "usr/bin" not in found.unowned
    assert found.directories["tmp"] == (0o1777, 0, 0)


def test_stages_go_on_from_the_base_and_its_clock(tmp_path: Path) -> None:
    found = laid(tmp_path, MEMBERS)
    assert (found.before.epoch, found.before.packages) == (1234, ())
    assert [package.name.in_files for package in found.staged.values()] == ["dpkg", "old:amd64"]
    assert early_names(found.staged.values()) == {"dpkg", "old"}
    other = laid(tmp_path / "other", MEMBERS, [file("more")])
    assert other.before.key != found.before.key


def test_a_base_whose_bin_is_a_directory_takes_no_packages(tmp_path: Path) -> None:
    with pytest.raises(FormationError, match="the base has a /bin of its own") as caught:
        laid(tmp_path, [directory("bin"), file("bin/sh")])
    assert "usrmerge" in (caught.value.hint or "")


def package(path: str, control: bytes = b"Package: new\n", kind: str = "file") -> Shipped:
    return Shipped("new", "2", "amd64", "sha256:new", (Entry(path, kind, 0o644),), control, diverts=False)  # type: ignore[arg-type]


@pytest.fixture
def ownership(tmp_path: Path) -> Ownership:
    found, ownership = laid(tmp_path, MEMBERS), Ownership()
    ownership.start(found.shipped, found.directories, found.unowned)
    return ownership


def test_a_new_package_may_replace_files_of_the_base_when_it_says_so(ownership: Ownership) -> None:
    lost = ownership.add([package("usr/bin/tool", b"Package: new\nReplaces: old (<< 2)\n")]).lost
    assert lost == {"base:old:amd64": {"usr/bin/tool"}}


def test_a_new_package_may_have_a_symlink_to_a_directory_as_the_base_has_it(tmp_path: Path) -> None:
    members = [directory("usr/lib"), directory("usr/lib/old"), symlink("usr/lib/cur", "old")]
    listed = file("var/lib/dpkg/info/old:amd64.list", b"/usr/lib/old\n/usr/lib/cur\n")
    found, ownership = laid(tmp_path, MEMBERS, [*members, listed]), Ownership()
    ownership.start(found.shipped, found.directories, found.unowned)
    link = Entry("usr/lib/cur", "symlink", 0o777, target="old")
    overlaps = ownership.add([replace(package("usr/lib/cur"), entries=(link,))])
    assert overlaps.alike == {"sha256:new": {"usr/lib/cur"}}


def test_a_new_package_may_take_a_path_that_no_package_owns(ownership: Ownership) -> None:
    assert ownership.add([package("etc")]).lost == {}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("usr/bin/tool", "new 2 and old 1.0 both ship /usr/bin/tool, and neither replaces the other"),
        ("usr/bin", "new 2 ships a file /usr/bin, where a directory is"),
    ],
)
def test_other_paths_of_the_base_are_taken(ownership: Ownership, path: str, told: str) -> None:
    with pytest.raises(FormationError, match=told):
        ownership.add([package(path)])


def test_directories_of_the_base_keep_their_owner_and_mode(ownership: Ownership) -> None:
    ownership.add([package("tmp", kind="directory"), package("opt", kind="directory")])
    assert ownership.special_directories() == {"tmp": (0o1777, 0, 0), "opt": (0o644, 0, 0)}
