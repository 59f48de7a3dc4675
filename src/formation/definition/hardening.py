"""What a base does beyond installing packages so that its images are hard to misuse: values of the key `hardening`.

docs/hardening.md tells each measure's reason and source.
"""

from collections.abc import Mapping
from typing import Final

from formation.dataclass import dataclass

SAFE_APT_CHOICES: Final = "/etc/apt/apt.conf.d/99formation"
"""Read after what packages and definitions add, so that none of them weakens it unnoticed."""

SAFE_APT: Final = """\
APT::Install-Suggests "false";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
"""
"""apt-secure(8), apt.conf(5)."""

TIGHT_DIRECTORIES: Final[Mapping[str, int]] = {
    "/root": 0o700,
    "/etc/cron.d": 0o700,
    "/etc/cron.hourly": 0o700,
    "/etc/cron.daily": 0o700,
    "/etc/cron.weekly": 0o700,
    "/etc/cron.monthly": 0o700,
    "/etc/cron.yearly": 0o700,
    "/etc/sudoers.d": 0o750,
    "/var/mail": 0o755,
    "/var/local": 0o755,
}
"""Directory → its mode, where an image has it: root's own, and those that base-files gives to groups of no use here."""

BACKUPS: Final = ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-")
"""What the tools of passwd(5) leave beside the files that they change."""

NO_LOGIN: Final = "/usr/sbin/nologin"


@dataclass(frozen=True, slots=True)
class Hardening:
    """Which measures are taken; all of them unless told otherwise."""

    setuid: tuple[str, ...] | None = ()
    """Absolute paths of the programs that keep their setuid and setgid bits; None: all of them."""
    accounts: bool = True
    """No account of base-passwd but root's has a shell."""
    modes: bool = True
    """TIGHT_DIRECTORIES have their modes."""
    package_manager: bool = True
    """apt has SAFE_APT."""
    traces: bool = True
    """There are no BACKUPS."""


AS_PACKAGED: Final = Hardening(None, accounts=False, modes=False, package_manager=False, traces=False)
"""No measure at all."""
