"""What the first stage's tree has besides its packages."""

from pathlib import Path

import pytest

from formation.debian.database import PackageName
from formation.install.bootstrap import bring_what_no_package_does
from formation.install.stages import StagePackage


def package(*listed: str) -> StagePackage:
    return StagePackage(PackageName("a", "amd64", False), "1", "key", Path("kept"), {}, listed, 0)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "usr" / "share" / "man").mkdir(parents=True)
    return tmp_path


def test_the_sections_of_manual_pages_that_filters_kept_out_are_there(root):
    paths = ("/usr/share/man", "/usr/share/man/man1", "/usr/share/man/man1/a.1.gz", "/usr/share/man/de/man1")
    bring_what_no_package_does(root, [package(*paths), package("/usr/share/man/man8", "/usr/share/man/man1")])
    made = sorted(path.name for path in (root / "usr/share/man").rglob("*"))
    assert made == ["man1", "man8"]
    assert (root / "usr/share/man/man1").stat().st_mode & 0o7777 == 0o755


def test_what_is_there_in_the_place_of_a_section_stays(root):
    (root / "usr/share/man/man1").symlink_to("elsewhere")
    bring_what_no_package_does(root, [package("/usr/share/man/man1")])
    assert (root / "usr/share/man/man1").readlink() == Path("elsewhere")


def test_where_all_manual_pages_are_left_out_with_their_directory_nothing_is_made(tmp_path):
    bring_what_no_package_does(tmp_path, [package("/usr/share/man/man1")])
    assert not list(tmp_path.iterdir())


def test_usr_is_merged_where_no_package_does_it(root):
    (root / "usr/lib").mkdir()
    bring_what_no_package_does(root, [])
    assert (root / "lib").readlink() == Path("usr/lib")
    assert not (root / "bin").exists()
