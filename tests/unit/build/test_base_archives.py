"""Which archives a base was made from."""

import dataclasses
from pathlib import Path

import pytest

from formation.build.base_archives import AptFiles, base_archives
from formation.errors import MalformedError
from formation.lock.model import Lock, LockedSuite
from formation.store.store import Store

DEBIAN = b"""\
# from the installer
Types: deb deb-src
URIs: http://deb.debian.org/debian/
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: https://deb.debian.org/debian-security
Suites: trixie-security
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
"""
TRIXIE = "04B54C3CDCA79751B16BC6B5225629DF75B188BD"
SUITE = LockedSuite(
    "debian", "http://deb.debian.org/debian", "trixie", ("main",), "sha256:" + "1" * 64, 1000, None, TRIXIE
)


def lock(*suites: LockedSuite) -> Lock:
    return Lock("sha256:" + "2" * 64, 1000, suites, {"amd64": ()})


@pytest.fixture
def archives(tmp_path: Path):
    def archives(sources=None, keyrings=None, lock=None):
        return base_archives(lock, AptFiles(sources or {}, keyrings or {}), Store(tmp_path), "the base")

    return archives


def test_debian_s_own_sources_have_the_shipped_keys_and_snapshots(archives):
    debian, security = archives({"etc/apt/sources.list.d/debian.sources": DEBIAN})
    assert (debian.name, debian.uri, debian.suites) == (
        "debian",
        "http://deb.debian.org/debian",
        ("trixie", "trixie-updates"),
    )
    assert debian.keys == ("debian-trixie",)
    assert debian.snapshot == "https://snapshot.debian.org/archive/debian/{timestamp}"
    assert debian.signed_by == "/usr/share/keyrings/debian-archive-keyring.pgp"
    assert (security.name, security.uri) == ("debian-security", "https://deb.debian.org/debian-security")
    assert security.components == ("main", "contrib")


def test_shipped_archives_come_in_the_order_of_their_distribution(archives):
    debian, _, security = DEBIAN.partition(b"\n\n")
    own = b"Types: deb\nURIs: https://a.example.org/debian\nSuites: stable\nComponents: main\n"
    names = ("a.sources", own), ("debian-security.sources", security), ("debian.sources", debian)
    found = archives({f"etc/apt/sources.list.d/{name}": text for name, text in names})
    assert [archive.name for archive in found] == ["debian", "debian-security", "a"]


def test_a_source_on_one_line_is_read_with_its_options(archives):
    text = b"""\
# deb http://old.example.org/debian a b
deb-src http://a.example.org/debian stable main
deb [signed-by=/etc/apt/keyrings/own.asc check-valid-until=no] https://a.example.org/debian stable main x #
deb https://b.example.org/debian ./
"""
    (own,) = archives({"etc/apt/sources.list": text}, {"etc/apt/keyrings/own.asc": b"KEY"})
    assert (own.name, own.uri, own.suites, own.components) == (
        "sources",
        "https://a.example.org/debian",
        ("stable",),
        ("main", "x"),
    )
    assert own.check_valid_until is False
    assert Path(own.keys[0]).read_bytes() == b"KEY"


def test_a_key_within_a_source_is_taken(archives):
    text = b"""\
Types: deb
URIs: https://a.example.org/debian
Suites: stable
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQ
 -----END PGP PUBLIC KEY BLOCK-----
"""
    (own,) = archives({"etc/apt/sources.list.d/Own:Archive.sources": text})
    assert own.name == "own-archive"
    assert Path(own.keys[0]).read_bytes().decode().split("\n")[:2] == ["-----BEGIN PGP PUBLIC KEY BLOCK-----", ""]
    assert own.signed_by is None


def test_a_source_without_keys_of_its_own_has_the_trusted_ones(archives):
    keyrings = {"etc/apt/trusted.gpg.d/a.asc": b"A", "usr/share/keyrings/b.gpg": b"B"}
    (own,) = archives({"etc/apt/sources.list": b"deb http://a.example.org/debian stable main\n"}, keyrings)
    assert [Path(key).read_bytes() for key in own.keys] == [b"A"]


def test_sources_that_are_off_do_not_count(archives):
    assert archives({"etc/apt/sources.list.d/debian.sources": b"Enabled: no\n" + DEBIAN.partition(b"\n\n")[0]}) == ()


def test_what_is_kept_beside_the_sources_is_none(archives):
    line = b"deb http://old.example.org/debian stable main\n"
    for name in ("own.list.save", "own.sources.bak", "own", "._own.list", "own (1).list", "own~.list"):
        assert archives({f"etc/apt/sources.list.d/{name}": line}) == ()


def test_the_lock_of_the_base_says_which_suites_and_its_sources_which_keys(archives):
    own = dataclasses.replace(
        SUITE, archive="own", uri="https://a.example.org/debian", suite="stable", signed_by="A" * 40
    )
    sources = {
        "etc/apt/sources.list": b"deb [signed-by=/etc/apt/keyrings/own.asc] https://a.example.org/debian stable main\n"
    }
    debian, other = archives(sources, {"etc/apt/keyrings/own.asc": b"KEY"}, lock(SUITE, own))
    assert (debian.name, debian.suites, debian.keys) == ("debian", ("trixie",), ("debian-trixie",))
    assert other.name == "own"
    assert Path(other.keys[0]).read_bytes() == b"KEY"


def test_an_archive_whose_keys_are_nowhere_has_none(archives):
    own = dataclasses.replace(SUITE, archive="own", uri="https://a.example.org/debian", signed_by="A" * 40)
    (archive,) = archives(lock=lock(own))
    assert archive.keys == ()


def test_without_lock_and_sources_there_is_nothing(archives):
    assert archives() == ()
    assert archives(lock=lock()) == ()


@pytest.mark.parametrize(
    "text",
    [
        b"Types: deb\nURIs: ftp://a.example.org\nSuites: stable\nComponents: main\n",
        b'Types: deb\nURIs: http://a.example.org/"x\nSuites: stable\nComponents: main\n',
        b"Types: deb\nURIs: http://a.example.org/\nSuites: ../x\nComponents: main\n",
        b"nonsense\n",
        b"Types: deb\nURIs: https://me:pw@a.example.org/\nSuites: stable\nComponents: main\n",
    ],
)
def test_hostile_sources_are_malformed_and_the_base_is_named(archives, text):
    with pytest.raises(MalformedError, match=r"the base: its file etc/apt/sources.list.d/x.sources"):
        archives({"etc/apt/sources.list.d/x.sources": text})


def test_a_base_with_endless_sources_is_refused(archives):
    text = b"".join(b"deb http://a.example.org/%d stable main\n" % number for number in range(60))
    with pytest.raises(MalformedError, match="more than 50 package sources"):
        archives({"etc/apt/sources.list": text})
