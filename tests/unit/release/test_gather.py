"""Where changelogs come from: the store, the archive, another package of the source."""

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

from debs import Item, file, make_deb, symlink
from formation.lock.model import Lock, LockedPackage, LockedSuite
from formation.network import Downloader
from formation.progress import Silent
from formation.release.difference import compare
from formation.release.gather import Gathering
from formation.release.snapshot import snapshot_of_lock
from formation.store.store import Store

ZERO = "sha256:" + "0" * 64


def changelog(version: str) -> bytes:
    text = "".join(
        f"hello ({each}) trixie; urgency=low\n\n  * CVE-2025-000{number}\n\n"
        " -- A <a@b>  Fri, 01 Jan 2021 00:00:00 +0000\n\n"
        for number, each in enumerate((version, "1.0"))
    )
    return gzip.compress(text.encode(), mtime=0)


class Pool:
    """Packages below a directory, and the locks that pin them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store(directory / "store")

    def package(self, name: str, version: str, files: Sequence[Item], *, stored: bool) -> LockedPackage:
        deb = make_deb(self.directory, name, version=version, files=files)
        data = deb.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if stored:
            path = self.store.download(digest)
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        return LockedPackage(
            name, version, "all", "hello", version, f"sha256:{digest}", len(data), len(name), "local", "trixie",
            deb.name, ("runtime",), "requested", False,
        )  # fmt: skip

    def lock(self, *packages: LockedPackage) -> Lock:
        suite = LockedSuite("local", self.directory.as_uri(), "trixie", ("main",), ZERO, 1, None, "0" * 40)
        return Lock(ZERO, 1, (suite,), {"amd64": packages})

    def gather(self, old: Sequence[LockedPackage], new: Sequence[LockedPackage], *, download: bool = True) -> Gathering:
        sides = (snapshot_of_lock(self.lock(*packages), "lock", None) for packages in (old, new))
        with Downloader(progress=Silent()) as downloader:
            gathering = Gathering(compare(*sides), self.store, downloader if download else None, Silent())
            self.found = gathering.run()
        return gathering


def doc(name: str, version: str) -> list[Item]:
    return [file(f"usr/share/doc/{name}/changelog.Debian.gz", changelog(version))]


def test_the_changelog_of_the_new_package_is_read_from_the_store(tmp_path: Path):
    pool = Pool(tmp_path)
    old = pool.package("hello", "1.0", (), stored=False)
    new = pool.package("hello", "1.1", doc("hello", "1.1"), stored=True)
    gathering = pool.gather([old], [new], download=False)
    assert [entry.version for entry in pool.found["hello"].entries] == ["1.1"]
    assert pool.found["hello"].cves == ("CVE-2025-0000",)
    assert gathering.notes == ()


def test_a_package_that_the_store_lacks_is_downloaded_once_for_its_source(tmp_path: Path):
    pool = Pool(tmp_path)
    old = [pool.package(name, "1.0", (), stored=False) for name in ("hello", "hello-data")]
    new = [pool.package(name, "1.1", doc(name, "1.1"), stored=False) for name in ("hello", "hello-data")]
    pool.gather(old, new)
    assert list(pool.found) == ["hello"]
    assert [pool.store.download(package.sha256).exists() for package in new] == [True, False]


def test_offline_a_missing_package_is_a_note(tmp_path: Path):
    pool = Pool(tmp_path)
    old, new = (pool.package("hello", version, (), stored=False) for version in ("1.0", "1.1"))
    gathering = pool.gather([old], [new], download=False)
    assert pool.found == {}
    assert gathering.notes == (
        "no changelog of hello: the packages are not in the store, and nothing was to be downloaded",
    )


def test_a_package_that_is_gone_from_the_archive_is_a_note(tmp_path: Path):
    pool = Pool(tmp_path)
    old, new = (pool.package("hello", version, (), stored=False) for version in ("1.0", "1.1"))
    (tmp_path / new.path).unlink()
    gathering = pool.gather([old], [new])
    assert gathering.notes == ("no changelog of hello: the archive has other versions by now",)


def test_a_link_leads_to_the_package_that_has_the_changelog(tmp_path: Path):
    pool = Pool(tmp_path)
    names = ("a", "bb", "ccc", "dddd", "zzzzz")
    old = [pool.package(name, "1.0", (), stored=False) for name in names]
    link = [symlink("usr/share/doc/a", "zzzzz")]
    new = [
        pool.package(name, "1.1", {"a": link, "zzzzz": doc("zzzzz", "1.1")}.get(name, ()), stored=True)
        for name in names
    ]
    pool.gather(old, new)
    assert [entry.version for entry in pool.found["hello"].entries] == ["1.1"]


def test_a_damaged_package_is_a_note_and_not_the_end(tmp_path: Path):
    pool = Pool(tmp_path)
    old, new = (pool.package("hello", version, (), stored=True) for version in ("1.0", "1.1"))
    pool.store.download(new.sha256).write_bytes(b"rotten")
    (note,) = pool.gather([old], [new]).notes
    assert note.startswith("no changelog of hello: ")
    assert "is not a Debian package" in note


def test_a_downgrade_reads_the_old_package(tmp_path: Path):
    pool = Pool(tmp_path)
    old = pool.package("hello", "1.1", doc("hello", "1.1"), stored=True)
    new = pool.package("hello", "1.0", (), stored=False)
    pool.gather([old], [new], download=False)
    assert pool.found["hello"].backwards
    assert [entry.version for entry in pool.found["hello"].entries] == ["1.1"]
