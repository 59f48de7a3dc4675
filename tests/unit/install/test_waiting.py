"""Which conffiles dpkg itself must put in place."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from formation.debian.administration import INFO
from formation.debian.database import PackageName
from formation.entry import Entry
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
    control = {"conffiles": "".join(f"/{entry.path}\n" for entry in entries).encode()}
    package = StagePackage(PackageName("p", "all", False), "1", "", kept, control, (), 0)
    return Waiting([there]).of(package, Arriving("p", entries, away or {}), landings)


def conffile(path: str, mode: int = 0o644) -> Entry:
    return Entry(path, "file", mode, **OWN)


def test_one_waits_where_somebody_made_another_file_or_a_link(there: Path) -> None:
    paths = ("etc/link", "etc/new", "etc/other", "etc/owned", "etc/same")
    assert waiting(there, *map(conffile, paths)) == {"etc/link": "etc/link", "etc/other": "etc/other"}
    assert waiting(there, conffile("etc/same", 0o600)) == {"etc/same": "etc/same"}
    assert Waiting([there]).new("etc/link") == "srv/conf.dpkg-new"


def test_it_waits_where_it_goes_and_not_where_it_is_shipped(there: Path) -> None:
    assert waiting(there, conffile("etc/other"), away={"etc/other": "etc/away"}) == {}
    landings = Landings({"opt/etc": "etc"}, frozenset())
    assert waiting(there, conffile("opt/etc/other"), landings=landings) == {"opt/etc/other": "etc/other"}


def test_all_of_a_package_wait_when_one_is_a_symlink(there: Path) -> None:
    link = replace(conffile("etc/a-link"), type="symlink", target="new")
    assert waiting(there, link, conffile("etc/new")) == {"etc/a-link": "etc/a-link", "etc/new": "etc/new"}
    names = (conffile("etc/new"), replace(conffile("etc/second"), type="hardlink", target="etc/new"))
    assert waiting(there, link, *names) == {"etc/a-link": "etc/a-link"}
