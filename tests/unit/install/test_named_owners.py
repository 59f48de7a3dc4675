"""Owners that a package names are those of the tree, and nothing else of a name gets there."""

import os
import stat
from pathlib import Path

import pytest

from formation.entry import Entry
from formation.errors import FormationError
from formation.install.landing import Arriving, Ground, find_landings
from formation.install.named_owners import Names, claims, give, owner_names

PASSWD = b"root:x:0:0::/:/bin/sh\nown:x:900:901::/:/bin/false\nown:x:5:5::/:/bin/false\n"
GROUP = b"root:x:0:\nmail:x:8:\nown:x:901:\n"


@pytest.mark.parametrize(
    ("names", "uid", "gid", "expected"),
    [
        (("root", "root"), 0, 0, ("", "")),
        (("", ""), 5, 5, ("", "")),
        (("www-data", "mail"), 33, 8, ("", "")),
        (("root", "mail"), 1000, 0, ("root", "mail")),
        (("own", "root"), 0, 0, ("own", "")),
        (("_apt", "nogroup"), 42, 65534, ("_apt", "")),
    ],
)
def test_a_name_counts_unless_it_is_the_static_one_of_its_number(
    names: Names, uid: int, gid: int, expected: Names
) -> None:
    assert owner_names(Entry("x", "file", 0o644, uid, gid, names=names)) == expected


def arriving(*paths: str, links: tuple[str, ...] = (), away: dict[str, str] | None = None) -> Arriving:
    entries = [Entry(path.rstrip("/"), "directory" if path.endswith("/") else "file", 0o755) for path in paths]
    entries += [Entry(path, "symlink", 0o777, target="v1") for path in links]
    return Arriving("p", entries, away or {})


def test_named_owners_are_of_what_the_package_makes_where_it_lands(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/run").symlink_to("/run")
    (tmp_path / "opt/v1").mkdir(parents=True)
    (tmp_path / "opt/link").symlink_to("/opt/v1")
    first = arriving("run/", "srv/implied/x", "var/run/p", "f", "new/", links=("opt/link",), away={"f": "f.real"})
    second = arriving("new/", "srv/implied/")
    names = ("own", "own")
    ground = Ground((tmp_path,))
    landings = find_landings([first, second], ground)
    named = dict.fromkeys(("run", "srv/implied", "var/run/p", "f", "new", "opt/link"), names)
    found = claims([(first, named), (second, named)], landings, ground)
    # Not those that are there: run, the directory that the first package implies, and the symlink that is kept.
    assert found == dict.fromkeys(("run/p", "f.real", "new"), names)
    assert claims([(first, {}), (second, named)], landings, ground) == {}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, data in (("etc/passwd", PASSWD), ("etc/group", GROUP), ("opt/file", b"x")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def owner(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


@pytest.mark.root
def test_files_directories_and_symlinks_get_the_owners_of_the_tree_and_keep_their_modes(tree: Path) -> None:
    (tree / "opt/file").chmod(0o6755)
    (tree / "opt").chmod(0o2750)
    (tree / "opt/link").symlink_to("/etc/passwd")
    give(tree, {"opt/file": ("own", "mail"), "opt": ("own", ""), "opt/link": ("", "own"), "opt/gone": ("own", "own")})
    assert owner(tree / "opt/file") == (900, 8) and stat.S_IMODE((tree / "opt/file").stat().st_mode) == 0o6755
    assert owner(tree / "opt") == (900, 0) and stat.S_IMODE((tree / "opt").stat().st_mode) == 0o2750
    assert owner(tree / "opt/link") == (0, 901) and owner(tree / "etc/passwd") == (0, 0)


@pytest.mark.parametrize("name", ["nobody-here", "own\nroot", "own:x", "x" * 32, "\udcff\x1b[2J", "+", ""])
def test_an_unknown_name_leaves_the_number(tree: Path, name: str) -> None:
    before = owner(tree / "opt/file")
    give(tree, {"opt/file": (name, name)})
    assert owner(tree / "opt/file") == before


@pytest.mark.root
@pytest.mark.parametrize(
    "passwd",
    [
        b"own:x:-1:0::/:\n",
        b"own:x:4294967295:0::/:\n",
        b"own:x:" + b"9" * 5000 + b":0::/:\n",
        b"own:x:" + b"0" * 5000 + b"1:0::/:\n",
        b"own\n",
        b"\xff\n",
    ],
)
def test_an_account_file_that_is_not_well_formed_names_nobody(tree: Path, passwd: bytes) -> None:
    (tree / "etc/passwd").write_bytes(passwd)
    give(tree, {"opt/file": ("own", "")})
    assert owner(tree / "opt/file") == (0, 0)


@pytest.mark.root
@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/usr/share/base-passwd/passwd.master"), os.mkdir]
)
def test_accounts_are_read_from_a_file_of_the_tree_alone(tree: Path, make) -> None:
    (tree / "etc/passwd").unlink()
    make(tree / "etc/passwd")
    (tree / "etc/group").unlink()
    give(tree, {"opt/file": ("daemon", "daemon")})
    assert owner(tree / "opt/file") == (0, 0)


@pytest.mark.root
def test_a_directory_that_has_become_a_symlink_leads_nowhere_outside(tree: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "file").write_text("")
    (tree / "away").symlink_to(outside)
    give(tree, {"away/file": ("own", "own"), "opt/file/below": ("own", "own")})
    assert owner(outside / "file") == (0, 0)


@pytest.mark.root
def test_an_owner_that_the_system_refuses_is_an_error_with_the_path(tree: Path, monkeypatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "chown", refused)
    with pytest.raises(
        FormationError, match="cannot give /opt/file the owner that its package names: Invalid argument"
    ):
        give(tree, {"opt/file": ("own", "own")})
