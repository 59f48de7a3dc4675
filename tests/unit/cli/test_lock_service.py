"""`formation lock` and `formation why` of a service on a base in the store."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archives import HOUR, served
from formation.build.service_packages import fetch_packages
from formation.definition.load import load_service
from formation.lock.lockfile import file_text, parse_lock
from formation.network import Downloader
from formation.oci.reference import parse_reference
from formation.progress import Silent
from formation.store.blobs import add_image
from formation.store.images import find_image, tag_image
from formation.store.store import Store
from services import HEAD
from tiny_images import tiny_image
from workshop import PACKAGES, Workshop

STATUS = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n"


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish(age=10 * HOUR)
        yield workshop


@pytest.fixture
def service(formation, workshop: Workshop) -> Path:
    """The directory of a service whose base names the workshop's archive."""
    build_base(formation, workshop)
    directory = workshop.directory / "service"
    directory.mkdir()
    (directory / "formation.yaml").write_text(f"{HEAD}packages: [curl]\n")
    return directory


def build_base(formation, workshop: Workshop, **files: bytes) -> str:
    """A base in the store; its digest."""
    source = f"deb [signed-by=/etc/apt/keyrings/own.asc] {workshop.url}/archive stable main\n"
    layer = {
        "var/lib/dpkg/status": STATUS,
        "etc/apt/sources.list": source.encode(),
        "etc/apt/keyrings/own.asc": (workshop.base / "archive.asc").read_bytes(),
        **{f"etc/{name}": data for name, data in files.items()},
    }
    image = tiny_image([layer])
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), add_image(formation.store, image))
    return image.digest


@pytest.fixture
def lock(formation, workshop):
    return lambda *arguments: formation("lock", *arguments, now=int(time.time()))


def test_a_service_is_locked_on_the_archives_of_its_base(service, lock):
    result = lock("service")
    assert result.code == 0, result.stderr
    assert result.stdout.startswith(f"wrote {service}/formation.lock: 3 packages on formation/base:1.0.0, ")
    text = (service / "formation.lock").read_text()
    assert [line for line in text.splitlines() if line.startswith("name = ")] == [
        'name = "formation/base:1.0.0"',
        'name = "curl"',
        'name = "libcurl4"',
        'name = "libnghttp2-14"',
    ]
    assert lock("service").stdout == f"{service}/formation.lock is up to date\n"


def test_json_has_the_base(service, lock):
    data = json.loads(lock("service", "--json").stdout)
    (base,) = data["base"]
    assert (base["name"], base["architecture"]) == ("formation/base:1.0.0", "amd64")
    assert base["digest"].startswith("sha256:")


def test_a_service_without_packages_is_locked_without_any_archive(service, lock, workshop):
    (service / "formation.yaml").write_text(HEAD)
    (workshop.directory / "served" / "archive" / "dists" / "stable" / "InRelease").unlink()
    assert "0 packages on formation/base:1.0.0" in lock("service").stdout


def test_a_check_says_when_the_base_moved_and_a_lock_shows_it(service, lock, formation, workshop):
    lock("service")
    assert lock("service", "--check").code == 0
    digest = build_base(formation, workshop, motd=b"new")
    stale = lock("service", "--check")
    assert stale.code == 1
    assert "the base formation/base:1.0.0 moved since: it was sha256:" in stale.stderr
    assert "hint: formation lock service" in stale.stderr
    again = lock("service").stdout
    assert again.startswith("formation/base:1.0.0 moved for amd64: sha256:")
    assert f"→ {digest}\n" in again
    assert lock("service", "--check").code == 0


def test_a_check_needs_no_archive(service, lock, workshop):
    lock("service")
    (workshop.directory / "served" / "archive" / "dists" / "stable" / "InRelease").unlink()
    assert lock("service", "--check").code == 0


def test_an_update_shows_what_changes(service, lock, workshop):
    lock("service")
    workshop.publish({**PACKAGES, "curl": {"Version": "1.1", "Depends": "libc6"}}, age=HOUR)
    lines = [line.split() for line in lock("service").stdout.splitlines()]
    assert ["curl", "1.0", "1.1", "upgraded", "runtime", "amd64"] in lines
    assert ["libcurl4", "1.0", "-", "removed", "runtime", "amd64"] in lines


def test_an_unknown_base_is_a_wrong_definition(service, lock):
    path = service / "formation.yaml"
    path.write_text(path.read_text().replace("base:1.0.0", "base:9.0.0"))
    result = lock("service")
    assert result.code == 2
    assert f"{path}:4: the store has no image formation/base:9.0.0" in result.stderr
    assert "hint: the store has formation/base:1.0.0" in result.stderr


def test_why_follows_the_way_to_the_service_s_request(service, lock, formation):
    lock("service")
    assert formation("why", "libnghttp2-14", "service").stdout == (
        "libnghttp2-14 1.0 in runtime:\n"
        f"  libnghttp2-14 ← libcurl4 Depends ← curl Depends ← requested in {service}/formation.yaml:5\n"
    )
    result = formation("why", "libc6", "service")
    assert result.code == 1
    assert "hint: it has what the service adds; for the rest ask in the directory" in result.stderr


def test_a_base_of_another_name_is_told_to_replace_the_one_before(service, lock, formation):
    lock("service")
    other = parse_reference("formation/other:1.0.0")
    tag_image(formation.store, other, find_image(formation.store, parse_reference("formation/base:1.0.0")).descriptor)
    path = service / "formation.yaml"
    path.write_text(path.read_text().replace("formation/base:1.0.0", "formation/other:1.0.0"))
    assert lock("service").stdout.startswith("formation/other:1.0.0 replaces formation/base:1.0.0 for amd64: sha256:")


def test_a_service_whose_lock_lost_a_request_is_stale(service, lock):
    (service / "formation.yaml").write_text(f"{HEAD}packages: [curl, libc6]\n")
    lock("service")
    assert lock("service", "--check").code == 0
    path = service / "formation.lock"
    entries = path.read_text().split("\n[[package]]\n")
    kept = "\n[[package]]\n".join(each for each in entries if not each.startswith('name = "curl"'))
    path.write_text(
        file_text(
            parse_lock(
                "".join(line for line in kept.splitlines(keepends=True) if not line.startswith("checksum")), "lock"
            )
        )
    )
    stale = lock("service", "--check")
    assert stale.code == 1
    assert "formation.lock is stale: it has no package for curl, nor has the base" in stale.stderr


def test_the_packages_of_a_service_are_vendored_and_a_build_takes_them_from_there(service, lock, formation, workshop):
    lock("service")
    result = formation("vendor", "service")
    assert result.code == 0, result.stderr
    assert result.stdout.startswith(f"{service}/vendor: 3 packages, ")
    definition, locked = load_service(service), parse_lock((service / "formation.lock").read_text(), "lock")
    with Downloader(progress=Silent(), offline=True) as downloader:
        paths = fetch_packages(
            definition, locked, locked.packages["amd64"], Store(workshop.directory / "new"), downloader
        )
    assert [path.stat().st_size for path in paths] == [package.size for package in locked.packages["amd64"]]


def test_a_stale_lock_of_a_service_is_not_vendored(service, lock, formation):
    lock("service")
    (service / "formation.yaml").write_text(f"{HEAD}packages: [curl, gdb]\n")
    result = formation("vendor", "service")
    assert result.code == 2
    assert "formation.lock is stale: " in result.stderr


def test_a_build_with_a_stale_lock_advises_the_directory_as_it_was_typed(service, lock, formation):
    lock("service")
    (service / "formation.yaml").write_text(f"{HEAD}packages: [curl, gdb]\n")
    result = formation("build", "service", "--dry-run")
    assert (result.code, "formation.lock is stale: " in result.stderr) == (2, True)
    assert "hint: formation lock service\n" in result.stderr
