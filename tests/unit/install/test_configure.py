"""What is said of a stage that could not be configured."""

import pytest

from formation.install.configure import failed_configuration


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
