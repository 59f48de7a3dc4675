"""One pass over a layer: what it finds, and what it says about layers that are not as they should be."""

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elves import elf_bytes
from formation.contents import blob, scan
from formation.contents.layer import LayerContents
from formation.contents.scan import scan_layer
from formation.entry import Entry
from formation.oci.image import Layer
from hostile import hostile
from layer_tars import directory, file, hardlink, layer_of, symlink, tar_of

KEY = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n" * 5


def kinds(contents: LayerContents) -> list[str]:
    return [problem.kind for problem in contents.problems]


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_every_entry_is_told_with_its_hashes(compression):
    capability = ("security.capability", b"\1\0\0\2\0\4")
    tar = tar_of(
        directory("etc"),
        file("etc/hostname", b"box\n", mode=0o600, uid=3, gid=4),
        symlink("etc/link", "../hostname"),
        hardlink("etc/other", "etc/hostname"),
        Entry("dev/null", "character", 0o666, device=(1, 3)),
        Entry("bin/ping", "file", 0o755, mtime=7, xattrs=(capability,)),
    )
    contents = scan_layer(layer_of(tar, compression))
    assert contents.problems == ()
    assert contents.size == len(tar)
    found = {entry.path: entry for entry in contents.entries}
    assert list(found) == ["etc", "etc/hostname", "etc/link", "etc/other", "dev/null", "bin/ping"]
    hostname = found["etc/hostname"]
    assert (hostname.mode, hostname.uid, hostname.gid, hostname.size) == (0o600, 3, 4, 4)
    assert hostname.md5 == hashlib.md5(b"box\n").hexdigest()
    assert hostname.sha256 == hashlib.sha256(b"box\n").hexdigest()
    assert found["etc/link"].target == "../hostname"
    assert found["dev/null"].device == (1, 3)
    assert (found["bin/ping"].xattrs, found["bin/ping"].mtime) == ((capability,), 7)
    assert contents.kept == {"etc/hostname": b"box\n"}


def test_programs_are_read_and_large_files_are_hashed_in_pieces():
    program = elf_bytes(needed=("libc.so.6",)).ljust(5 << 20, b"\0")
    contents = scan_layer(layer_of(tar_of(file("bin/big", program), file("bin/not", b"\x7fEL")), "gzip"))
    assert contents.elf["bin/big"].needed == ("libc.so.6",)
    assert "bin/not" not in contents.elf
    assert contents.entries[0].md5 == hashlib.md5(program).hexdigest()


def test_a_private_key_is_found_with_its_line_and_the_mention_of_one_is_not():
    mention = b"if line == '-----BEGIN RSA PRIVATE KEY-----':\n"
    contents = scan_layer(
        layer_of(
            tar_of(
                file("root/.ssh/id", b"# mine\n" + KEY),
                file("usr/lib/parser.py", mention),
                file("opt/blob", b"\0" * (5 << 20) + KEY),
                file("usr/lib/libtls.so", elf_bytes(soname="libtls.so") + KEY),
            )
        )
    )
    found = {(match.path, match.detector, match.line) for match in contents.matches}
    assert found == {("root/.ssh/id", "private-key", 2), ("opt/blob", "private-key", 0)}


@pytest.mark.parametrize(
    ("content", "detector"),
    [
        (b"key=AKIAIOSFODNN7EXAMPLE\n", "aws-key"),
        (b"token: ghp_" + b"a1" * 18 + b"\n", "github-token"),
        (b"//registry.npmjs.org/:_authToken=0123456789abcdef\n", "npm-token"),
        (b'{"auths": {"r": {"auth": "dXNlcjpwYXNz"}}}', "registry-login"),
    ],
)
def test_tokens_are_found_in_text(content, detector):
    contents = scan_layer(layer_of(tar_of(file("app/settings", content))))
    assert [match.detector for match in contents.matches] == [detector]


def damaged(layer: Layer, change) -> Layer:
    source = layer.source
    (digest,) = source.content
    source.content[digest] = change(source.content[digest])
    return layer


def test_a_blob_of_another_digest_is_told_of_and_read_all_the_same():
    layer = layer_of(tar_of(file("a", b"one")))
    contents = scan_layer(damaged(layer, lambda data: data.replace(b"one", b"two")))
    assert kinds(contents) == ["digest", "diff-id"]
    assert [entry.path for entry in contents.entries] == ["a"]


def test_a_wrong_diff_id_alone_is_told_of():
    layer = layer_of(tar_of(file("a", b"one")), "gzip")
    assert kinds(scan_layer(replace(layer, diff_id="sha256:" + "0" * 64))) == ["diff-id"]


def test_a_blob_that_is_longer_or_shorter_than_promised_is_told_of():
    assert "size" in kinds(scan_layer(damaged(layer_of(tar_of()), lambda data: data + b"more")))
    assert "size" in kinds(scan_layer(damaged(layer_of(tar_of()), lambda data: data[:-512])))


def test_a_compressed_blob_that_is_cut_off_is_told_of_once():
    layer = damaged(layer_of(tar_of(file("a", os.urandom(5000))), "gzip"), lambda data: data[:2000])
    assert kinds(scan_layer(layer)) == ["compression", "size", "digest"]


def test_a_missing_blob_and_an_unknown_media_type_are_told_of():
    layer = layer_of(tar_of())
    layer.source.content.clear()
    assert kinds(scan_layer(layer)) == ["unread"]
    strange = replace(layer_of(tar_of()), descriptor=replace(layer.descriptor, media_type="text/plain"))
    assert kinds(scan_layer(strange)) == ["unread"]


def test_a_damaged_tar_does_not_hide_what_comes_before_nor_that_the_blob_is_right():
    tar = tar_of(file("a", b"x"))[:-1024] + b"garbage" * 200
    contents = scan_layer(layer_of(tar, "gzip"))
    assert kinds(contents) == ["tar"]
    assert [entry.path for entry in contents.entries] == ["a"]


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(blob, "SLACK", 1 << 20)
    monkeypatch.setattr(blob, "RATIO", 2)
    contents = scan_layer(layer_of(tar_of(file("zeros", bytes(8 << 20))), "gzip"))
    assert "limit" in kinds(contents)
    assert contents.size <= 3 << 20


def test_a_layer_of_too_many_entries_is_read_in_part(monkeypatch):
    monkeypatch.setattr(scan, "HEAVIEST", 50_000)
    contents = scan_layer(layer_of(tar_of(*(directory(f"d{number}") for number in range(500)))))
    assert kinds(contents) == ["limit"]
    assert len(contents.entries) < 100


def odd_tar(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_names_that_lead_elsewhere_are_told_of_and_stay_in_the_root():
    contents = scan_layer(layer_of(odd_tar(("/etc/abs", b"1"), ("../../etc/out", b"2"), ("etc/in", b"3"))))
    assert kinds(contents) == ["odd-tar", "odd-tar"]
    assert [entry.path for entry in contents.entries] == ["etc/abs", "etc/out", "etc/in"]


def test_a_tar_without_end_and_one_with_data_behind_it_are_odd():
    assert kinds(scan_layer(layer_of(tar_of(file("a"))[:512]))) == ["odd-tar"]
    assert kinds(scan_layer(layer_of(tar_of(file("a")) + b"x" * 512))) == ["odd-tar"]


def test_what_does_not_fit_together_in_a_layer_is_told_of():
    contents = scan_layer(
        layer_of(
            tar_of(
                file("twice", b"1"),
                file("twice", b"2"),
                directory("same"),
                directory("same"),
                hardlink("link", "nowhere"),
                file("twice/below/it"),
                file("d/.wh."),
                file("d/.wh.full", b"content"),
                file("d/.wh..wh.plnk"),
                file("d/.wh.right"),
                file("d/.wh..wh..opq"),
            )
        )
    )
    assert [(problem.kind, problem.path) for problem in contents.problems] == [
        ("duplicate", "twice"),
        ("hard-link", "link"),
        ("below-file", "twice/below/it"),
        ("whiteout", "d/.wh."),
        ("whiteout", "d/.wh.full"),
        ("whiteout", "d/.wh..wh.plnk"),
    ]


def test_names_that_are_not_utf_8_are_kept_as_they_are():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert scan_layer(layer_of(tar_of(file(name)))).entries[0].path == name


@hostile
@given(st.binary(max_size=3000), st.sampled_from(["none", "gzip", "zstd"]))
def test_no_bytes_make_the_scanner_raise(data, compression):
    contents = scan_layer(layer_of(data, compression))
    assert contents.entries or contents.problems or not data.strip(b"\0")


@hostile
@given(st.data())
def test_no_damage_to_a_layer_makes_the_scanner_raise_and_none_goes_unnoticed(data):
    tar = tar_of(
        directory("etc"),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
        symlink("bin", "usr/bin"),
        file("usr/bin/sh", elf_bytes(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.34",)})),
        file("x" * 150, b"long"),
    )
    position = data.draw(st.integers(0, len(tar) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != tar[position]))
    changed = tar[:position] + bytes([value]) + tar[position + 1 :]
    # With its own digest: what is left to find is in the tar.
    scan_layer(layer_of(changed))
    layer = damaged(layer_of(tar), lambda _: changed)
    assert {"digest", "diff-id"} <= set(kinds(scan_layer(layer)))


@hostile
@given(st.binary(min_size=1, max_size=400))
def test_no_compressed_garbage_makes_the_scanner_raise(garbage):
    layer = layer_of(tar_of(), "gzip")
    found = scan_layer(damaged(layer, lambda data: gzip.compress(data)[:12] + garbage))
    assert found.problems
