"""What unpacking leaves in dpkg's database."""

import pytest

from formation.debian.database import conffiles, unpacked_stanza


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"/etc/a\n\n/etc/b c\n", [("/etc/a", ""), ("/etc/b c", "")]),
        (b"remove-on-upgrade /etc/old\n/etc/new\n", [("/etc/old", "remove-on-upgrade"), ("/etc/new", "")]),
    ],
)
def test_conffiles_are_read_with_their_flags(text, expected):
    assert conffiles({"conffiles": text}) == expected


def test_an_unpacked_package_has_its_status_and_conffiles_where_dpkg_writes_them():
    stanza = unpacked_stanza(
        b"Package: a\nVersion: 1\nDescription: short\n long\n", [("/etc/a", "md5"), ("/etc/b", "newconffile")]
    )
    assert stanza.decode().splitlines() == [
        "Package: a", "Status: install ok unpacked", "Version: 1", "Description: short", " long",
        "Conffiles:", " /etc/a md5", " /etc/b newconffile",
    ]  # fmt: skip
