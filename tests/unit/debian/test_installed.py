"""The packages of an image's dpkg database."""

import pytest

from formation.debian.installed import installed_packages
from formation.errors import FormationError, MalformedError

STATUS = b"""\
Package: libc6
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.41-12
Depends: libgcc-s1, libc-bin (>= 2.41) | none
Provides: libc6-2.41 (= 2.41-12)
Conffiles:
 /etc/ld.so.conf.d/x86_64-linux-gnu.conf d4e7a7b88a71b5ffd9e2644e71a0cfab

Package: base-files
Essential: yes
Status: hold ok installed
Architecture: all
Version: 13.8

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.41-12
"""


def read(status: bytes):
    return installed_packages(status, "amd64", "formation/base:1.0.0")


def test_what_is_installed_for_the_architecture_is_there_sorted():
    base_files, libc6 = read(STATUS)
    assert (base_files.name, base_files.version, base_files.essential) == ("base-files", "13.8", True)
    assert (libc6.architecture, libc6.source, libc6.multi_arch) == ("amd64", "glibc", "same")
    assert [str(relation) for group in libc6.depends for relation in group] == [
        "libgcc-s1",
        "libc-bin (>= 2.41)",
        "none",
    ]
    assert [str(relation) for relation in libc6.provides] == ["libc6-2.41 (= 2.41-12)"]


def test_an_empty_database_has_no_packages():
    assert read(b"") == ()


@pytest.mark.parametrize("state", ["half-installed", "unpacked", "half-configured", "triggers-pending"])
def test_a_package_that_is_there_in_part_is_an_error(state):
    with pytest.raises(FormationError, match=f"formation/base:1.0.0: the package libc6 is {state}"):
        read(STATUS.replace(b"install ok installed", f"install ok {state}".encode(), 1))


@pytest.mark.parametrize(
    "status",
    [b"Package: a\nVersion: 1\n", b"nonsense", STATUS.replace(b"Version: 2.41-12\n", b""), b"\xff: a\n"],
    ids=["no status", "no fields", "no version", "no text"],
)
def test_a_damaged_database_is_malformed_and_named(status):
    with pytest.raises(MalformedError):
        read(status)
