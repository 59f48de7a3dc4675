"""What comes while a build goes on: from the vendor directory, and until the build fails."""

import threading
from types import SimpleNamespace

import pytest

from formation.build.fetch import Fetching, install_fetching
from formation.digest import sha256
from formation.errors import FormationError, IntegrityError
from formation.store.store import Store

DEB = b"a package" * 1000
PACKAGE = SimpleNamespace(name="a", version="1", path="pool/a_1_all.deb", sha256=sha256(DEB), size=len(DEB))


@pytest.fixture
def vendored(tmp_path):
    """The package in the vendor directory."""
    path = tmp_path / "vendor" / "a_1_all.deb"
    path.parent.mkdir()
    path.write_bytes(DEB)
    return path


@pytest.fixture
def stored(tmp_path):
    """Where the package belongs in the store."""
    return Store(tmp_path / "store").download(PACKAGE.sha256)


def fetched(tmp_path):
    """What arrived, and the error that ended it."""
    arrived = []
    fetching = Fetching(
        SimpleNamespace(path=tmp_path / "formation.yaml"),
        lock=None,
        packages=[PACKAGE],
        store=Store(tmp_path / "store"),
        downloader=None,
        arrived=lambda digest, checked: arrived.append((digest, checked)),
        failed=lambda: None,
    )
    fetching.start([PACKAGE.sha256])
    fetching.join()
    return arrived, fetching.error


def test_a_vendored_package_is_verified_as_it_comes(tmp_path, vendored, stored):
    assert fetched(tmp_path) == ([(PACKAGE.sha256, True)], None)
    assert stored.read_bytes() == DEB
    assert list(stored.parent.iterdir()) == [stored]


def test_a_vendored_file_that_is_another_never_has_the_name_of_the_package(tmp_path, vendored, stored):
    vendored.write_bytes(b"x" * PACKAGE.size)
    arrived, error = fetched(tmp_path)
    assert isinstance(error, IntegrityError)
    assert error.message == f"{vendored} does not have the digest {PACKAGE.sha256}"
    assert error.hint == f"remove {vendored} and run again"
    assert (arrived, list(stored.parent.iterdir())) == ([], [])


def test_what_another_build_has_verified_is_not_replaced_by_another_file(tmp_path, vendored, stored, monkeypatch):
    vendored.write_bytes(b"x" * PACKAGE.size)

    def found(directory, package):
        # Between the look into the store and the copy.
        stored.parent.mkdir(parents=True)
        stored.write_bytes(DEB)
        return vendored

    monkeypatch.setattr("formation.build.fetch.vendored_path", found)
    assert isinstance(fetched(tmp_path)[1], IntegrityError)
    assert stored.read_bytes() == DEB


class SlowDownloader:
    """Has the packages when it is cancelled, as one whose last byte is on its way."""

    def __init__(self):
        self.begun, self.cancelled, self.said = threading.Event(), threading.Event(), []

    def fetch_all(self, jobs):
        self.begun.set()
        self.cancelled.wait()
        yield from ()
        self.said.append("download: 1 file")

    def cancel(self):
        self.cancelled.set()


def test_nothing_is_said_of_downloads_when_a_build_has_failed(tmp_path, monkeypatch):
    """Its error is the last that is said, with what to do."""
    downloader = SlowDownloader()

    def run(job, progress, wanted):
        wanted([PACKAGE.sha256])
        downloader.begun.wait()
        raise FormationError("another package is damaged")

    installer = SimpleNamespace(run=run, arrived=lambda digest, checked: None, stop=lambda: None)
    monkeypatch.setattr("formation.build.fetch.Fetching._download", lambda fetching, package: package)
    definition = SimpleNamespace(path=tmp_path / "formation.yaml")
    with pytest.raises(FormationError, match="another package is damaged"):
        install_fetching(
            installer, None, definition, None, [PACKAGE],
            store=Store(tmp_path / "store"), downloader=downloader, progress=None,
        )  # fmt: skip
    assert downloader.cancelled.is_set() and downloader.said == ["download: 1 file"]
