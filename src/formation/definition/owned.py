"""What of an image no definition may write itself, since other keys decide it: accounts, and what apt and dpkg note."""

from formation.definition.hardening import SAFE_APT_CHOICES
from formation.definition.image_files import APT_CHOICES, DPKG_FILTERS

_DPKG = "/var/lib/dpkg"
_INSTEAD = {
    "/etc/passwd": "declare users under `users:`",
    "/etc/shadow": "declare users under `users:`; their passwords are locked",
    "/etc/group": "declare groups under `groups:`",
    "/etc/gshadow": "declare groups under `groups:`",
    f"{_DPKG}/statoverride": "say owner and mode under `directories:` or `files:`",
    _DPKG: "name packages under `packages:`; only dpkg writes there",
    "/var/lib/apt/extended_states": "name packages under `packages:`; all others count as automatically installed",
    DPKG_FILTERS: "say what stays out under `leave_out:`",
    APT_CHOICES: "say `recommends:`",
    SAFE_APT_CHOICES: "say `package_manager:` under `hardening:`, or choose another file name",
}
"""Path → what to write instead of it, and of anything below."""


FILES = frozenset(_INSTEAD) - {_DPKG}
"""Those that are files in every image."""


def instead_of(path: str) -> str | None:
    """What a definition says instead of writing `path`; None when it may write it."""
    return next((hint for owned, hint in _INSTEAD.items() if path == owned or path.startswith(f"{owned}/")), None)
