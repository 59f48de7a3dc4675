"""Where packages of an archive are."""

import dataclasses

import pytest

from formation.debian.archive import Archive, package_urls
from formation.errors import MalformedError

ARCHIVE = Archive("debian", "http://deb.example/debian", ("trixie",), ("main",), ("debian-trixie",), None, None)
EPOCH = 1795252544


def test_an_archive_without_a_snapshot_has_its_packages_in_one_place():
    assert package_urls(ARCHIVE, "pool/main/b/bash/bash_5.2_amd64.deb", epoch=EPOCH) == (
        "http://deb.example/debian/pool/main/b/bash/bash_5.2_amd64.deb",
    )


def test_snapshots_of_the_epoch_and_the_day_after_follow_the_live_archive():
    archive = dataclasses.replace(ARCHIVE, snapshot="https://snapshot.example/debian/{timestamp}")
    assert package_urls(archive, "pool/x.deb", epoch=EPOCH) == (
        "http://deb.example/debian/pool/x.deb",
        "https://snapshot.example/debian/20261121T091544Z/pool/x.deb",
        "https://snapshot.example/debian/20261122T091544Z/pool/x.deb",
    )


def test_a_snapshot_without_a_timestamp_is_one_place():
    archive = dataclasses.replace(ARCHIVE, snapshot="https://snapshot.example/debian/{0}/")
    assert len(package_urls(archive, "pool/x.deb", epoch=EPOCH)) == 2


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("pool/g/g++_14.2.0-1_amd64.deb", "pool/g/g%2B%2B_14.2.0-1_amd64.deb"),
        ("pool/x_1~rc1_amd64.deb", "pool/x_1~rc1_amd64.deb"),
        ("pool/x_1:2_amd64.deb", "pool/x_1:2_amd64.deb"),
        ("pool/x_1%3a2_amd64.deb", "pool/x_1%253a2_amd64.deb"),
        ("pool/a b?c#d.deb", "pool/a%20b%3Fc%23d.deb"),
        ("./pool/x.deb", "pool/x.deb"),
    ],
)
def test_a_path_is_quoted_as_archives_decode_it(path: str, quoted: str):
    assert package_urls(ARCHIVE, path, epoch=EPOCH) == (f"http://deb.example/debian/{quoted}",)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x.deb", "pool/../../x.deb", "pool/./x.deb", "pool//x.deb", "pool/", "././x.deb",
     "http://evil.example/x.deb", "file:x", "pool\\x.deb", "pool/x\n.deb", "pool/x\0.deb"],
)  # fmt: skip
def test_a_path_that_leaves_the_archive_is_refused(path: str):
    with pytest.raises(MalformedError, match="debian"):
        package_urls(ARCHIVE, path, epoch=EPOCH)
