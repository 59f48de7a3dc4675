"""dpkg's database in an image, read without trusting it. Source: deb-status(5), dpkg's lib/dpkg/dbdir.c.

Images without a package manager have one stanza a file in status.d/ instead, as distroless made it known.
"""

import re
from typing import Protocol

from formation.dataclass import dataclass
from formation.debian.administration import INSTALLED
from formation.debian.deb822 import Stanza, parse_stanza
from formation.entry import decode_path
from formation.errors import MalformedError

_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")
_SUM = re.compile(r"([0-9a-f]{32})  (.+)")
_MOST_PACKAGES = 20_000
_MOST_BYTES = 32 << 20
"""Of all stanzas together: those of a large image have a tenth of one."""
_MOST_PATHS = 500_000
"""Of one package."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,254}")


class Files(Protocol):
    """The files of var/lib/dpkg."""

    def read(self, name: str) -> bytes | None:
        """The content of one; None when it is not there, or was too large to be kept."""

    def names(self, directory: str) -> tuple[str, ...]:
        """The names in a directory, sorted."""


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A package in the database, whatever its state."""

    name: str
    version: str
    architecture: str
    status: str
    """`install ok installed` when all is well."""
    source: str
    source_version: str
    multi_arch: str
    """`no`, `same`, `foreign`, `allowed`."""
    conffiles: tuple[tuple[str, str], ...]
    """Path without its slash and MD5 of each conffile; a file that an administrator may change."""
    stanza: Stanza
    """All its fields."""

    @property
    def installed(self) -> bool:
        return self.status == INSTALLED

    @property
    def stem(self) -> str:
        """How its files in info/ begin."""
        return f"{self.name}:{self.architecture}" if self.multi_arch == "same" else self.name

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What the database says of a package's files. Paths have no leading slash."""

    paths: tuple[str, ...] | None
    """Every path of the package, directories among them; None when the database does not say."""
    md5sums: tuple[tuple[str, str], ...] | None
    """Path and MD5 of each file, conffiles left out by most packages; None when the database does not say."""
    malformed: int
    """Lines of md5sums that are none."""


def installed_packages(files: Files) -> tuple[tuple[InstalledPackage, ...], tuple[str, ...]]:
    """The packages of the database, sorted by name and architecture, and one sentence for all that is wrong with it."""
    sources = [("status", files.read("status") or b"")]
    sources += [
        (f"status.d/{name}", files.read(f"status.d/{name}") or b"")
        for name in files.names("status.d")
        if not name.endswith(".md5sums")
    ]
    found: dict[tuple[str, str], InstalledPackage] = {}
    wrong = []
    if sum(len(data) for _, data in sources) > _MOST_BYTES:
        return (), (f"there are more than {_MOST_BYTES} bytes about packages",)
    for where, data in sources:
        for number, block in enumerate(re.split(rb"\n(?:[ \t\r]*\n)+", data.strip(b"\n")), 1):
            if not block.strip():
                continue
            if len(found) >= _MOST_PACKAGES:
                wrong.append(f"{where}: there are more than {_MOST_PACKAGES} packages")
                break
            try:
                package = _package(parse_stanza(block), distroless=where != "status")
            except MalformedError as error:
                wrong.append(f"{where}: stanza {number}: {error.message}")
                continue
            key = (package.name, package.architecture)
            if key in found:
                wrong.append(f"{where}: {package.name} is there twice")
            found[key] = package
    return tuple(found[key] for key in sorted(found)), tuple(wrong)


def listing(package: InstalledPackage, files: Files) -> Listing:
    """What the database says of the files of `package`. Raises MalformedError for more than any package has."""
    # Packages that are `Multi-Arch: same` only in a later version still have the plain name.
    names = dict.fromkeys((package.stem, package.name))
    listed = next((data for name in names if (data := files.read(f"info/{name}.list")) is not None), None)
    sums = next((data for name in names if (data := files.read(f"info/{name}.md5sums")) is not None), None)
    if sums is None:
        sums = files.read(f"status.d/{package.name}.md5sums")
    if max((listed or b"").count(b"\n"), (sums or b"").count(b"\n")) > _MOST_PATHS:
        raise MalformedError(f"dpkg's database gives {package.name} more than {_MOST_PATHS} files")
    paths = None
    if listed is not None:
        lines = decode_path(listed).split("\n")
        paths = tuple(line[1:] for line in lines if line.startswith("/") and line != "/.")
    if sums is None:
        return Listing(paths, None, 0)
    matches = [_SUM.fullmatch(line) for line in decode_path(sums).split("\n") if line]
    md5sums = tuple((match[2].removeprefix("./").lstrip("/"), match[1]) for match in matches if match is not None)
    return Listing(paths, md5sums, len(matches) - len(md5sums))


def _package(stanza: Stanza, *, distroless: bool) -> InstalledPackage:
    """Raises MalformedError when it is none."""
    name, version = stanza.get("Package", ""), stanza.get("Version", "")
    if not _NAME.fullmatch(name):
        raise MalformedError(f"it names no package: {name[:100]!r}")
    source = _SOURCE.fullmatch(stanza.get("Source", name).strip())
    return InstalledPackage(
        name=name,
        version=version,
        architecture=stanza.get("Architecture", ""),
        # status.d/ has the control files as they are in the packages, which state no status.
        status=" ".join(stanza.get("Status", INSTALLED if distroless else "").split()),
        source=source[1] if source else name,
        source_version=(source[2] if source else None) or version,
        multi_arch=stanza.get("Multi-Arch", "no"),
        conffiles=_conffiles(stanza.get("Conffiles", "")),
        stanza=stanza,
    )


def _conffiles(text: str) -> tuple[tuple[str, str], ...]:
    """Path and MD5 of each line `/PATH MD5 [obsolete]`."""
    rows = (line.split() for line in text.split("\n") if line.strip())
    return tuple((row[0].lstrip("/"), row[1]) for row in rows if len(row) >= 2)
