"""What a minimal variant takes of the packages below it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from debs import Item, file, hard_link, make_deb, symlink
from elves import elf_bytes
from formation.digest import sha256_file
from formation.errors import FormationError
from formation.install.job import PackageJob
from formation.install.minimal import Part, chosen, part_of
from formation.install.package_files import file_name
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import read_entries, segment_key
from formation.install.view import TreesView
from formation.install.work import FAR
from formation.store.store import Store

pytestmark = pytest.mark.root

SPEC = SegmentSpec(epoch=FAR)
Made = Callable[..., Part]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def made(tmp_path: Path, store: Store) -> Made:
    """Unpacks a package of that name with those files."""

    def made(name: str, files: Sequence[Item], spec: SegmentSpec = SPEC) -> Part:
        deb = make_deb(tmp_path, name, files=files, control={"postinst": "#!/bin/sh\n", "md5sums": ""})
        digest = sha256_file(deb)
        kept = store.trees / segment_key(digest, spec)
        segment = make_segment(deb, digest, spec, kept=kept, out=store.segments)
        job = PackageJob(name, "1.0", "all", digest, False, 1)
        return part_of(store, job, segment, spec, TreesView([tmp_path / "below"]))

    return made


@pytest.fixture
def parts(made: Made) -> dict[str, Part]:
    files: dict[str, list[Item]] = {
        "libcurl": [
            file("usr/lib/libcurl.so.4", elf_bytes(soname="libcurl.so.4", needed=["libssl.so.3", "libgone.so"]))
        ],
        "libssl": [
            file("usr/lib/libssl.so.3.1", elf_bytes(soname="libssl.so.3", needed=["libc.so.6"])),
            symlink("usr/lib/libssl.so.3", "libssl.so.3.1"),
        ],
        "libc": [file("usr/lib/libc.so.6", elf_bytes(soname="libc.so.6"), mode=0o755)],
        "curl": [file("usr/bin/curl", elf_bytes(needed=["libcurl.so.4"]), mode=0o755), file("etc/curlrc", b"x")],
        "base-files": [file("usr/lib/os-release", b"ID=debian\n")],
        "bash": [file("usr/bin/bash", elf_bytes(needed=["libc.so.6"]), mode=0o755)],
    }
    return {name: made(name, items) for name, items in files.items()}


def names(store: Store, parts: dict[str, Part], only: Sequence[str]) -> set[str]:
    by_digest = {part.package.digest: name for name, part in parts.items()}
    return {by_digest[digest] for digest in chosen(store, tuple(parts.values()), only)}


def test_libraries_that_libraries_load_come_along(store: Store, parts: dict[str, Part]) -> None:
    assert names(store, parts, ["libcurl"]) == {"base-files", "libcurl", "libssl", "libc"}


def test_programs_are_left_out_and_need_nothing(store: Store, parts: dict[str, Part]) -> None:
    assert names(store, parts, ["curl"]) == {"base-files", "curl"}


def test_a_package_that_is_not_there_is_named(store: Store, parts: dict[str, Part]) -> None:
    with pytest.raises(FormationError, match="libnone, which the variant below does not have"):
        chosen(store, tuple(parts.values()), ["libnone", "libc"])


def test_a_package_is_unpacked_without_programs_and_scripts_of_dpkg(
    tmp_path: Path, store: Store, parts: dict[str, Part]
) -> None:
    part = parts["curl"]
    deb = tmp_path / "curl_1.0_all.deb"
    segment = make_segment(deb, part.package.digest, part.spec, kept=tmp_path / "kept", out=store.segments)
    assert [entry.path for entry in read_entries(store.segments, segment) if entry.type == "file"] == [
        "etc/curlrc",
        "var/lib/dpkg/info/curl.list",
        "var/lib/dpkg/info/curl.md5sums",
    ]
    assert "usr/bin/curl" not in (tmp_path / "kept" / file_name("var/lib/dpkg/info/curl.list")).read_text()


def test_files_whose_owners_are_named_belong_to_whom_they_belong_below(made: Made, tmp_path: Path) -> None:
    below = tmp_path / "below/srv"
    (below / "real").mkdir(parents=True)
    for path in ("real/a", "c", "plain"):
        (below / path).write_text("")
        os.chown(below / path, 901, 902)
    (below / "link").symlink_to("c")
    os.chown(below / "link", 901, 902, follow_symlinks=False)
    names = {"user": "app", "group": "app", "uid": 1000, "gid": 1000}
    spec = replace(SPEC, renames=(("srv/away/a", "srv/real/a"),), overrides=(("srv/own", 0o600, 7, 7),))
    files = [
        *(file("srv/away/a", mode=0o640, **names), file("srv/c", **names), hard_link("srv/b", "srv/c", **names)),
        *(symlink("srv/link", "c", **names), file("srv/gone", **names), file("srv/plain"), file("srv/own", **names)),
    ]
    assert sorted(made("named", files, spec).spec.overrides) == [
        ("srv/away/a", 0o640, 901, 902),
        ("srv/c", 0o644, 901, 902),
        ("srv/link", 0o777, 901, 902),
        ("srv/own", 0o600, 7, 7),
    ]
