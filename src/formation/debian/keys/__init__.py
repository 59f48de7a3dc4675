"""The key sets that ship with Formation. Their origin is in README.md beside this file."""

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Final

from formation.debian.openpgp import Keyring, parse_keys
from formation.errors import UsageError

# The fingerprints are pinned here as well, so that a replaced key file does not pass unseen.
_BOOKWORM_AUTOMATIC: Final = ("debian-archive-bookworm-automatic.asc", "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8")
_TRIXIE_AUTOMATIC: Final = ("debian-archive-trixie-automatic.asc", "04B54C3CDCA79751B16BC6B5225629DF75B188BD")
_SETS: Final = {
    "debian-bookworm": (
        _BOOKWORM_AUTOMATIC,
        ("debian-archive-bookworm-security-automatic.asc", "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0"),
        ("debian-archive-bookworm-stable.asc", "4D64FEC119C2029067D6E791F8D2585B8783D481"),
    ),
    "debian-trixie": (
        _TRIXIE_AUTOMATIC,
        ("debian-archive-trixie-security-automatic.asc", "5E04A1E3223A19A20706E20F9904613D4CCE68C6"),
        ("debian-archive-trixie-stable.asc", "41587F7DB8C774BCCF131416762F67A0B2C39DE4"),
    ),
    # ftpmaster signs unstable, testing and experimental with the automatic keys of the two newest releases.
    "debian-sid": (_TRIXIE_AUTOMATIC, _BOOKWORM_AUTOMATIC),
    "ubuntu": (("ubuntu-archive-2018.asc", "F6ECB3762474EDA9D21B7022871920D1991BC93C"),),
}

KEY_SETS: Final = tuple(_SETS)
"""Names of the shipped sets."""


def key_set(name: str) -> Keyring:
    """The shipped key set `name`, the key that signs most first. Raises UsageError for an unknown name."""
    if name not in _SETS:
        nearest = difflib.get_close_matches(name, KEY_SETS, 1)
        raise UsageError(
            f"there is no key set {name!r}; there are {', '.join(KEY_SETS)}",
            hint=f"did you mean {nearest[0]}?" if nearest else "for a key file, write its path with a slash: ./NAME",
        )
    ring = Keyring((), {})
    for file, fingerprint in _SETS[name]:
        ring += parse_keys(files(__package__).joinpath(file).read_bytes(), file).only([fingerprint])
    return ring


def is_key_file(name: str) -> bool:
    """Whether an entry of an archive's `keys` is a path rather than the name of a shipped set."""
    return "/" in name or name.endswith((".asc", ".gpg", ".pgp"))


def keys_of(names: tuple[str, ...], directory: Path) -> Keyring:
    """All keys that an archive's `keys` name: shipped sets, and key files relative to `directory`.

    Raises UsageError for an unknown set or a file that cannot be read, MalformedError for one that is no key file.
    """
    ring = Keyring((), {})
    for name in names:
        if not is_key_file(name):
            ring += key_set(name)
            continue
        path = directory / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read the key file {path}: {error.strerror}") from error
        ring += parse_keys(data, str(path))
    return ring
