"""Reading a .deb: what a proper one gives, and that each way of being hostile is refused."""

import tarfile
from pathlib import Path

import pytest

from debs import ar, compress, control_tar, data_tar, device, directory, file, hard_link, make_deb, symlink
from formation.debian import deb as deb_module
from formation.debian.deb import open_deb
from formation.entry import Entry, encode_path
from formation.errors import MalformedError


def contents(path: Path) -> dict[str, tuple[Entry, bytes]]:
    with open_deb(path) as package:
        return {entry.path: (entry, b"".join(content)) for entry, content in package.entries()}


def refused(path: Path) -> str:
    with pytest.raises(MalformedError) as caught:
        contents(path)
    assert path.name in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("compression", ["none", "gz", "xz", "bz2", "lzma", "zst"])
def test_every_compression_of_deb5_is_read(tmp_path: Path, compression: str) -> None:
    big = bytes(range(256)) * 12_000
    path = make_deb(
        tmp_path, compression=compression, files=[file("usr/bin/a", b"hello", mode=0o4755), file("big", big)]
    )
    found = contents(path)
    assert list(found) == ["", "usr", "usr/bin", "usr/bin/a", "big"]
    assert found["usr/bin/a"] == (Entry("usr/bin/a", "file", 0o4755, mtime=1_700_000_000, size=5), b"hello")
    assert found["big"][1] == big


def test_control_members_come_with_their_modes(tmp_path: Path) -> None:
    path = make_deb(tmp_path, "hello", control={"postinst": "#!/bin/sh\n", "conffiles": "/etc/a\n"})
    with open_deb(path) as package:
        assert list(package.control) == ["control", "postinst", "conffiles"]
        assert package.control["control"].startswith(b"Package: hello\n")
        assert package.control_modes == {"control": 0o644, "postinst": 0o755, "conffiles": 0o644}


def test_content_that_is_not_read_is_skipped(tmp_path: Path) -> None:
    path = make_deb(tmp_path, files=[file("a", b"a" * 5_000_000), file("b", b"b")])
    with open_deb(path) as package:
        assert [entry.path for entry, _ in package.entries()] == ["", "a", "b"]


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    name = b"usr/caf\xe9".decode("utf-8", "surrogateescape")
    found = contents(make_deb(tmp_path, files=[file(name, b"x")]))
    assert encode_path(found[name][0].path) == b"usr/caf\xe9"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_targets_are_read(tmp_path: Path, tar_format: int) -> None:
    name, target = "usr/" + "n" * 200, "/" + "t" * 300
    found = contents(make_deb(tmp_path, files=[file(name, b"x"), symlink("link", target)], tar_format=tar_format))
    assert found[name][1] == b"x"
    assert found["link"][0].target == target


def test_symlinks_may_point_anywhere(tmp_path: Path) -> None:
    found = contents(make_deb(tmp_path, files=[symlink("a", "/etc/passwd"), symlink("b", "../../..")]))
    assert (found["a"][0].target, found["b"][0].target) == ("/etc/passwd", "../../..")


def test_members_with_an_underscore_are_ignored_as_dpkg_does(tmp_path: Path) -> None:
    assert "a" in contents(make_deb(tmp_path, files=[file("a")], extra=[("_gpgorigin", b"abc")]))


def test_a_directory_may_occur_twice_as_dpkg_has_it(tmp_path: Path) -> None:
    assert "a/b" in contents(make_deb(tmp_path, files=[directory("a"), file("a/b"), directory("a")]))


HOSTILE = {
    "traversal": ([file("../etc/passwd", b"x")], "leads out"),
    "traversal-inside": ([file("usr/../../etc/passwd", b"x")], "leads out"),
    "absolute": ([file("/etc/passwd", b"x")], "not a relative path"),
    "duplicate": ([file("a", b"1"), file("a", b"2")], "twice"),
    "duplicate-by-spelling": ([file("d/a", b"1"), file("d//a", b"2")], "twice"),
    "file-and-directory": ([file("a", b"1"), file("a/b", b"2")], "lies below 'a'"),
    "directory-becomes-file": ([file("a/b", b"1"), file("a", b"2")], "directory"),
    "through-symlink": ([symlink("a", "/etc"), file("a/passwd", b"x")], "lies below 'a'"),
    "through-symlink-deep": ([symlink("a", "/etc"), file("a/b/c/d", b"x")], "lies below 'a'"),
    "symlink-over-directory": ([file("a/b", b"x"), symlink("a", "/etc")], "directory"),
    "hard-link-outside": ([hard_link("a", "../../etc/shadow")], "leads out"),
    "hard-link-absolute": ([hard_link("a", "/etc/shadow")], "not a relative path"),
    "hard-link-unseen": ([hard_link("a", "b"), file("b", b"x")], "not an earlier file"),
    "symlink-to-a-long-path": ([symlink("a", "t" * 5000)], "which is empty, too long, or no path"),
    "hard-link-to-symlink": ([symlink("s", "/etc/shadow"), hard_link("a", "s")], "not an earlier file"),
    "hard-link-to-directory": ([directory("d"), hard_link("a", "d")], "not an earlier file"),
    "character-device": ([device("dev/mem")], "character"),
    "block-device": ([device("dev/sda", tarfile.BLKTYPE)], "block"),
    "fifo": ([device("run/fifo", tarfile.FIFOTYPE)], "fifo"),
    "newline": ([file("a\nb", b"x")], "newline"),
    "long-name": ([file("a/" * 2100 + "b", b"x")], "too long"),
    "long-component": ([file("a" * 256, b"x")], "255"),
    "long-target": ([symlink("a", "b" * 5000)], "symlink"),
    "empty-target": ([symlink("a", "")], "symlink"),
    "unknown-type": ([device("a", b"Z")], "unknown tar type"),
    "sparse": ([device("a", tarfile.GNUTYPE_SPARSE)], "unknown tar type"),
}


@pytest.mark.parametrize("defect", HOSTILE)
def test_hostile_entries_are_refused(tmp_path: Path, defect: str) -> None:
    files, reason = HOSTILE[defect]
    assert reason in refused(make_deb(tmp_path, files=files, parents=False))


@pytest.mark.parametrize("compression", ["none", "gz", "xz", "bz2", "lzma", "zst"])
def test_a_cut_compressed_stream_is_refused(tmp_path: Path, compression: str) -> None:
    suffix = "" if compression == "none" else f".{compression}"
    data = compress(data_tar([file("a", bytes(range(256)) * 4000)]), suffix)
    refused(make_deb(tmp_path, compression=compression, members={f"data.tar{suffix}": data[: len(data) // 2]}))


# dpkg-deb writes zstd frames without a checksum; there only the digest of the package tells.
@pytest.mark.parametrize("compression", ["gz", "xz", "bz2"])
def test_damaged_compressed_data_is_refused(tmp_path: Path, compression: str) -> None:
    data = bytearray(compress(data_tar([file("a", bytes(range(256)) * 4000)]), f".{compression}"))
    data[len(data) // 2] ^= 0xFF
    refused(make_deb(tmp_path, compression=compression, members={f"data.tar.{compression}": bytes(data)}))


@pytest.mark.parametrize("compression", ["gz", "xz", "zst", "bz2"])
def test_garbage_after_the_compressed_stream_is_refused(tmp_path: Path, compression: str) -> None:
    data = compress(data_tar([file("a")]), f".{compression}") + b"garbage!"
    refused(make_deb(tmp_path, compression=compression, members={f"data.tar.{compression}": data}))


def test_a_cut_tar_is_refused(tmp_path: Path) -> None:
    whole = data_tar([file("a", b"x" * 2000)])
    for size in (0, 100, 512, 1024, 1500, 2000):
        assert "cut off" in refused(make_deb(tmp_path, members={"data.tar.xz": compress(whole[:size], ".xz")}))


def test_data_after_the_end_of_the_tar_is_refused(tmp_path: Path) -> None:
    data = data_tar([file("a")]) + b"garbage"
    assert "follows the end" in refused(make_deb(tmp_path, members={"data.tar": data}))


def test_a_wrong_header_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(data_tar([file("a")]))
    data[0] ^= 1
    assert "checksum" in refused(make_deb(tmp_path, members={"data.tar": bytes(data)}))


def test_a_package_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = make_deb(tmp_path, files=[file("a", b"hello")])
    whole = path.read_bytes()
    for size in [*range(0, 300, 7), *range(300, len(whole) - 1, 13)]:
        path.write_bytes(whole[:size])
        refused(path)


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_a_decompression_bomb_is_stopped(tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb_module, "_DATA_LIMIT", 3_000_000)
    path = make_deb(tmp_path, compression=compression, files=[file("zeros", bytes(20_000_000))])
    assert path.stat().st_size < 100_000
    assert "grows beyond 3000000 bytes" in refused(path)


def test_a_package_may_not_be_much_larger_than_its_installed_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deb_module, "_SLACK", 1 << 20)
    path = make_deb(tmp_path, fields={"Installed-Size": "10"}, files=[file("zeros", bytes(2_000_000))])
    assert "grows beyond" in refused(path)


def test_a_large_control_member_is_refused(tmp_path: Path) -> None:
    assert "bytes" in refused(make_deb(tmp_path, control={"postinst": bytes((16 << 20) + 1)}))


@pytest.mark.parametrize("name", ["../postinst", "sub/postinst", "post inst"])
def test_control_members_with_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    refused(make_deb(tmp_path, control={name: "x"}))


def test_a_package_without_a_control_file_is_refused(tmp_path: Path) -> None:
    data = compress(control_tar({"postinst": "x"}), ".xz")
    assert "no control file" in refused(make_deb(tmp_path, members={"control.tar.xz": data}))


@pytest.mark.parametrize(
    "members",
    [
        [("control.tar", b""), ("data.tar", b"")],
        [("debian-binary", b"3.0\n"), ("control.tar", b""), ("data.tar", b"")],
        [("debian-binary", b"2.0\n"), ("data.tar", b""), ("control.tar", b"")],
        [("debian-binary", b"2.0\n"), ("control.tar", control_tar({"control": "Package: a\n"}))],
        [("debian-binary", b"2.0\n"), ("control.tar", control_tar({"control": "Package: a\n"})), ("data.tar.rar", b"")],
    ],
)
def test_members_that_are_missing_or_in_another_order_are_refused(
    tmp_path: Path, members: list[tuple[str, bytes]]
) -> None:
    path = tmp_path / "odd.deb"
    path.write_bytes(ar(members))
    refused(path)


@pytest.mark.parametrize("extra", [[("data.tar.xz", b"")], [("other", b"abc")]])
def test_members_after_the_data_are_refused(tmp_path: Path, extra: list[tuple[str, bytes]]) -> None:
    refused(make_deb(tmp_path, extra=extra))


def test_garbage_after_the_archive_is_refused(tmp_path: Path) -> None:
    refused(make_deb(tmp_path, trailing=b"garbage"))


def test_something_else_than_a_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.deb"
    path.write_bytes(b"<html>not found</html>")
    assert "not an ar archive" in refused(path)
