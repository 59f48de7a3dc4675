"""Account files and dpkg's database, sound and hostile."""

from hypothesis import given
from hypothesis import strategies as st

from formation.contents.accounts import parse_group, parse_passwd, parse_shadow
from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.packages import Listing
from hostile import hostile
from layer_tars import contents_of, directory, file

STATUS = b"""Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Source: glibc (2.41-12)
Version: 2.41-12+b1
Conffiles:
 /etc/ld.so.conf.d/x.conf d41d8cd98f00b204e9800998ecf8427e
 /etc/gone d41d8cd98f00b204e9800998ecf8427e obsolete

Package: bash
Status: install ok half-configured
Architecture: amd64
Version: 5.2
"""


def database(**files: bytes) -> Filesystem:
    members = [directory("var"), directory("var/lib"), directory("var/lib/dpkg")]
    members += [file(f"var/lib/dpkg/{name}", data) for name, data in files.items()]
    return filesystem(contents_of(members).layers)


def test_packages_are_read_with_their_source_state_and_conffiles():
    packages, problems = database(status=STATUS).packages()
    assert problems == ()
    assert [(each.name, each.installed) for each in packages] == [("bash", False), ("libc6", True)]
    libc = packages[1]
    assert (libc.source, libc.source_version, libc.stem) == ("glibc", "2.41-12", "libc6:amd64")
    assert dict(libc.conffiles) == {
        "etc/ld.so.conf.d/x.conf": "d41d8cd98f00b204e9800998ecf8427e",
        "etc/gone": "d41d8cd98f00b204e9800998ecf8427e",
    }


def test_a_damaged_stanza_hides_no_other():
    packages, problems = database(status=b"nonsense\n\n" + STATUS + b"\nPackage: ../x\nVersion: 1\n").packages()
    assert [each.name for each in packages] == ["bash", "libc6"]
    assert len(problems) == 2


def test_packages_of_images_without_a_package_manager_are_found():
    files = database(
        **{
            "status.d/libc6": b"Package: libc6\nVersion: 2.41\nArchitecture: amd64\n",
            "status.d/libc6.md5sums": b"d41d8cd98f00b204e9800998ecf8427e  ./usr/lib/libc.so.6\n",
        }
    )
    ((package,), problems) = files.packages()
    assert package.installed and problems == ()
    assert files.package_files(package) == Listing(
        None, (("usr/lib/libc.so.6", "d41d8cd98f00b204e9800998ecf8427e"),), 0
    )


def test_the_files_of_a_package_are_listed():
    files = database(
        status=STATUS,
        **{
            "info/libc6:amd64.list": b"/.\n/usr\n/usr/lib/libc.so.6\n",
            "info/libc6:amd64.md5sums": b"d41d8cd98f00b204e9800998ecf8427e  usr/lib/libc.so.6\nbroken\n",
        },
    )
    bash, libc = files.packages()[0]
    assert files.package_files(libc).paths == ("usr", "usr/lib/libc.so.6")
    assert files.package_files(libc).malformed == 1
    assert files.package_files(bash) == Listing(None, None, 0)


def test_account_files_are_read_and_their_bad_lines_told():
    users, bad = parse_passwd(b"root:x:0:0:root:/root:/bin/sh\n\n+::::::\nx:x:-1:0:::\ny:x:1\n")
    assert [(user.name, user.uid, user.shell) for user in users] == [("root", 0, "/bin/sh")]
    assert [each.line for each in bad] == [3, 4, 5]
    groups, bad = parse_group(b"adm:x:4:syslog,me\nbad:x:99999999999:\n")
    assert groups[0].members == ("syslog", "me") and [each.line for each in bad] == [2]
    shadow, bad = parse_shadow(b"root:*:1:0:99999:7:::\nroot\n")
    assert shadow[0].password == "*" and [each.line for each in bad] == [2]


@hostile
@given(st.binary(max_size=500))
def test_no_bytes_make_the_parsers_of_accounts_raise(data: bytes):
    for parse in (parse_passwd, parse_group, parse_shadow):
        found, bad = parse(data)
        assert len(found) + len(bad) == sum(bool(line) for line in data.split(b"\n"))


_LINES = st.sampled_from(
    [b"Package: a", b"Package: b c", b"Version: 1", b"Status: install ok installed", b" folded", b"", b"\xff: x", b"x"]
)


@hostile
@given(st.lists(_LINES | st.binary(max_size=30), max_size=30).map(b"\n".join))
def test_no_bytes_make_the_parser_of_packages_raise(data: bytes):
    packages, _ = database(status=data, **{"info/a.list": data, "info/a.md5sums": data}).packages()
    assert all(package.name for package in packages)
