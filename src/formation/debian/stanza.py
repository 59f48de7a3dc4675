"""From a stanza of a Packages index, a .deb's control file or a dpkg status file to a BinaryPackage."""

import re

from formation.debian.deb822 import Stanza
from formation.debian.package import Alternatives, BinaryPackage
from formation.debian.relation import parse_provides, parse_relations
from formation.errors import MalformedError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SOURCE = re.compile(r"([^\s()]+)(?:\s*\(([^\s()]+)\))?")
_MULTI_ARCH = ("same", "foreign", "allowed")


def package_from_stanza(stanza: Stanza, *, archive: str, suite: str) -> BinaryPackage:
    """The package that `stanza` describes.

    Filename, Size and SHA256 are what a download is checked against, so they must be there.

    Raises MalformedError, naming the package, for a missing or wrong field.
    """
    try:
        return _package(stanza, archive, suite)
    except MalformedError as error:
        name, version = stanza.get("Package", "?"), stanza.get("Version", "?")
        raise MalformedError(f"{name[:100]} {version[:100]} in {archive} {suite}: {error.message}") from error


def _package(stanza: Stanza, archive: str, suite: str) -> BinaryPackage:
    architecture = _required(stanza, "Architecture")
    name, version = _required(stanza, "Package"), _required(stanza, "Version")
    source = _SOURCE.fullmatch(stanza.get("Source", name).strip())
    if source is None:
        raise MalformedError(f"Source is {stanza['Source'][:100]!r}")
    multi_arch = stanza.get("Multi-Arch", "no")
    if multi_arch not in _MULTI_ARCH or (multi_arch == "same" and architecture == "all"):
        multi_arch = "no"

    def relations(field: str) -> tuple[Alternatives, ...]:
        text = stanza.get(field)
        return parse_relations(text, architecture) if text else ()

    return BinaryPackage(
        name=name,
        version=version,
        architecture=architecture,
        source=source[1],
        source_version=source[2] or version,
        essential=stanza.get("Essential") == "yes",
        important="yes" in (stanza.get("Important"), stanza.get("Protected")),
        priority=stanza.get("Priority", ""),
        multi_arch=multi_arch,
        pre_depends=relations("Pre-Depends"),
        depends=relations("Depends"),
        recommends=relations("Recommends"),
        suggests=relations("Suggests"),
        conflicts=relations("Conflicts"),
        breaks=relations("Breaks"),
        replaces=relations("Replaces"),
        provides=parse_provides(stanza.get("Provides", ""), architecture),
        path=_path(_required(stanza, "Filename")),
        size=_number(_required(stanza, "Size"), "Size"),
        sha256=_sha256(_required(stanza, "SHA256")),
        installed_size=_number(stanza.get("Installed-Size", "0"), "Installed-Size"),
        archive=archive,
        suite=suite,
    )


def _required(stanza: Stanza, field: str) -> str:
    value = stanza.get(field)
    if not value:
        raise MalformedError(f"it has no {field} field")
    return value


def _number(text: str, field: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise MalformedError(f"{field} is {text[:100]!r}, not a number")
    return int(text)


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text.lower()):
        raise MalformedError(f"SHA256 is {text[:100]!r}, not a digest")
    return "sha256:" + text.lower()


def _path(text: str) -> str:
    """`text`, when it stays below the archive's root."""
    if text.startswith("/") or ".." in text.split("/") or not text.isprintable():
        raise MalformedError(f"Filename is {text[:100]!r}, which is outside the archive")
    return text
