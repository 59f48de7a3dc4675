"""What unpacking leaves in dpkg's database."""

import pytest

from formation.debian.database import PackageName, conffiles, deferred_triggers, info_files, unpacked_stanza
from formation.errors import MalformedError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"/etc/a\n\n/etc/b c\n", [("/etc/a", ""), ("/etc/b c", "")]),
        (b"remove-on-upgrade /etc/old\n/etc/new\n", [("/etc/old", "remove-on-upgrade"), ("/etc/new", "")]),
        (b"//etc/a \n/./etc/b /c\n", [("/etc/a", ""), ("/etc/b /c", "")]),
    ],
)
def test_conffiles_are_read_with_their_flags(text, expected):
    assert conffiles({"conffiles": text}) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"etc/a\n", "'etc/a', which is no absolute path"),
        (b"remove-on-upgrade etc/a\n", "'etc/a', which is no absolute path"),
        (b"/\n", "'/', which is no absolute path"),
        (b"keep /etc/a\n", "'/etc/a' with the unknown flag 'keep'"),
        (b" /etc/a\n", "'/etc/a' with the unknown flag ''"),
        (b"remove-on-upgrade  /etc/a\n", "' /etc/a', which is no absolute path"),
        (b"remove-on-upgrade \n", "'remove-on-upgrade', which is no absolute path"),
    ],
)
def test_conffiles_that_dpkg_refuses_are_refused(text, reason):
    with pytest.raises(MalformedError, match=f"^its conffiles have {reason}"):
        conffiles({"conffiles": text})


def test_an_unpacked_package_has_its_status_and_conffiles_where_dpkg_writes_them():
    stanza = unpacked_stanza(
        b"Package: a\nVersion: 1\nDescription: short\n long\n", [("/etc/a", "md5"), ("/etc/b", "newconffile")]
    )
    assert stanza.decode().splitlines() == [
        "Package: a", "Status: install ok unpacked", "Version: 1", "Description: short", " long",
        "Conffiles:", " /etc/a md5", " /etc/b newconffile",
    ]  # fmt: skip


def test_a_member_with_a_dot_is_no_file_of_the_database():
    files = info_files(PackageName("a", "all", False), {"control": b"", "md5sums": b"m", "b.list": b"/evil\n"}, b"/.\n")
    assert files == {"var/lib/dpkg/info/a.md5sums": b"m", "var/lib/dpkg/info/a.list": b"/.\n"}


def test_triggers_that_a_preinst_activated_are_added_to_with_who_awaits_them():
    """dpkg-trigger writes a line itself while the preinst runs."""
    before = "by-script -\n/usr/share/a waiting\nboth -\n"
    interests = {"File": "/usr/share/a one\n/usr/share/b two/noawait\n", "own": "one\n", "both": "one\n"}
    assert deferred_triggers(before, interests, ["own", "both", "nobodys"], ["/usr/share/a/x", "/usr/share/b"]) == (
        "/usr/share/a waiting\n/usr/share/b -\nboth -\nown -\nby-script -\n"
    )
