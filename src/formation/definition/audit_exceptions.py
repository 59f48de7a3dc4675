"""What a definition accepts of the things that an audit finds in its image."""

from datetime import date
from typing import Final

from formation.dataclass import dataclass, field

CHECK_IDS: Final = (
    "user-root", "user-home", "health-check", "secret-variable", "secret-history", "privileged-port", "system-volume",
    "shell-command", "unsafe-path", "config-mismatch", "label", "apt-update-alone", "history-add",
    "unverified-download", "history-sudo", "setuid-file", "file-capability", "world-writable-file",
    "world-writable-directory", "unknown-owner", "special-file", "system-file-owner", "account-file-mode",
    "empty-password", "password-hash", "second-root", "account-conflict", "system-shell", "sudo", "secret-file",
    "ssh-server", "forbidden-package", "development-tool", "undeclared-package", "image-age", "unsupported",
    "package-state", "changed-file", "apt-source", "foreign-key", "apt-leftover", "development-leftover",
    "builder-identity", "build-log", "time-zone", "attestation", "base-unknown", "layer-tar", "layer-damaged",
)  # fmt: skip
"""Of the checks of `formation audit`, by number: `security`, which has them, stands on this room."""


@dataclass(frozen=True, slots=True)
class AuditException:
    """Findings that are accepted, for a while."""

    check: str
    """Id of the check."""
    path: str | None
    """A pattern of paths in the image; `*` takes slashes too. None: whatever the finding is about."""
    reason: str
    until: date
    """The last day on which it holds."""
    place: str = field(default="", compare=False)
    """`FILE:LINE`."""
