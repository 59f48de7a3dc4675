"""Packages indexes: what is read from them, how they are kept, and which are refused."""

import pytest

from formation.debian.index import PackageIndex, load_packages, parse_packages
from formation.debian.package import Relation
from formation.digest import sha256
from formation.errors import MalformedError

HASH = "0123456789abcdef" * 4
PACKAGES = f"""\
Package: libfoo1
Source: foo (1.0-1)
Version: 1.0-1+b2
Installed-Size: 42
Architecture: amd64
Essential: yes
Protected: yes
Multi-Arch: same
Provides: foo-api (= 3), libfoo
Pre-Depends: init-system-helpers
Depends: libc6 (>= 2.38),
 libbar1 | libbar2:any
Recommends: foo-data
Suggests: foo-doc
Conflicts: libfoo0
Breaks: foo (<< 1)
Replaces: foo (<< 1)
Enhances: baz
Description: foo
 Package: not a field
Priority: important
Tag: a::b,
 c::d
Filename: pool/main/f/foo/libfoo1_1.0-1+b2_amd64.deb
Size: 1234
SHA256: {HASH}

Package: python3
Version: 3.13
Architecture: all
Multi-Arch: allowed
Filename: pool/p.deb
Size: 1
SHA256: {HASH}
"""


def index_of(text: str) -> PackageIndex:
    return parse_packages(text.encode(), archive="debian", suite="trixie")


def test_a_stanza_becomes_a_package_with_every_field():
    package, _ = index_of(PACKAGES)
    assert (package.name, package.version, package.architecture) == ("libfoo1", "1.0-1+b2", "amd64")
    assert (package.source, package.source_version) == ("foo", "1.0-1")
    assert (package.essential, package.important, package.priority, package.multi_arch) == (
        True, True, "important", "same",
    )  # fmt: skip
    assert package.pre_depends == ((Relation("init-system-helpers"),),)
    assert package.depends == (
        (Relation("libc6", None, ">=", "2.38"),),
        (Relation("libbar1"), Relation("libbar2", "any")),
    )
    assert package.recommends == ((Relation("foo-data"),),)
    assert package.suggests == ((Relation("foo-doc"),),)
    assert package.conflicts == ((Relation("libfoo0"),),)
    assert package.breaks == package.replaces == ((Relation("foo", None, "<<", "1"),),)
    assert package.provides == (Relation("foo-api", None, "=", "3"), Relation("libfoo"))
    assert (package.path, package.size, package.sha256, package.installed_size) == (
        "pool/main/f/foo/libfoo1_1.0-1+b2_amd64.deb", 1234, f"sha256:{HASH}", 42,
    )  # fmt: skip
    assert (package.archive, package.suite) == ("debian", "trixie")


def test_absent_fields_have_their_defaults():
    package = index_of(PACKAGES)[1]
    assert (package.source, package.source_version) == ("python3", "3.13")
    assert (package.essential, package.important, package.depends, package.installed_size) == (False, False, (), 0)


def test_an_index_is_a_sequence():
    index = index_of(PACKAGES)
    assert len(index) == 2
    assert index[-1].name == index[1].name == "python3"
    assert [package.name for package in index[:1]] == ["libfoo1"]
    with pytest.raises(IndexError):
        index[2]


def test_what_packages_provide_is_known_without_reading_them():
    assert index_of(PACKAGES).provisions == [(0, "foo-api", "3"), (0, "libfoo", None), (1, "python3:any", "3.13")]


def test_names_are_listed_in_the_order_in_which_apt_first_meets_them():
    assert index_of(PACKAGES).mentions == [
        "libfoo1", "init-system-helpers", "libc6", "libbar1", "libbar2:any", "libfoo0", "foo", "foo-data", "foo-doc",
        "baz", "foo-api", "libfoo", "python3",
    ]  # fmt: skip


def test_field_names_may_be_written_in_any_case():
    odd = PACKAGES.replace("Pre-Depends:", "Pre-depends:").replace("Package: python3", "PACKAGE: python3")
    assert list(index_of(odd)) == list(index_of(PACKAGES))
    assert index_of(odd).mentions == index_of(PACKAGES).mentions


def test_a_field_that_is_not_utf_8_harms_no_other_package():
    text = b"Package: a\nVersion: 1\nArchitecture: all\nMulti-Arch: \xff\nProvides: b\n\n"
    index = parse_packages(text + b"Package: c\nVersion: 1\nArchitecture: all\n", archive="x", suite="y")
    assert index.names == ["a", "c"]


def test_an_empty_index_has_no_packages():
    assert list(index_of("")) == []


def test_an_index_is_parsed_once_and_then_read_from_the_cache(tmp_path):
    data = PACKAGES.encode()
    loads = []

    def read() -> bytes:
        loads.append(1)
        return data

    def load() -> PackageIndex:
        return load_packages(sha256(data), read, archive="debian", suite="trixie", cache_dir=tmp_path)

    first, second = load(), load()
    assert loads == [1]
    assert list(first) == list(second)
    for field in ("names", "versions", "architectures", "essential", "provisions", "mentions", "stanzas", "offsets"):
        assert getattr(first, field) == getattr(second, field)


@pytest.mark.parametrize("text", ["", PACKAGES])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:70] + b"!" + data[71:],
        lambda data: b"x" * len(data),
    ],
    ids=["emptied", "cut", "changed", "overwritten"],
)
def test_a_damaged_cache_is_parsed_again(text, damage, tmp_path):
    data = text.encode()

    def load() -> PackageIndex:
        return load_packages(sha256(data), lambda: data, archive="debian", suite="trixie", cache_dir=tmp_path)

    wanted = list(load())
    (path,) = tmp_path.iterdir()
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert list(load()) == wanted
    assert path.read_bytes() == good


def test_without_a_cache_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = PACKAGES.encode()
    load_packages(sha256(data), lambda: data, archive="debian", suite="trixie", cache_dir=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Package: libfoo1", "Package: ../libfoo1"),
        ("Package: libfoo1", "Package:"),
        ("Package: libfoo1\n", ""),
        ("Version: 1.0-1+b2", "Version: 1/2"),
        ("Version: 1.0-1+b2\n", ""),
        ("Architecture: amd64", "Architecture: AMD 64"),
        ("Architecture: amd64", "Architecture: amd64\nArchitecture: i386"),
        ("Provides: foo-api (= 3)", "Provides: foo-api (= 3"),
        ("Description: foo", "Description: " + "x" * (2 << 20)),
    ],
)
def test_an_index_with_a_stanza_that_is_no_package_is_malformed(old, new):
    with pytest.raises(MalformedError):
        index_of(PACKAGES.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("Size: 1234", "Size: many", "Size is 'many'"),
        ("Size: 1234", "Size: -1", "Size is '-1'"),
        (f"SHA256: {HASH}\n", "", "no SHA256 field"),
        (HASH, "abc", "SHA256 is 'abc'"),
        ("Filename: pool/main", "Filename: /pool", "outside the archive"),
        ("Filename: pool/main", "Filename: pool/../../main", "outside the archive"),
        ("Source: foo (1.0-1)", "Source: foo bar", "Source is"),
        ("Depends: libc6 (>= 2.38)", "Depends: libc6 >= 2.38", "not a relation"),
    ],
)
def test_a_package_with_a_wrong_field_is_malformed_and_named(old, new, reason):
    index = index_of(PACKAGES.replace(old, new, 1))
    with pytest.raises(MalformedError, match=f"libfoo1 .* in debian trixie: .*{reason}"):
        index[0]
    assert index[1].name == "python3"
