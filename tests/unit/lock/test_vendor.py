"""The packages of a lock beside its definition."""

import dataclasses
import shutil
from contextlib import contextmanager

import pytest

from formation.digest import sha256
from formation.errors import FormationError, UnreachableError, UsageError
from formation.lock.vendor import SUMS, PackageGoneError, package_sources, vendor, vendor_directory, vendored_path
from formation.network import Downloader
from formation.progress import Silent
from signed_archive import new_key


@contextmanager
def downloading(**arguments):
    with Downloader(progress=Silent(), tries=1, pause=lambda seconds: None, **arguments) as downloader:
        yield downloader


def bring(workshop, definition, lock, *, dry_run=False, **arguments):
    with downloading(**arguments) as downloader:
        return vendor(
            definition,
            lock,
            vendor_directory(definition),
            downloader=downloader,
            store=workshop.store,
            dry_run=dry_run,
        )


@pytest.fixture
def locked(published):
    definition = published.define("curl")
    return definition, published.lock(definition)


def test_every_package_is_there_under_its_own_name_with_its_digest(published, locked):
    definition, lock = locked
    result = bring(published, definition, lock)
    for package in lock.packages["amd64"]:
        path = vendored_path(result.directory, package)
        assert path == definition.path.parent / "vendor" / f"{package.name}_1.0_amd64.deb"
        assert sha256(path.read_bytes()) == package.sha256
    lines = (result.directory / SUMS).read_text().splitlines()
    assert lines[0] == f"{lock.packages['amd64'][0].sha256.removeprefix('sha256:')}  base-files_1.0_amd64.deb"
    assert len(lines) == 6
    assert len(result.downloaded) == 6


def test_what_is_there_is_not_brought_again_and_what_is_damaged_is(published, locked):
    bring(published, *locked)
    directory = vendor_directory(locked[0])
    (directory / "curl_1.0_amd64.deb").write_bytes(b"damaged")
    assert [package.name for package in bring(published, *locked).downloaded] == ["curl"]
    assert bring(published, *locked).downloaded == ()


def test_what_an_earlier_lock_had_is_removed_and_nothing_else(published, locked):
    bring(published, *locked)
    directory = vendor_directory(locked[0])
    (directory / "own.deb").write_bytes(b"not of formation")
    definition = published.define("mawk")
    result = bring(published, definition, published.lock(definition))
    assert result.removed == ("curl_1.0_amd64.deb", "libcurl4_1.0_amd64.deb", "libnghttp2-14_1.0_amd64.deb")
    assert sorted(path.name for path in directory.iterdir()) == [
        "SHA256SUMS",
        "base-files_1.0_amd64.deb",
        "libc6_1.0_amd64.deb",
        "mawk_1.0_amd64.deb",
        "own.deb",
    ]


def test_names_in_sums_that_lead_elsewhere_are_not_removed(published, locked):
    directory = vendor_directory(locked[0])
    directory.mkdir()
    outside = directory.parent / "outside.deb"
    outside.touch()
    (directory / SUMS).write_text(f"{'0' * 64}  ../outside.deb\n")
    assert bring(published, *locked).removed == ()
    assert outside.exists()


def test_a_file_in_the_place_of_the_directory_is_told(published, locked):
    vendor_directory(locked[0]).write_text("x")
    with pytest.raises(UsageError, match=r"vendor is not a directory$"):
        bring(published, *locked)


def test_a_dry_run_changes_nothing(published, locked):
    result = bring(published, *locked, dry_run=True)
    assert len(result.downloaded) == 6
    assert not result.directory.exists()


def test_packages_of_the_store_need_no_network(published, locked):
    definition, lock = locked
    for package in lock.packages["amd64"]:
        path = published.store.download(package.sha256)
        path.parent.mkdir(parents=True)
        shutil.copy(published.directory / "served" / "archive" / package.path, path)
    assert len(bring(published, definition, lock, offline=True).downloaded) == 6


def test_a_package_that_is_gone_is_unreachable_and_the_others_stay(published, locked):
    shutil.rmtree(published.directory / "served" / "archive" / "pool" / "main" / "c")
    with pytest.raises(UnreachableError, match="curl"):
        bring(published, *locked)
    assert (vendor_directory(locked[0]) / "mawk_1.0_amd64.deb").exists()
    assert not (vendor_directory(locked[0]) / SUMS).exists()


def test_two_packages_with_one_file_name_are_refused(workshop):
    workshop.publish({"aa": {}})
    workshop.key = new_key("private")
    workshop.publish({"aa": {"Version": "2.0"}}, name="private")
    definition = workshop.define("aa", "essential: false\n")
    lock = workshop.lock(definition)
    (package,) = lock.packages["amd64"]
    other = dataclasses.replace(package, variants=("dev",), sha256=sha256(b"other"), archive="private")
    clash = dataclasses.replace(lock, packages={"amd64": (package, other)})
    with pytest.raises(FormationError, match=r"different packages in files named aa_1\.0_amd64\.deb"):
        bring(workshop, definition, clash)


def test_a_package_is_sought_in_its_archive_and_in_the_snapshot_of_its_suite_s_date(locked):
    definition, lock = locked
    archive = dataclasses.replace(definition.archives[0], snapshot="http://snapshot.test/{timestamp}")
    suite = dataclasses.replace(lock.suites[0], date=1_795_252_544)
    urls = package_sources(
        dataclasses.replace(definition, archives=(archive,)),
        dataclasses.replace(lock, suites=(suite,)),
        lock.packages["amd64"][1],
    )
    path = "pool/main/c/curl/curl_1.0_amd64.deb"
    assert urls == (
        f"{archive.uri}/{path}",
        f"http://snapshot.test/20261121T091544Z/{path}",
        f"http://snapshot.test/20261122T091544Z/{path}",
    )


def test_an_archive_that_the_definition_lost_is_a_stale_lock(locked):
    definition, lock = locked
    with pytest.raises(UsageError, match="has no archive local") as caught:
        package_sources(dataclasses.replace(definition, archives=()), lock, lock.packages["amd64"][0])
    assert caught.value.hint == "formation lock"


def test_a_package_that_was_not_vendored_has_no_path(locked):
    definition, lock = locked
    assert vendored_path(vendor_directory(definition), lock.packages["amd64"][0]) is None


def test_a_package_that_is_gone_is_told_with_the_command_that_helps(published, locked):
    definition, lock = locked
    gone = published.directory / "served" / "archive" / lock.packages["amd64"][1].path
    gone.unlink()
    hint = f"formation lock {definition.path.parent}"
    with pytest.raises(PackageGoneError) as caught:
        bring(published, definition, lock)
    assert (caught.value.message, caught.value.hint) == ("the archive no longer has curl 1.0", hint)
    kept = dataclasses.replace(definition.archives[0], snapshot=f"{published.url}/{{timestamp}}")
    with pytest.raises(PackageGoneError) as caught:
        bring(published, dataclasses.replace(definition, archives=(kept,)), lock)
    assert caught.value.message == "the archive and its snapshot no longer have curl 1.0"


def test_a_snapshot_that_cannot_be_asked_is_not_said_to_have_nothing(published, locked):
    definition, lock = locked
    (published.directory / "served" / "archive" / lock.packages["amd64"][1].path).unlink()
    snapshot = "http://127.0.0.1:1/{timestamp}"
    kept = dataclasses.replace(definition.archives[0], snapshot=snapshot)
    with pytest.raises(PackageGoneError) as caught:
        bring(published, dataclasses.replace(definition, archives=(kept,)), lock)
    assert caught.value.message.startswith(
        "the archive no longer has curl 1.0, and its snapshot could not be asked: the connection was refused"
    )
    assert caught.value.exit_code == 5
