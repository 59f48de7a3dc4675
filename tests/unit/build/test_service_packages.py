"""The packages of a service: fetched, and found for what a program needs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import served
from formation.build.programs import Having
from formation.build.service_packages import ArchivePackages, fetch_packages, library_package_names
from formation.digest import sha256_file
from formation.errors import UnreachableError
from formation.lock.base_facts import BaseFacts
from formation.lock.service import make_service_lock
from formation.lock.service_check import service_archives
from formation.network import Downloader
from formation.progress import Silent
from services import service_in
from workshop import NOW, Workshop

BASE = BaseFacts("sha256:" + "1" * 64, 0, (), ())


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish({"unused": {}})
        yield workshop


@pytest.fixture
def downloader():
    with Downloader(progress=Silent(), tries=1, pause=lambda seconds: None) as downloader:
        yield downloader


def service_of(workshop: Workshop, packages: str):
    local = f"{{name: local, uri: '{workshop.url}/archive', suites: [stable], keys: [./archive.asc]}}"
    return service_in(workshop.base, f"archives:\n  - {local}\npackages: [{packages}]\n")


def locked(workshop: Workshop, service, downloader):
    return make_service_lock(
        service, {"amd64": BASE}, downloader=downloader, store=workshop.store, now=NOW, progress=Silent()
    )


@pytest.mark.parametrize(
    ("soname", "names"),
    [
        ("libssl.so.3", ("libssl3t64", "libssl3")),
        ("libgit2.so.1.9", ("libgit2-1.9t64", "libgit2-1.9")),
        ("libboost_system.so.1.83.0", ("libboost-system1.83.0t64", "libboost-system1.83.0")),
        ("libdb-5.3.so", ("libdb-5.3t64", "libdb-5.3")),
        ("libpcre2-8.so.0", ("libpcre2-8t64", "libpcre2-8", "libpcre2-8-0t64", "libpcre2-8-0")),
        ("libX11.so.6", ("libx11-6t64", "libx11-6")),
        ("libfoo.so", ("libfoot64", "libfoo")),
        ("python3", ()),
    ],
)
def test_a_library_s_package_has_the_name_of_debian_policy(soname, names):
    assert library_package_names(soname) == names


def test_packages_come_into_the_store_in_the_order_of_the_lock(workshop, downloader):
    workshop.publish()
    service = service_of(workshop, "gdb")
    lock = locked(workshop, service, downloader)
    paths = fetch_packages(service, lock, lock.packages["amd64"], workshop.store, downloader)
    assert [sha256_file(path) for path in paths] == [package.sha256 for package in lock.packages["amd64"]]
    assert service_archives(service, lock) == service.archives


def test_a_package_that_is_gone_is_an_error_that_names_it(workshop, downloader):
    workshop.publish()
    service = service_of(workshop, "gdb")
    lock = locked(workshop, service, downloader)
    (workshop.directory / "served" / "archive" / lock.packages["amd64"][0].path).unlink()
    with pytest.raises(UnreachableError, match=r"the archive no longer has gdb 1.0"):
        fetch_packages(service, lock, lock.packages["amd64"], workshop.store, downloader)


def test_archives_that_the_lock_names_are_those_of_the_base(workshop, downloader):
    workshop.publish()
    service = service_of(workshop, "gdb")
    lock = locked(workshop, service, downloader)
    without = dataclasses.replace(service, archives=None)
    (archive,) = service_archives(without, lock)
    assert (archive.uri, archive.suites) == (f"{workshop.url}/archive", ("stable",))


def test_a_library_is_found_by_the_name_of_its_package(workshop, downloader):
    workshop.publish({"libnew1t64": {}, "libold2": {}})
    service = service_of(workshop, "libold2")
    ask = ArchivePackages(
        service,
        service.archives,
        "amd64",
        downloader=downloader,
        store=workshop.store,
        now=NOW,
        progress=Silent(),
    )
    assert ask(["libnew.so.1", "libold.so.2", "libgone.so.3"]).packages == {
        "libnew.so.1": ("libnew1t64",),
        "libold.so.2": ("libold2",),
    }


def test_that_the_contents_cannot_be_had_is_told_beside_what_is_known(workshop, downloader, monkeypatch):
    def unreachable(*arguments, **options):
        raise UnreachableError("no network")

    workshop.publish({"libold2": {}})
    service = service_of(workshop, "libold2")
    monkeypatch.setattr("formation.build.service_packages.packages_having", unreachable)
    ask = ArchivePackages(
        service, service.archives, "amd64", downloader=downloader, store=workshop.store, now=NOW, progress=Silent()
    )
    having = ask(["libold.so.2", "libgone.so.3"])
    assert having.packages == {"libold.so.2": ("libold2",)}
    assert having.unknown == "the archive's Contents index could not be had: no network"


def test_without_archives_that_can_be_verified_nothing_is_told(workshop, downloader):
    service = service_of(workshop, "")
    keyless = dataclasses.replace(service.archives[0], keys=())
    ask = ArchivePackages(
        service, [keyless], "amd64", downloader=downloader, store=workshop.store, now=NOW, progress=Silent()
    )
    assert ask(["libnew.so.1"]) == Having()
