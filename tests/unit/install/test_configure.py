"""What dpkg's status says of conffiles, and what is said of a stage that could not be configured."""

from pathlib import Path

import pytest

from formation.debian.database import PackageName
from formation.debian.diversions import Diversion
from formation.install.configure import failed_configuration, without_taken
from formation.install.stages import StagePackage

STATUS = b"""\
Package: old
Description: what has a file
 /etc/taken too
Conffiles:
 /etc/taken 9dd4e461268c8034f5c8564e155c67a6
 /etc/kept 9dd4e461268c8034f5c8564e155c67a6
 /etc/diverted 9dd4e461268c8034f5c8564e155c67a6
 /etc/gone newconffile obsolete
 /etc/going newconffile remove-on-upgrade
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "Setting up bad (1) ...\ndpkg: error processing package bad (--configure):\n installed bad package "
            "post-installation script subprocess returned error exit status 7\nErrors were encountered",
            "the postinst script of bad failed with status 7",
        ),
        (
            "dpkg: error processing package bad:amd64 (--configure):\n installed bad:amd64 package post-installation "
            "script subprocess was killed by signal (Segmentation fault), core dumped",
            "the postinst script of bad:amd64 failed",
        ),
        (
            "dpkg: dependency problems prevent configuration of wget:\n wget depends on libpsl5t64 (>= 0.16.0)\n\n"
            "dpkg: error processing package wget (--configure):\n dependency problems - leaving unconfigured\n",
            "dpkg could not configure wget",
        ),
        ("dpkg: error: parsing file '/var/lib/dpkg/status'", "dpkg could not configure the packages"),
    ],
)
def test_who_failed_is_told(output: str, reason: str) -> None:
    assert failed_configuration(output) == reason


def test_conffiles_that_other_packages_take_are_obsolete() -> None:
    """dpkg marks them, and purging the package that had one does not remove it."""
    names = ("taken", "kept", "diverted", "gone", "going")
    conffiles = "".join(f"/etc/{name}\n" for name in names).encode()
    # It has lost one to the package that is there.
    listed = tuple(f"/etc/{name}" for name in names if name != "kept")
    package = StagePackage(PackageName("new", "all", False), "1", "", Path(), {"conffiles": conffiles}, listed, 0)
    diversions = [Diversion("etc/diverted", "etc/diverted.real", "new")]
    after = without_taken(STATUS, [package], diversions)
    line = b" /etc/taken 9dd4e461268c8034f5c8564e155c67a6"
    assert after == STATUS.replace(line, line + b" obsolete")
