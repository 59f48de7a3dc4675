"""Changelogs out of packages and images, however they lie there."""

import gzip
from pathlib import Path

import pytest

from debs import directory, file, make_deb, symlink
from formation.contents.filesystem import filesystem
from formation.contents.image import scan_image
from formation.errors import MalformedError
from formation.release import documents
from formation.release.documents import documents_of_deb, documents_of_image
from layer_tars import file as layer_file
from layer_tars import image_of_layers
from layer_tars import symlink as layer_symlink

TEXT = "hello (1.0) trixie; urgency=low\n\n  * Hello.\n\n -- A <a@b>  Fri, 01 Jan 2021 00:00:00 +0000\n"
PACKED = gzip.compress(TEXT.encode(), mtime=0)
DOC = "usr/share/doc/hello"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("changelog.Debian.gz", PACKED),
        ("changelog.gz", PACKED),
        ("changelog", TEXT.encode()),
        ("NEWS.Debian.gz", PACKED),
        ("changelog.Debian.amd64.gz", PACKED),
    ],
)
def test_a_package_brings_its_changelog_under_any_of_its_names(tmp_path: Path, name: str, content: bytes):
    deb = make_deb(tmp_path, files=[file(f"{DOC}/{name}", content), file(f"{DOC}/copyright", b"free")])
    assert documents_of_deb(deb, "hello").texts == {name: TEXT}


@pytest.mark.parametrize(
    "links",
    [
        [symlink(DOC, "libhello")],
        [symlink(f"{DOC}/changelog.Debian.gz", "../libhello/changelog.Debian.gz")],
        [symlink(f"{DOC}/changelog.Debian.gz", "/usr/share/doc/libhello/changelog.Debian.gz")],
    ],
)
def test_a_link_tells_which_package_has_it_instead(tmp_path: Path, links: list):
    found = documents_of_deb(make_deb(tmp_path, files=links), "hello")
    assert (found.texts, found.elsewhere) == ({}, ("libhello",))


def test_documents_of_other_packages_are_not_taken_for_its_own(tmp_path: Path):
    files = [file(f"{DOC}/changelog.gz", PACKED), file("usr/share/doc/other/changelog.Debian.gz", b"x")]
    assert list(documents_of_deb(make_deb(tmp_path, files=files), "hello").texts) == ["changelog.gz"]


def test_a_changelog_that_is_damaged_or_grows_without_end_is_an_error(tmp_path, monkeypatch):
    damaged = make_deb(tmp_path, files=[directory(DOC), file(f"{DOC}/changelog.gz", b"no gzip")])
    with pytest.raises(MalformedError, match="cannot be decompressed"):
        documents_of_deb(damaged, "hello")
    monkeypatch.setattr(documents, "LARGEST", 1000)
    bomb = make_deb(tmp_path, "bomb", files=[file("usr/share/doc/bomb/changelog.gz", gzip.compress(bytes(100_000)))])
    with pytest.raises(MalformedError, match="grows beyond 1000 bytes"):
        documents_of_deb(bomb, "bomb")


def test_an_image_that_has_its_documentation_is_asked_first():
    image = image_of_layers(
        [layer_file(f"{DOC}/changelog.Debian.gz", PACKED), layer_symlink("usr/share/doc/hello-bin", "hello")],
        [layer_file("usr/share/doc/other/copyright", b"")],
    )
    files = filesystem(scan_image(image, None, workers=1).layers)
    found = documents_of_image(image, files, ["hello", "hello-bin", "other", "missing"])
    assert found == {"hello": {"changelog.Debian.gz": TEXT}, "hello-bin": {"changelog.Debian.gz": TEXT}}
