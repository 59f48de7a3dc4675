"""The packages that an image has installed, read from its dpkg database, as the resolver takes them."""

from collections.abc import Iterator

from formation.debian.deb822 import Stanza, parse_stanzas
from formation.debian.package import BinaryPackage
from formation.debian.stanza import package_from_stanza
from formation.errors import FormationError, MalformedError

_GONE = frozenset({"not-installed", "config-files"})
_NOT_IN_A_STATUS_FILE = {"Filename": "installed", "Size": "0", "SHA256": "0" * 64}
"""What says where a package may be had: a status file does not tell."""


def installed_packages(status: bytes, architecture: str, image: str) -> tuple[BinaryPackage, ...]:
    """The packages for `architecture` and `all` that are installed, sorted by name.

    `status` is the file var/lib/dpkg/status of `image`, which is named in messages. Path, size, digest, archive and
    suite of the packages mean nothing. Source: dpkg(1), "PACKAGE STATES".

    Raises MalformedError for what is no status file, FormationError for a package that is there in part.
    """
    found: dict[str, BinaryPackage] = {}
    for stanza in _stanzas(status, image):
        words = stanza.get("Status", "").split()
        if len(words) != 3:
            raise MalformedError(f"{image}: the package {stanza.get('Package', '?')[:100]} has no sound Status")
        if words[2] in _GONE or stanza.get("Architecture") not in (architecture, "all"):
            continue
        if words[2] != "installed" or words[1] != "ok":
            raise FormationError(
                f"{image}: the package {stanza.get('Package', '?')[:100]} is {words[2]}, and not installed as a whole",
                hint="dpkg --configure --pending in it, or build it again",
            )
        fields = {**stanza, **_NOT_IN_A_STATUS_FILE}
        package = package_from_stanza(Stanza(fields), archive="", suite="")
        found[package.name] = package
    return tuple(found[name] for name in sorted(found))


def _stanzas(status: bytes, image: str) -> Iterator[Stanza]:
    try:
        yield from parse_stanzas(status)
    except MalformedError as error:
        raise MalformedError(f"{image}: its file var/lib/dpkg/status: {error.message}") from None
