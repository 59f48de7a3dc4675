"""From the archive's signature down to the bytes of its indexes, against a real server that fails."""

import dataclasses
import gzip
import hashlib
import lzma
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faulty_server import Answer, FaultyServer
from formation.debian.suite import FetchedSuite, fetch_suite
from formation.digest import sha256
from formation.errors import IntegrityError, MalformedError, UnreachableError, UsageError
from formation.network import Downloader, GoneError
from formation.progress import Silent
from signed_archive import SignedArchive, clear_signed, date, detached_signature, new_key, release_text, ring

NOW = int(time.time())
PACKAGES = "main/binary-amd64/Packages"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture
def toy(server: FaultyServer) -> SignedArchive:
    return SignedArchive(server)


@pytest.fixture
def fetch(toy: SignedArchive, tmp_path: Path):
    def fetch(*architectures: str, now: int = NOW, not_before: int | None = None, **changes) -> FetchedSuite:
        with Downloader(progress=Silent(), tries=2, pause=lambda seconds: None) as downloader:
            return fetch_suite(
                dataclasses.replace(toy.archive, **changes),
                toy.suite,
                architectures or ("amd64",),
                downloader=downloader,
                keys=ring(toy.key),
                now=now,
                not_before=not_before,
                cache_dir=tmp_path / "cache",
            )

    return fetch


def fresh(**fields: str | None) -> dict[str, str | None]:
    """Release fields of a suite that was made an hour ago."""
    return {"Date": date(NOW - 3600), "Valid_Until": date(NOW + 3600)} | fields


def test_a_suite_is_fetched_down_to_the_bytes_of_its_indexes(toy, fetch, server):
    toy.publish(**fresh())
    suite = fetch()
    (index,) = suite.indexes
    assert index.read() == toy.packages
    assert index.digest == sha256(toy.packages)
    assert (index.component, index.architecture) == ("main", "amd64")
    assert (suite.archive, suite.uri, suite.suite) == ("toy", server.url, "toy")
    assert suite.sha256 == sha256(server.body("/dists/toy/InRelease"))
    assert (suite.date, suite.valid_until) == (NOW - 3600, NOW + 3600)
    assert suite.signed_by == ring(toy.key).fingerprints[0]
    compressed = hashlib.sha256(lzma.compress(toy.packages)).hexdigest()
    assert server.paths() == ["/dists/toy/InRelease", f"/dists/toy/main/binary-amd64/by-hash/SHA256/{compressed}"]


def test_an_unchanged_suite_downloads_only_its_inrelease_again(toy, fetch, server):
    toy.publish(**fresh())
    fetch()
    server.requests.clear()
    assert fetch().indexes[0].read() == toy.packages
    assert server.paths() == ["/dists/toy/InRelease"]


def test_an_index_that_was_damaged_in_the_cache_is_downloaded_again(toy, fetch):
    toy.publish(**fresh())
    fetch().indexes[0].file.write_bytes(b"damaged")
    assert fetch().indexes[0].read() == toy.packages


def test_an_index_that_is_damaged_after_it_was_fetched_is_not_read(toy, fetch):
    toy.publish(**fresh())
    (index,) = fetch().indexes
    index.file.write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match="was changed"):
        index.read()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bytes])
def test_every_compression_is_read(toy, fetch, pack):
    name = {gzip.compress: ".gz", lzma.compress: ".xz", bytes: ""}[pack]
    toy.publish({PACKAGES: toy.packages, PACKAGES + name: pack(toy.packages)}, **fresh())
    assert fetch().indexes[0].read() == toy.packages


def test_several_compressed_streams_in_one_file_are_one_index(toy, fetch):
    packed = gzip.compress(toy.packages[:10]) + gzip.compress(toy.packages[10:])
    toy.publish({PACKAGES: toy.packages, PACKAGES + ".gz": packed}, **fresh())
    assert fetch().indexes[0].read() == toy.packages


def test_an_archive_without_by_hash_is_asked_for_the_plain_path(toy, fetch, server):
    toy.publish(**fresh(Acquire_By_Hash=None))
    fetch()
    assert server.paths() == ["/dists/toy/InRelease", f"/dists/toy/{PACKAGES}.xz"]


def test_a_mirror_without_the_by_hash_file_is_asked_for_the_plain_path(toy, fetch, server):
    toy.publish(**fresh())
    toy.forget(f"main/binary-amd64/by-hash/SHA256/{hashlib.sha256(lzma.compress(toy.packages)).hexdigest()}")
    assert fetch().indexes[0].read() == toy.packages
    assert server.paths()[-1] == f"/dists/toy/{PACKAGES}.xz"


def test_release_with_its_detached_signature_stands_in_for_a_missing_inrelease(toy, fetch, server):
    toy.publish(**fresh())
    text = release_text(toy.files(), **fresh())
    toy.forget("InRelease")
    server.serve("/dists/toy/Release", text)
    server.serve("/dists/toy/Release.gpg", detached_signature(toy.key, text))
    suite = fetch()
    assert suite.sha256 == sha256(text)
    assert suite.indexes[0].read() == toy.packages
    server.serve("/dists/toy/Release", text.replace(b"stable", b"unsafe"))
    with pytest.raises(IntegrityError, match="bad signature"):
        fetch()


def test_a_release_that_nobody_signed_is_told_as_that(toy, fetch, server):
    server.serve("/dists/toy/InRelease", Answer(status=404))
    server.serve("/dists/toy/Release", release_text(toy.files()))
    with pytest.raises(IntegrityError, match="/dists/toy/Release is not signed: there is neither") as caught:
        fetch()
    assert "gpg --clearsign" in (caught.value.hint or "")


def test_packages_for_all_are_fetched_where_the_archive_keeps_them_apart(toy, fetch):
    files = {f"main/binary-{name}/Packages": name.encode() for name in ("amd64", "arm64", "all")}
    toy.publish(files, **fresh(Architectures="all amd64 arm64"))
    assert [index.read() for index in fetch("amd64", "arm64").indexes] == [b"amd64", b"arm64", b"all"]
    toy.publish(files, **fresh(Architectures="all amd64 arm64", No_Support_for_Architecture_all="Packages"))
    assert [index.architecture for index in fetch("amd64", "arm64").indexes] == ["amd64", "arm64"]


def test_packages_for_all_that_are_kept_nowhere_apart_are_those_of_each_architecture(toy, fetch):
    files = {f"{component}/binary-amd64/Packages": component.encode() for component in ("main", "more")}
    files["more/binary-all/Packages"] = b"all of more"
    toy.publish(files, **fresh(Architectures="amd64 all", Components="main more"))
    suite = fetch(components=("main", "more"))
    assert [index.read() for index in suite.indexes] == [b"main", b"more", b"all of more"]


def test_an_index_is_missing_when_it_is_of_an_architecture_or_compressed_in_an_unknown_way(toy, fetch):
    toy.publish({"main/binary-all/Packages": b"all"}, **fresh(Architectures="amd64 all"))
    with pytest.raises(MalformedError, match=r"lists no main/binary-amd64/Packages"):
        fetch()
    files = {"main/binary-amd64/Packages": b"amd64", "main/binary-all/Packages.lz4": b"all"}
    toy.publish(files, **fresh(Architectures="amd64 all"))
    with pytest.raises(MalformedError, match=r"no main/binary-all/Packages that can be read, only .*all/Packages\.lz4"):
        fetch()


def test_the_components_of_a_security_archive_are_found_below_their_short_names(toy, fetch):
    toy.publish(**fresh(Components="updates/main updates/contrib"))
    assert fetch().indexes[0].component == "main"


def test_an_inrelease_that_another_key_signed_is_refused(toy, fetch):
    toy.publish(**fresh())
    toy.key = new_key("thief")
    with pytest.raises(IntegrityError, match="accepted are only"):
        fetch()


def test_a_changed_inrelease_is_refused(toy, fetch, server):
    good = toy.in_release(toy.files(), **fresh())
    server.serve("/dists/toy/InRelease", good.replace(b"amd64 arm64", b"amd64 evil0"))
    with pytest.raises(IntegrityError, match="InRelease has a bad signature"):
        fetch()


def test_expired_metadata_is_refused_unless_the_archive_allows_it(toy, fetch):
    toy.publish(**fresh(Valid_Until=date(NOW - 60)))
    with pytest.raises(IntegrityError, match="expired on") as caught:
        fetch()
    assert caught.value.exit_code == 4
    assert fetch(check_valid_until=False).valid_until == NOW - 60


def test_metadata_older_than_the_lock_is_a_replay(toy, fetch):
    toy.publish(**fresh())
    assert fetch(not_before=NOW - 3600).date == NOW - 3600
    with pytest.raises(IntegrityError, match="replay"):
        fetch(not_before=NOW - 3599)


def test_the_release_of_another_suite_is_refused(toy, fetch):
    toy.publish(**fresh(Suite="oldstable", Codename="old"))
    with pytest.raises(IntegrityError, match="not of the suite toy: it says Suite oldstable and Codename old"):
        fetch()


def test_an_index_with_other_bytes_than_promised_is_refused_and_not_kept(toy, fetch, server, tmp_path):
    toy.publish(**fresh(Acquire_By_Hash=None))
    wrong = lzma.compress(toy.packages)[:-1] + b"x"
    server.serve(f"/dists/toy/{PACKAGES}.xz", wrong)
    with pytest.raises(IntegrityError, match=sha256(wrong)):
        fetch()
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_index_of_another_size_than_promised_is_refused(toy, fetch, server):
    toy.publish(**fresh(Acquire_By_Hash=None))
    server.serve(f"/dists/toy/{PACKAGES}.xz", lzma.compress(toy.packages) + b"more")
    with pytest.raises(IntegrityError, match=r"bytes, but .* were promised"):
        fetch()


def test_a_suite_that_changes_while_it_is_fetched_is_read_anew(toy, fetch, server):
    old = toy.in_release({PACKAGES: b"old"}, **fresh(Acquire_By_Hash=None))
    toy.publish(**fresh(Acquire_By_Hash=None))
    new = server.body("/dists/toy/InRelease")
    server.serve("/dists/toy/InRelease", old, new)
    suite = fetch()
    assert suite.sha256 == sha256(new)
    assert suite.indexes[0].read() == toy.packages


def test_a_bomb_stops_at_the_size_that_the_release_promises(toy, fetch):
    for pack, name in ((lzma.compress, ".xz"), (gzip.compress, ".gz")):
        toy.publish({PACKAGES: b"small", PACKAGES + name: pack(bytes(10_000_000))}, **fresh())
        with pytest.raises(IntegrityError, match="grows beyond the 5 bytes"):
            fetch().indexes[0].read()


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data[: len(data) // 2], lambda data: b"junk"])
@pytest.mark.parametrize(("pack", "name"), [(lzma.compress, ".xz"), (gzip.compress, ".gz")])
def test_a_truncated_or_damaged_index_is_malformed(toy, fetch, pack, name, damage):
    toy.publish({PACKAGES: toy.packages, PACKAGES + name: damage(pack(toy.packages))}, **fresh())
    with pytest.raises(MalformedError, match=PACKAGES + name):
        fetch().indexes[0].read()


def test_a_compressed_index_with_other_content_than_the_plain_one_is_refused(toy, fetch):
    toy.publish({PACKAGES: toy.packages, PACKAGES + ".xz": lzma.compress(toy.packages[::-1])}, **fresh())
    with pytest.raises(IntegrityError, match="holds other content"):
        fetch().indexes[0].read()


def test_an_index_that_promises_a_terabyte_is_refused_before_it_is_downloaded(toy, fetch, server):
    text = release_text(toy.files(), **fresh()) + b" " + b"0" * 64 + b" 1000000000000 main/binary-arm64/Packages\n"
    server.serve("/dists/toy/InRelease", clear_signed(toy.key, text))
    with pytest.raises(MalformedError, match="too many"):
        fetch("arm64")


def test_an_inrelease_without_end_is_cut_off(toy, fetch, server):
    server.serve("/dists/toy/InRelease", Answer(bytes(17 << 20), chunked=True))
    with pytest.raises(IntegrityError, match="larger than"):
        fetch()


def test_a_component_or_architecture_that_the_suite_lacks_is_named_with_the_known_ones(toy, fetch):
    toy.publish(**fresh(Components="main contrib"))
    with pytest.raises(UsageError, match="no component mian; it has main, contrib") as caught:
        fetch(components=("mian",))
    assert caught.value.hint == "did you mean main?"
    with pytest.raises(UsageError, match="no architecture armhf; it has amd64, arm64") as caught:
        fetch("armhf")
    assert caught.value.hint is None
    with pytest.raises(UsageError, match="not the name of a suite or component"):
        fetch(components=("../main",))


def test_a_suite_that_is_not_there_is_gone_with_a_hint(fetch, server):
    with pytest.raises(GoneError, match=f"{server.url}/dists/toy/InRelease: the server answers 404") as caught:
        fetch()
    assert caught.value.hint == "check the uri and the suites of the archive toy"
    assert caught.value.exit_code == 5


def test_a_server_that_stays_busy_is_unreachable(toy, fetch, server):
    toy.publish(**fresh())
    server.serve("/dists/toy/InRelease", Answer(status=503))
    with pytest.raises(UnreachableError, match="503 Service Unavailable, 2 times in a row"):
        fetch()


def test_an_archive_in_a_local_directory_is_read(toy, fetch, tmp_path):
    root = tmp_path / "local archive"
    files = toy.files() | {"InRelease": toy.in_release(toy.files(), **fresh())}
    for path, data in files.items():
        file = root / "dists" / "toy" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    assert fetch(uri=root.as_uri()).indexes[0].read() == toy.packages
