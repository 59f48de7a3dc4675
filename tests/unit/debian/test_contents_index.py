"""Which packages of a suite have a library or a program."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from archives import HOUR, served
from formation.debian.archive import Archive
from formation.debian.contents_index import packages_having, search_contents
from formation.errors import IntegrityError, MalformedError, UnreachableError
from formation.network import Downloader
from formation.progress import Silent
from signed_archive import clear_signed, date, detached_signature, new_key, release_text, ring

NOW = 1_800_000_000
CONTENTS = b"""\
bin/sh                                          shells/dash
usr/bin/python3                                 python/python3-minimal
usr/lib/x86_64-linux-gnu/libnew.so.1            libs/libnew1
usr/lib/x86_64-linux-gnu/private/libold.so.1    libs/private
usr/lib/libold.so.1                             libs/libold1,non-free/libs/libold1-other
usr/share/doc/libnew.so.1                       doc/libnew-doc
usr/lib/x86_64-linux-gnu/libnewer.so.1          libs/libnewer1
lib64/liblast.so.1                              libs/liblast1"""


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "Contents-amd64.gz"
    path.write_bytes(gzip.compress(CONTENTS, mtime=0))
    return path


def test_libraries_and_programs_are_found_where_they_are_looked_for(index):
    assert search_contents(index, ["libnew.so.1", "libold.so.1", "python3", "liblast.so.1", "libgone.so.1"]) == {
        "libnew.so.1": ("libnew1",),
        "libold.so.1": ("libold1", "libold1-other"),
        "python3": ("python3-minimal",),
        "liblast.so.1": ("liblast1",),
    }


@pytest.mark.parametrize("piece", [1, 7, 64, 200])
def test_a_line_that_is_read_in_pieces_counts_once(index, piece, monkeypatch):
    monkeypatch.setattr("formation.debian.contents_index._PIECE", max(piece, 100))
    assert search_contents(index, ["libnew.so.1"]) == {"libnew.so.1": ("libnew1",)}


def test_a_name_is_no_pattern(index):
    assert search_contents(index, ["lib...\\.so.1", "libne.*"]) == {}


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(CONTENTS)[:-20], b""], ids=["other", "cut", "empty"])
def test_a_damaged_index_is_malformed_or_says_nothing(tmp_path, data):
    path = tmp_path / "index.gz"
    path.write_bytes(data)
    if not data:
        assert search_contents(path, ["a"]) == {}
        return
    with pytest.raises(MalformedError, match="cannot be decompressed"):
        search_contents(path, ["a"])


def test_an_index_that_grows_without_end_is_refused(index, monkeypatch):
    monkeypatch.setattr("formation.debian.contents_index._LARGEST_CONTENT", 100)
    with pytest.raises(MalformedError, match="grows beyond 100 bytes"):
        search_contents(index, ["a"])


@pytest.fixture
def ask(tmp_path: Path):
    """Asks a signed suite with this Contents index, which the server then has as `given`."""
    key = new_key()
    suite = tmp_path / "served" / "dists" / "stable"

    def ask(
        names, *, contents: bytes | None = CONTENTS, given: bytes | None = None, age: int = HOUR, inline: bool = True
    ):
        files = {} if contents is None else {"main/Contents-amd64.gz": gzip.compress(contents, mtime=0)}
        release = release_text(
            files, Suite="stable", Codename="stable", Date=date(NOW - age), Valid_Until=date(NOW - age + 24 * HOUR),
            Architectures="amd64", Components="main",
        )  # fmt: skip
        (suite / "main").mkdir(parents=True, exist_ok=True)
        if inline:
            (suite / "InRelease").write_bytes(clear_signed(key, release))
        else:
            (suite / "Release").write_bytes(release)
            (suite / "Release.gpg").write_bytes(detached_signature(key, release))
        for path, data in files.items():
            (suite / path).write_bytes(given or data)
        with served(tmp_path / "served") as url, Downloader(progress=Silent(), tries=1) as downloader:
            archive = Archive("local", url, ("stable",), ("main",), (), None, None)
            where = {"downloader": downloader, "keys": ring(key), "now": NOW, "cache_dir": tmp_path / "cache"}
            return packages_having(archive, "stable", "amd64", names, **where)

    return ask


def test_the_index_of_a_suite_is_verified_and_kept(ask: Callable, tmp_path):
    assert ask(["libnew.so.1"]) == {"libnew.so.1": ("libnew1",)}
    (tmp_path / "served" / "dists" / "stable" / "main" / "Contents-amd64.gz").unlink()
    assert len(list((tmp_path / "cache").glob("*.contents.gz"))) == 1


def test_an_archive_that_signs_its_release_beside_it_is_asked_as_well(ask: Callable):
    assert ask(["libnew.so.1"], inline=False) == {"libnew.so.1": ("libnew1",)}


def test_an_index_that_is_not_the_signed_one_is_refused(ask: Callable):
    with pytest.raises(IntegrityError):
        ask(["libnew.so.1"], given=gzip.compress(CONTENTS.replace(b"libs/libnew1", b"libs/hostile"), mtime=0))


def test_an_expired_suite_is_refused(ask: Callable):
    with pytest.raises(IntegrityError, match="expired"):
        ask(["libnew.so.1"], age=48 * HOUR)


def test_a_suite_without_an_index_says_nothing(ask: Callable):
    assert ask(["libnew.so.1"], contents=None) == {}


def test_a_server_that_is_away_is_unreachable(tmp_path):
    archive = Archive("local", "http://127.0.0.1:1", ("stable",), ("main",), (), None, None)
    with (
        Downloader(progress=Silent(), tries=1, pause=lambda seconds: None) as downloader,
        pytest.raises(UnreachableError),
    ):
        packages_having(
            archive, "stable", "amd64", ["a"], downloader=downloader, keys=ring(), now=NOW, cache_dir=tmp_path
        )
