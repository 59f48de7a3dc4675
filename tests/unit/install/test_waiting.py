"""Which conffiles dpkg itself must put in place."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from formation.debian.administration import INFO
from formation.debian.database import PackageName
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.landing import NOWHERE_ELSE, Arriving, Landings
from formation.install.package_files import file_name
from formation.install.stages import StagePackage
from formation.install.waiting import Waiting

OWN = {"uid": os.geteuid(), "gid": os.getegid()}


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """An image with some files in /etc."""
    tree = tmp_path / "image"
    for path in ("etc/other", "etc/same", "etc/owned", f"{INFO}/else.list"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text("/etc/owned\n" if path.startswith(INFO) else "old")
    (tree / "etc/same").write_text("new")
    (tree / "etc/same").chmod(0o644)
    (tree / "etc/link").symlink_to("/srv/conf")
    return tree


def waiting(
    there: Path, *entries: Entry, landings: Landings = NOWHERE_ELSE, away: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    kept = there.parent / "kept"
    kept.mkdir(exist_ok=True)
    for entry in entries:
        (kept / file_name(entry.path)).write_text("new")
    declared = (entry.path for entry in entries if entry.path.startswith(("etc/", "opt/")))
    control = {"conffiles": "".join(f"/{path}\n" for path in declared).encode()}
    package = StagePackage(PackageName("p", "all", False), "1", "", kept, control, (), 0)
    return Waiting([there]).of(package, Arriving("p", entries, away or {}), landings)


def conffile(path: str, mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, **OWN)


def test_one_waits_where_somebody_made_another_file_or_a_link(there: Path) -> None:
    paths = ("etc/link", "etc/new", "etc/other", "etc/owned", "etc/same")
    assert waiting(there, *map(conffile, paths)) == {"etc/link": "etc/link", "etc/other": "etc/other"}
    assert waiting(there, conffile("etc/same", 0o600)) == {"etc/same": "etc/same"}


def test_it_waits_where_it_goes_and_not_where_it_is_shipped(there: Path) -> None:
    assert waiting(there, conffile("etc/other"), away={"etc/other": "etc/away"}) == {}
    landings = Landings({"opt/etc": "etc"}, frozenset())
    assert waiting(there, conffile("opt/etc/other"), landings=landings) == {"opt/etc/other": "etc/other"}


def test_all_of_a_package_wait_when_one_is_a_symlink(there: Path) -> None:
    link = replace(conffile("etc/a-link"), type="symlink", target="new")
    assert waiting(there, link, conffile("etc/new")) == {"etc/a-link": "etc/a-link", "etc/new": "etc/new"}


@pytest.mark.parametrize("taken", ["etc/first", "etc/second"])
def test_all_names_of_a_file_wait_where_one_does(there: Path, taken: str) -> None:
    names = [conffile("etc/first"), replace(conffile("etc/second"), type="hardlink", target="etc/first")]
    assert waiting(there, *names) == {}
    (there / taken).write_text("mine")
    assert waiting(there, *names) == {"etc/first": "etc/first", "etc/second": "etc/second"}


def test_a_name_that_is_no_conffile_cannot_wait(there: Path) -> None:
    name = Entry("usr/b", "hardlink", 0o644, target="etc/other", **OWN)
    with pytest.raises(FormationError, match="p has /usr/b, which is no configuration file, as a hard link with one"):
        waiting(there, conffile("etc/other"), name)


def test_what_waits_is_beside_what_a_link_leads_to_unless_another_one_is_there(there: Path) -> None:
    for path, target in (("etc/a", "/srv/conf"), ("etc/to-other", "other"), ("etc/z", "../srv/conf")):
        (there / path).symlink_to(target)
    assert Waiting([there]).new({"etc/other", "etc/a", "etc/to-other", "etc/z", "etc/none"}) == {
        "etc/other": "etc/other.dpkg-new",
        "etc/none": "etc/none.dpkg-new",
        "etc/to-other": "etc/to-other.dpkg-new",
        "etc/a": "srv/conf.dpkg-new",
        "etc/z": "etc/z.dpkg-new",
    }
