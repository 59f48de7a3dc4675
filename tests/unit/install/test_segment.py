"""What a segment holds, and that nothing but the package and the spec decides it."""

import errno
import gzip
import io
import os
import tarfile
from dataclasses import replace
from hashlib import md5
from pathlib import Path
from zlib import crc32

import pytest
import zstandard

from debs import Item, directory, file, hard_link, make_deb, symlink
from formation.debian.administration import INFO
from formation.digest import sha256_file
from formation.errors import FormationError, IntegrityError, MalformedError
from formation.install import segment as segment_module
from formation.install import unpacking
from formation.install.package_files import file_name
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import (
    Segment,
    load_segment,
    read_control,
    read_entries,
    read_listed,
    read_owners,
    segment_key,
)
from formation.oci.tar import END_OF_ARCHIVE

EPOCH = 1_600_000_000
SPEC = SegmentSpec(epoch=EPOCH)
OWN = {"uid": os.geteuid(), "gid": os.getegid()}


def made(deb: Path, out: Path, spec: SegmentSpec = SPEC, kept: Path | None = None) -> Segment:
    return make_segment(deb, sha256_file(deb), spec, kept=kept, out=out)


def members(out: Path, segment: Segment) -> list[tarfile.TarInfo]:
    """What is in a segment besides the package's files in dpkg's database."""
    data = gzip.decompress((out / f"{segment.key}.seg").read_bytes())
    assert (len(data), crc32(data)) == (segment.uncompressed_size, segment.content_checksum)
    with tarfile.open(fileobj=io.BytesIO(data + END_OF_ARCHIVE)) as archive:
        return [member for member in archive.getmembers() if not member.name.startswith(INFO)]


def test_a_segment_has_sorted_files_and_links_but_no_directories(tmp_path: Path) -> None:
    files = [file("usr/b", b"b"), file("usr/a-b", b"-"), file("usr/a/b", b"/"), symlink("etc/z", "b"), directory("var")]
    segment = made(make_deb(tmp_path, files=files), tmp_path)
    assert [member.name for member in members(tmp_path, segment)] == ["etc/z", "usr/a-b", "usr/a/b", "usr/b"]
    shipped = [entry for entry in read_entries(tmp_path, segment) if not entry.path.startswith(INFO)]
    assert [entry.path for entry in shipped] == [
        "", "etc", "etc/z", "usr", "usr/a", "usr/a-b", "usr/a/b", "usr/b", "var",
    ]  # fmt: skip


def test_segments_in_a_row_are_one_stream(tmp_path: Path) -> None:
    one = made(make_deb(tmp_path, "one", files=[file("a", b"1" * 3_000_000)]), tmp_path)
    two = made(make_deb(tmp_path, "two", files=[file("b", b"2")]), tmp_path)
    joined = b"".join((tmp_path / f"{segment.key}.seg").read_bytes() for segment in (one, two))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(joined) + END_OF_ARCHIVE)) as archive:
        assert [name for name in archive.getnames() if not name.startswith(INFO)] == ["a", "b"]
        assert archive.extractfile("a").read() == b"1" * 3_000_000


@pytest.mark.slow
def test_zstd_segments_hold_the_same_tar(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[file("a", os.urandom(2_500_000)), file("b", b"x")])
    plain, packed = made(deb, tmp_path), made(deb, tmp_path, replace(SPEC, compression="zstd"))
    reader = zstandard.ZstdDecompressor().stream_reader(
        (tmp_path / f"{packed.key}.seg").read_bytes(), read_across_frames=True
    )
    assert reader.read() == gzip.decompress((tmp_path / f"{plain.key}.seg").read_bytes())


@pytest.mark.root
def test_the_files_of_a_package_are_kept_with_owners_modes_and_times(tmp_path: Path) -> None:
    files = [
        directory("etc/secret", mode=0o700, uid=7, gid=8),
        file("usr/bin/su", b"su", mode=0o4755, gid=42),
        hard_link("usr/bin/sg", "usr/bin/su", mode=0o4755, gid=42),
        symlink("usr/bin/s", "su", uid=3),
        file("old", b"", mtime=EPOCH - 5),
    ]
    kept, old_umask = tmp_path / "trees" / "t", os.umask(0o077)
    try:
        made(make_deb(tmp_path, files=files), tmp_path, kept=kept)
    finally:
        os.umask(old_umask)
    su = (kept / file_name("usr/bin/su")).stat()
    assert (su.st_mode & 0o7777, su.st_uid, su.st_gid, su.st_mtime, su.st_nlink) == (0o4755, 0, 42, EPOCH, 2)
    assert (kept / file_name("usr/bin/sg")).samefile(kept / file_name("usr/bin/su"))
    assert (kept / file_name("old")).stat().st_mtime == EPOCH - 5
    # Directories and symlinks are made where packages are merged.
    names = {
        file_name(path) for path in ("usr/bin/su", "usr/bin/sg", "old", f"{INFO}/hello.list", f"{INFO}/hello.md5sums")
    }
    assert {path.name for path in kept.iterdir()} == names


def test_neither_kept_files_nor_memory_nor_umask_changes_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        file(f"f{number:03}", bytes([number]) * size, **OWN)
        for number, size in enumerate([5, 3_000_000, 900_000, 0, 70])
    ]
    files.append(hard_link("a", "f001", **OWN))
    deb = make_deb(tmp_path, files=[directory("", **OWN), *files])
    first = made(deb, tmp_path / "one")
    second = made(deb, tmp_path / "two", kept=tmp_path / "kept")
    monkeypatch.setattr(unpacking, "_MEMORY", 100)
    third = made(deb, tmp_path / "three")
    assert first == second == third
    seen = {(tmp_path / name / f"{first.key}.seg").read_bytes() for name in ("one", "two", "three")}
    assert [crc32(data) for data in seen] == [first.checksum]


def test_the_first_of_a_files_names_carries_the_content(tmp_path: Path) -> None:
    files = [file("usr/bin/perl", b"perl"), hard_link("bin/a", "usr/bin/perl"), hard_link("zz", "bin/a")]
    found = {member.name: member for member in members(tmp_path, made(make_deb(tmp_path, files=files), tmp_path))}
    assert list(found) == ["usr/bin/a", "usr/bin/perl", "zz"]
    assert found["usr/bin/a"].isreg() and found["usr/bin/a"].size == 4
    assert found["usr/bin/perl"].linkname == found["zz"].linkname == "usr/bin/a"


@pytest.mark.parametrize("links", [["b", "c"], ["c"], []])
def test_a_file_of_which_one_name_is_replaced_keeps_the_others(tmp_path: Path, links: list[str]) -> None:
    """dpkg has unpacked it before the package came that replaces it."""
    files = [file("a", b"old"), *(hard_link(name, "a", mode=0o755) for name in links)]
    deb = make_deb(tmp_path, files=files)
    kept = tmp_path / "kept"
    segment = made(deb, tmp_path, replace(SPEC, omit=frozenset({"a"})), kept)
    found = {member.name: member for member in members(tmp_path, segment)}
    assert list(found) == links
    assert all((found[name].size, found[name].mode) == (3, 0o755) and found[name].isreg() for name in links[:1])
    assert all(found[name].linkname == "b" for name in links[1:])
    assert not (kept / file_name("a")).exists()
    assert [(kept / file_name(name)).read_bytes() for name in links] == [b"old"] * len(links)
    sums = (kept / file_name(f"{INFO}/hello.md5sums")).read_text()
    assert [line.split("  ")[1] for line in sums.splitlines()] == links


def test_the_file_list_is_dpkgs(tmp_path: Path) -> None:
    """Names as shipped, symlinks last, excluded and covered paths included, replaced ones not."""
    files = [symlink("bin/s", "x"), file("bin/x"), symlink("a", "b"), file("usr/share/man/x.1"), file("usr/replaced")]
    left_out = {"omit": frozenset({"usr/replaced"}), "covered": frozenset({"a"})}
    spec = replace(SPEC, path_excludes=("/usr/share/man/*",), **left_out)
    segment = made(make_deb(tmp_path, files=files), tmp_path, spec)
    assert read_listed(tmp_path, segment) == (
        b"/.\n/bin\n/bin/x\n/usr\n/usr/share\n/usr/share/man\n/usr/share/man/x.1\n/bin/s\n/a\n"
    )
    assert [member.name for member in members(tmp_path, segment)] == ["usr/bin/s", "usr/bin/x"]


def test_the_packages_files_in_dpkgs_database_are_in_the_segment(tmp_path: Path) -> None:
    control = {"postinst": "#!/bin/sh\n", "triggers": "interest-noawait /a\n"}
    deb = make_deb(tmp_path, "lib", architecture="amd64", fields={"Multi-Arch": "same"}, control=control)
    entries = {entry.path: entry for entry in read_entries(tmp_path, made(deb, tmp_path))}
    info = {path: entry for path, entry in entries.items() if path.startswith(f"{INFO}/")}
    assert {path: entry.mode for path, entry in info.items()} == {
        f"{INFO}/lib:amd64.list": 0o644,
        f"{INFO}/lib:amd64.md5sums": 0o644,
        f"{INFO}/lib:amd64.postinst": 0o755,
        f"{INFO}/lib:amd64.triggers": 0o644,
    }


def test_a_package_without_checksums_gets_them_as_from_dpkg(tmp_path: Path) -> None:
    files = [file("usr/b", b"b"), hard_link("usr/a", "usr/b"), symlink("usr/s", "b"), file("usr/share/man/x.1", b"m")]
    spec = replace(SPEC, path_excludes=("/usr/share/man/*",))
    made(make_deb(tmp_path, "plain", files=files), tmp_path, spec, kept=tmp_path / "kept")
    sums = (tmp_path / "kept" / file_name(f"{INFO}/plain.md5sums")).read_text()
    assert sums == "".join(f"{md5(b'b').hexdigest()}  usr/{name}\n" for name in "ba")


@pytest.mark.parametrize("name", ["../../../../tmp/evil", "a/b", "", "a b", "a\0b", "."])
def test_a_package_name_that_could_be_a_path_is_refused(tmp_path: Path, name: str) -> None:
    deb = make_deb(tmp_path, fields={"Package": name}, files=[file("a")])
    with pytest.raises(MalformedError, match="name"):
        made(deb, tmp_path / "segments", kept=tmp_path / "trees" / "t")


@pytest.mark.parametrize("path", ["var/lib/dpkg/info/hello.list", "var/lib/dpkg", "var/lib/dpkg/info/hello.list/x"])
def test_a_package_that_ships_its_own_file_list_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(MalformedError, match="var/lib/dpkg"):
        made(make_deb(tmp_path, files=[file(path, b"/etc/passwd\n")]), tmp_path)


def test_a_diverted_file_goes_elsewhere_and_keeps_its_name_in_the_list(tmp_path: Path) -> None:
    spec = replace(SPEC, renames=(("bin/sh", "bin/sh.distrib"),))
    segment = made(make_deb(tmp_path, files=[file("bin/sh", b"x")]), tmp_path, spec)
    assert [member.name for member in members(tmp_path, segment)] == ["usr/bin/sh.distrib"]
    assert b"/bin/sh\n" in read_listed(tmp_path, segment)


def test_the_links_into_usr_stay_where_they_are(tmp_path: Path) -> None:
    segment = made(make_deb(tmp_path, files=[symlink("bin", "usr/bin"), directory("usr/bin")]), tmp_path)
    assert [(member.name, member.linkname) for member in members(tmp_path, segment)] == [("bin", "usr/bin")]


def test_a_path_shipped_both_in_and_outside_usr_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="twice"):
        made(make_deb(tmp_path, files=[file("bin/a"), file("usr/bin/a")]), tmp_path)


def test_a_hard_link_to_an_excluded_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[file("doc/a", b"x"), hard_link("b", "doc/a")])
    with pytest.raises(FormationError, match="left out") as caught:
        made(deb, tmp_path, replace(SPEC, path_excludes=("/doc/*",)))
    assert "/doc/a" in caught.value.hint


def test_a_stored_segment_is_what_was_made(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    files = [file(name, b"x", mtime=5), symlink("l", "t\nu"), file("new", mtime=EPOCH + 9)]
    segment = made(make_deb(tmp_path, files=files, control={"postinst": "#!/bin/sh\n"}), tmp_path)
    assert load_segment(tmp_path, segment.key) == segment
    assert segment.newest == EPOCH + 100_000_000
    entries = {entry.path: entry for entry in read_entries(tmp_path, segment)}
    assert (entries[name].mtime, entries["new"].mtime, entries["l"].target) == (5, EPOCH, "t\nu")
    assert read_control(tmp_path, segment)["postinst"] == b"#!/bin/sh\n"
    assert [(member.name, member.mode) for member in segment.control] == [("control", 0o644), ("postinst", 0o755)]


def test_everything_in_the_spec_and_the_package_is_in_the_key() -> None:
    specs = [
        SPEC,
        replace(SPEC, epoch=EPOCH + 1),
        replace(SPEC, compression="zstd"),
        replace(SPEC, path_excludes=("/a",)),
        replace(SPEC, path_includes=("/a",)),
        replace(SPEC, omit=frozenset({"a"})),
        replace(SPEC, renames=(("a", "b"),)),
        replace(SPEC, usr_merged=False),
    ]
    keys = {segment_key(f"sha256:{digit * 64}", spec) for spec in specs for digit in "ab"}
    assert len(keys) == 2 * len(specs)


@pytest.mark.parametrize("suffix", ["seg", "contents", "json"])
def test_an_incomplete_segment_is_made_again(tmp_path: Path, suffix: str) -> None:
    deb = make_deb(tmp_path, files=[file("a", b"x")])
    segment = made(deb, tmp_path)
    damaged = tmp_path / f"{segment.key}.{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    assert load_segment(tmp_path, segment.key) is None
    assert made(deb, tmp_path) == segment == load_segment(tmp_path, segment.key)


def test_a_package_that_fails_leaves_nothing(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[file("a", b"x"), file("../b", b"x")])
    with pytest.raises(MalformedError):
        made(deb, tmp_path / "segments", kept=tmp_path / "trees" / "t")
    assert list((tmp_path / "segments").iterdir()) == list((tmp_path / "trees").iterdir()) == []


def test_a_full_disk_is_told_with_its_place_and_how_to_free_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(segment_module, "_make", fail)
    with pytest.raises(FormationError) as caught:
        made(make_deb(tmp_path), tmp_path / "store/segments")
    assert str(tmp_path / "store") in caught.value.message and "No space left" in caught.value.message
    assert (caught.value.hint or "").endswith("formation cache prune --all")


def test_a_changed_package_is_refused(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[file("a", b"x")])
    with pytest.raises(IntegrityError, match="digest"):
        make_segment(deb, "sha256:" + "0" * 64, SPEC, kept=None, out=tmp_path)


def test_files_that_another_process_kept_meanwhile_stay(tmp_path: Path) -> None:
    deb = make_deb(tmp_path, files=[directory("", **OWN), file("a", b"x", **OWN)])
    kept = tmp_path / "trees" / "t"
    made(deb, tmp_path / "one", kept=kept)
    inode = kept.stat().st_ino
    made(deb, tmp_path / "two", kept=kept)
    assert kept.stat().st_ino == inode
    assert [path.name for path in kept.parent.iterdir()] == ["t"]


def test_a_package_is_unpacked_with_the_owners_and_modes_of_overrides(tmp_path: Path) -> None:
    files = [directory("srv"), file("bin/a", b"a"), hard_link("bin/b", "bin/a"), file("usr/c"), symlink("usr/d", "c")]
    paths = {"srv": 0o2770, "bin/b": 0o4750, "usr/c": 0o600, "usr/d": 0o700, "usr/bin/a": 0o7777}
    spec = replace(SPEC, overrides=tuple((path, mode, 7, 8) for path, mode in paths.items()))
    segment = made(make_deb(tmp_path, files=files), tmp_path, spec)
    found = {e.path: (e.mode, e.uid, e.gid) for e in read_entries(tmp_path, segment) if not e.path.startswith("var")}
    # One file: its last name decides, as with dpkg. A path counts as the package writes it.
    assert found["usr/bin/a"] == found["usr/bin/b"] == (0o4750, 7, 8)
    assert (found["srv"], found["usr/c"], found["usr/d"]) == ((0o2770, 7, 8), (0o600, 7, 8), (0o777, 7, 8))
    assert found["usr"] == (0o755, 0, 0)


@pytest.mark.root
def test_the_file_that_is_kept_has_the_owner_and_mode_of_its_last_name(tmp_path: Path) -> None:
    files = [file("a", b"a"), hard_link("b", "a"), hard_link("c", "a")]
    for modes, mode in (((), 0o4750), ((("c", 0o755),), 0o755), ((("a", 0o700),), 0o700)):
        spec = replace(SPEC, overrides=(("c", 0o4750, 7, 8),), modes=modes)
        kept = tmp_path / f"kept-{mode:o}"
        made(make_deb(tmp_path, files=files), tmp_path, spec, kept)
        status = (kept / file_name("a")).stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, 7, 8)


def test_a_diverted_program_has_its_plain_mode_where_it_goes(tmp_path: Path) -> None:
    spec = replace(SPEC, modes=(("usr/bin/su", 0o755),), renames=(("bin/su", "usr/bin/su.real"),))
    segment = made(make_deb(tmp_path, files=[file("bin/su", mode=0o4755)]), tmp_path, spec)
    assert {e.path: e.mode for e in read_entries(tmp_path, segment)}["usr/bin/su.real"] == 0o755


def test_names_of_owners_are_kept_beside_the_entries_where_their_number_is_not_theirs(tmp_path: Path) -> None:
    files = [
        directory("opt", user="own", group="own"),
        file("opt/b", user="own"),
        hard_link("opt/a", "opt/b", user="other"),
        file("opt/mail", gid=8, user="root", group="mail"),
        file("bin/x", user="x" * 32, group="\x1b[2J\n"),
    ]
    segment = made(make_deb(tmp_path, files=files), tmp_path)
    # The hard link comes first in the segment, and so has the content; and last in the package, and so has the say.
    assert read_owners(tmp_path, segment) == {
        "opt": ("own", "own"), "opt/a": ("other", ""), "usr/bin/x": ("x" * 32, "\x1b[2J\n"),
    }  # fmt: skip
    assert {(member.uname, member.gname, member.uid) for member in members(tmp_path, segment)} == {("", "", 0)}


def test_a_package_with_static_owners_has_no_names_to_look_at(tmp_path: Path) -> None:
    segment = made(make_deb(tmp_path, files=[file("a"), file("b", gid=8, group="mail")]), tmp_path)
    assert segment.sections[2] == 0 and read_owners(tmp_path, segment) == {}
    assert read_control(tmp_path, segment)["control"].startswith(b"Package: ")


def test_names_of_owners_count_unless_an_override_says_who_it_is_and_the_last_name_of_a_file_decides(
    tmp_path: Path,
) -> None:
    files = [
        *(file("bin/a", user="app"), file("opt/b", user="app"), file("opt/f", user="app")),
        *(
            hard_link("opt/g", "opt/f", user="other", group="staff"),
            file("opt/h", user="app"),
            hard_link("opt/i", "opt/h"),
        ),
        *(file("opt/j", user="app"), hard_link("opt/k", "opt/j", user="app")),
    ]
    overrides = (("bin/a", 0o600, 0, 0), ("opt/k", 0o600, 0, 0), ("usr/opt/b", 0o600, 0, 0))
    segment = made(make_deb(tmp_path, files=files), tmp_path, replace(SPEC, overrides=overrides))
    assert read_owners(tmp_path, segment) == {"opt/b": ("app", ""), "opt/f": ("other", "staff")}


def test_a_path_that_no_image_may_have_is_refused(tmp_path: Path) -> None:
    """An image with it would be broken for `verify`."""
    deb = make_deep_deb(tmp_path, 258)
    with pytest.raises(FormationError, match=r"^hello_1\.0_all\.deb ships a path below more than 256 directories: d/"):
        made(deb, tmp_path / "out")
    assert made(make_deep_deb(tmp_path, 257), tmp_path / "out").size


@pytest.mark.parametrize("item", [file("bin"), symlink("lib", "usr/lib64"), file("sbin")])
def test_a_package_that_would_undo_the_merged_usr_is_refused(tmp_path: Path, item: Item) -> None:
    """No program would start any more, and that is all that one would be told."""
    deb = make_deb(tmp_path, files=[item])
    with pytest.raises(MalformedError, match=f"hello_1.0_all.deb ships /{item.path} as another thing than the symlink"):
        made(deb, tmp_path / "out")
    for number, target in enumerate(("usr/bin", "/usr/bin", "./usr/bin")):
        (tmp_path / str(number)).mkdir()
        assert made(make_deb(tmp_path, files=[symlink("bin", target)]), tmp_path / str(number)).size


def make_deep_deb(where: Path, depth: int) -> Path:
    return make_deb(where, files=[file("/".join([*["d"] * depth, "f"]))])
