"""Files whose directory is reached through a symlink land where the kernel would put them for dpkg."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from formation.entry import Entry
from formation.errors import FormationError
from formation.install.landing import NOWHERE_ELSE, Arriving, Ground, Landings, find_landings, landed, settled_spec
from formation.install.placement import SegmentSpec


def arriving(name: str, *paths: str, links: Mapping[str, str] | None = None, away: Mapping[str, str] | None = None):
    """A package with files, directories (that end in a slash) and symlinks."""
    entries = [
        Entry(path.rstrip("/"), "directory", 0o700) if path.endswith("/") else Entry(path, "file", 0o644)
        for path in paths
    ]
    entries += [Entry(path, "symlink", 0o777, target=target) for path, target in (links or {}).items()]
    return Arriving(name, sorted(entries, key=lambda entry: entry.path), away or {})


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, ...]:
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    for path in ("run", "var", "opt/v1", "etc"):
        (bottom / path).mkdir(parents=True)
    (bottom / "run").chmod(0o751)
    (bottom / "opt/current").symlink_to("v0")
    (bottom / "var/run").symlink_to("/run")
    (top / "opt").mkdir(parents=True)
    (top / "opt/current").symlink_to("v1")
    (top / "opt/nowhere").symlink_to("gone")
    return top, bottom


def places(packages: list[Arriving], trees: tuple[Path, ...]) -> tuple[Landings, list[dict[str, str]]]:
    """Where things land, and for each package the paths that move."""
    ground = Ground(trees)
    landings = find_landings(packages, ground)
    return landings, [dict(landed(package, landings, ground)[1]) for package in packages]


def test_symlinks_of_the_topmost_tree_are_followed_inside_the_image(trees: tuple[Path, ...]) -> None:
    package = arriving("p", "var/run/", "var/run/p/pid", "opt/current/x", "etc/x")
    landings, (moved,) = places([package], trees)
    assert landings == Landings({"var/run": "run", "opt/current": "opt/v1"}, frozenset())
    assert moved == {"var/run/p/pid": "run/p/pid", "opt/current/x": "opt/v1/x"}


def test_a_directory_that_is_there_keeps_its_mode_and_a_new_one_has_the_packages(trees: tuple[Path, ...]) -> None:
    ground = Ground(trees)
    package = arriving("p", "var/run/", "var/run/p/", "var/run/p/q/x")
    entries, _ = landed(package, find_landings([package], ground), ground)
    modes = {entry.path: entry.mode for entry in entries if entry.type == "directory"}
    assert modes == {"run": 0o751, "run/p": 0o700, "run/p/q": 0o755}


def test_a_directory_that_only_a_preinst_made_is_shipped_as_the_package_has_it(trees: tuple[Path, ...]) -> None:
    """It keeps its mode by being an effect: the preinst's is the difference to the package's."""
    (trees[0] / "opt/made").mkdir()
    package = arriving("p", "opt/", "opt/made/")
    entries, _ = landed(package, find_landings([package], Ground(trees)), Ground(trees[1:]))
    assert {entry.path: entry.mode for entry in entries} == {"opt": 0o755, "opt/made": 0o700}


def test_nothing_moves_where_no_symlink_is(trees: tuple[Path, ...]) -> None:
    assert places([arriving("p", "etc/x", "usr/bin/p")], trees) == (NOWHERE_ELSE, [{}])


def test_a_diverted_file_is_followed_from_where_it_goes(trees: tuple[Path, ...]) -> None:
    _, (moved,) = places([arriving("p", "etc/x", away={"etc/x": "var/run/x.real"})], trees)
    assert moved == {"etc/x": "run/x.real"}


def test_a_symlink_of_the_same_stage_counts_as_there_first(trees: tuple[Path, ...]) -> None:
    owner, user = arriving("z", "srv/v1/own", links={"srv/now": "v1"}), arriving("a", "srv/now/x")
    landings, (moved, _) = places([user, owner], trees)
    assert (landings.covered, moved) == (frozenset(), {"srv/now/x": "srv/v1/x"})


@pytest.mark.parametrize(
    ("target", "why"), [("gone", "it leads to no directory"), ("v1", "two files would become one")]
)
def test_a_symlink_of_the_same_stage_gives_way_when(trees: tuple[Path, ...], target: str, why: str) -> None:
    owner, user = arriving("z", "srv/v1/x", links={"srv/now": target}), arriving("a", "srv/now/x")
    landings, (moved, _) = places([user, owner], trees)
    assert (landings.covered, moved) == (frozenset({"srv/now"}), {}), why


def test_a_symlink_gives_way_to_a_directory_that_is_there(trees: tuple[Path, ...]) -> None:
    ground = Ground(trees)
    package = arriving("p", links={"etc": "/srv", "var/run": "/elsewhere"})
    landings = find_landings([package], ground)
    assert landings.covered == {"etc"}
    assert [entry.path for entry in landed(package, landings, ground)[0]] == ["var", "var/run"]


def test_a_symlink_that_leads_to_the_same_directory_already_is_kept(trees: tuple[Path, ...]) -> None:
    """As runit's /etc/service, which its preinst makes. The directory may be the package's own."""
    (trees[0] / "opt/own").symlink_to("/opt/v2")
    (trees[0] / "opt/chain").symlink_to("/opt/../opt/current")
    package = arriving("p", "opt/v2/", links={"var/run": "../run", "opt/chain": "v1", "opt/own": "v2"})
    assert places([package], trees)[0].covered == {"var/run", "opt/chain", "opt/own"}


@pytest.mark.parametrize(
    ("there", "target", "why"),
    [
        ("v1", "/etc", "it leads to another directory"),
        ("v1", "v1", "nobody could tell them apart"),
        ("file", "/opt/file", "it leads to no directory"),
        ("gone", "/opt/gone", "it leads to nothing"),
        ("link", "/opt/link", "it leads round in a circle"),
    ],
)
def test_a_symlink_takes_the_place_of_one_when(trees: tuple[Path, ...], there: str, target: str, why: str) -> None:
    (trees[1] / "opt/file").write_text("")
    (trees[0] / "opt/link").symlink_to(there)
    assert places([arriving("p", links={"opt/link": target})], trees)[0].covered == frozenset(), why


def test_a_diverted_symlink_does_not_meet_the_one_that_is_there(trees: tuple[Path, ...]) -> None:
    package = arriving("p", links={"var/run": "../run"}, away={"var/run": "var/run.real"})
    assert places([package], trees)[0].covered == frozenset()


def test_a_directory_in_the_place_of_a_symlink_that_leads_nowhere_is_an_error(trees: tuple[Path, ...]) -> None:
    with pytest.raises(FormationError, match=r"p ships a directory /opt/nowhere, .*: /opt/nowhere → gone"):
        places([arriving("p", "opt/nowhere/x")], trees)


def test_what_a_whiteout_hides_is_not_there(trees: tuple[Path, ...]) -> None:
    (trees[0] / "var").mkdir()
    os.mknod(trees[0] / "var/run", 0o020000, os.makedev(0, 0))
    assert places([arriving("p", "var/run/x")], trees)[0] == NOWHERE_ELSE


def test_a_package_is_unpacked_for_its_layer_as_its_files_landed() -> None:
    listed = ["/.", "/bin", "/bin/tool", "/var/run", "/var/run/x", "/var/run/lost", "/etc/away", "/etc/kept"]
    entries = [
        Entry("usr/bin", "directory", 0o755), Entry("usr/bin/tool", "file", 0o755), Entry("etc/away", "file", 0o644),
        Entry("var/run", "directory", 0o755), Entry("var/run/x", "file", 0o644), Entry("etc/kept", "symlink", 0o777),
    ]  # fmt: skip
    spec = SegmentSpec(epoch=1, omit=frozenset({"var/run/lost"}))
    landings = Landings({"var/run": "run"}, frozenset({"etc/kept", "etc/of-another"}))
    found = settled_spec(spec, listed, entries, {"etc/away": "bin/away"}, landings)
    assert found.renames == (("etc/away", "bin/away"), ("var/run", "run"), ("var/run/x", "run/x"))
    assert (found.omit, found.covered) == ({"run/lost"}, {"etc/kept"})


def test_a_conffile_that_waits_for_dpkg_is_not_in_the_layer_of_its_own_package() -> None:
    landings = Landings({"var/run": "run"}, frozenset(), frozenset({"run/conf", "etc/of-another"}))
    entries = [Entry("var/run", "directory", 0o755), Entry("var/run/conf", "file", 0o644)]
    found = settled_spec(SegmentSpec(epoch=1), ["/var/run", "/var/run/conf"], entries, {}, landings)
    assert found.covered == {"run/conf"}
