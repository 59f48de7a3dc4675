"""The real Debian archive, verified from its keys to its indexes."""

import time
from pathlib import Path

import pytest

from formation.debian.archive import Archive, package_urls
from formation.debian.deb822 import parse_stanzas
from formation.debian.keys import key_set
from formation.debian.suite import fetch_suite
from formation.errors import IntegrityError
from formation.network import Download, Downloader
from formation.progress import Silent

pytestmark = pytest.mark.network

DEBIAN = Archive(
    name="debian",
    uri="http://deb.debian.org/debian",
    suites=("trixie", "trixie-updates"),
    components=("main",),
    keys=("debian-trixie",),
    signed_by=None,
    snapshot=None,
)
SECURITY = Archive(
    name="security",
    uri="http://deb.debian.org/debian-security",
    suites=("trixie-security",),
    components=("main",),
    keys=("debian-trixie",),
    signed_by=None,
    snapshot=None,
)


@pytest.mark.parametrize(
    ("archive", "suite", "signer"),
    [
        (DEBIAN, "trixie", "04B54C3CDCA79751B16BC6B5225629DF75B188BD"),
        (DEBIAN, "trixie-updates", "04B54C3CDCA79751B16BC6B5225629DF75B188BD"),
        (SECURITY, "trixie-security", "5E04A1E3223A19A20706E20F9904613D4CCE68C6"),
    ],
)
def test_a_suite_of_debian_is_verified_and_its_packages_can_be_downloaded(archive, suite, signer, tmp_path: Path):
    with Downloader(progress=Silent()) as downloader:
        fetched = fetch_suite(
            archive,
            suite,
            ("amd64",),
            downloader=downloader,
            keys=key_set("debian-trixie"),
            now=int(time.time()),
            not_before=None,
            cache_dir=tmp_path,
        )
        assert fetched.signed_by == signer
        (index,) = fetched.indexes
        packages = index.read()
        assert packages.startswith(b"Package: ")
        package = next(iter(parse_stanzas(packages[:20_000].rpartition(b"\n\n")[0])))
        downloader.fetch(
            Download(
                package_urls(archive, package["Filename"], epoch=fetched.date),
                tmp_path / "package.deb",
                f"sha256:{package['SHA256']}",
                int(package["Size"]),
            )
        )
    assert (tmp_path / "package.deb").read_bytes().startswith(b"!<arch>\n")


def test_debian_is_refused_when_only_ubuntu_may_sign(tmp_path: Path):
    with Downloader(progress=Silent()) as downloader, pytest.raises(IntegrityError, match="accepted are only F6ECB3"):
        fetch_suite(
            DEBIAN,
            "trixie",
            ("amd64",),
            downloader=downloader,
            keys=key_set("ubuntu"),
            now=int(time.time()),
            not_before=None,
            cache_dir=tmp_path,
        )
