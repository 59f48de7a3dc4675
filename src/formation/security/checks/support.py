"""Whether somebody still mends what is in the image."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final

from formation.entry import decode_path
from formation.security.findings import CannotTell, Check, Hit
from formation.security.subject import Subject

_ENDS: Final = {
    ("debian", "buster"): (date(2022, 9, 10), date(2024, 6, 30)),
    ("debian", "bullseye"): (date(2024, 8, 14), date(2026, 8, 31)),
    ("debian", "bookworm"): (date(2026, 7, 11), date(2028, 6, 30)),
    ("debian", "trixie"): (date(2028, 8, 9), date(2030, 6, 30)),
    ("ubuntu", "focal"): (date(2025, 5, 29), date(2030, 4, 23)),
    ("ubuntu", "jammy"): (date(2027, 6, 1), date(2032, 4, 21)),
    ("ubuntu", "noble"): (date(2029, 5, 31), date(2034, 4, 25)),
    ("ubuntu", "resolute"): (date(2031, 5, 29), date(2036, 4, 23)),
}
"""Last day of the security team's support, and of long-term support. Source: distro-info-data 0.58+deb12u7."""

_LIMITED: Final = frozenset(
    {"adns", "binutils", "cython", "epiphany-browser", "ganglia", "ganglia-web", "gnupg1", "hdf5", "jython", "khtml"}
    | {"kde4libs", "libspring-java", "mozjs78", "mozjs102", "musescore2", "musescore3", "ocsinventory-server"}
    | {"qt6-webengine", "qtwebengine-opensource-src", "qtwebkit", "qtwebkit-opensource-src", "sql-ledger", "tiles"}
    | {"webkit2gtk", "wpewebkit", "zabbix", "zoneminder"}
)
"""Source packages with limited security support or none. Source: debian-security-support 12+2026.06.30."""

_FIELD = re.compile(r"([A-Z_]{1,40})=[\"']?([^\"'\n]{0,200})[\"']?")
_DAY = 86_400
_OLDEST = {"strict": 180, "base": 365, "service": 365}
"""Days after which an image has missed updates, whatever it is made of."""


def os_release(subject: Subject) -> dict[str, str]:
    """The fields of /etc/os-release; empty when there is none."""
    data = subject.files.content("etc/os-release") or subject.files.content("usr/lib/os-release") or b""
    matches = map(_FIELD.fullmatch, decode_path(data[:65536]).split("\n"))
    return {match[1]: match[2] for match in matches if match}


def _supported(subject: Subject) -> Iterator[Hit]:
    release = os_release(subject)
    name, codename = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    ends = _ENDS.get((name, codename))
    if ends is None:
        raise CannotTell(f"the distribution {name[:40]!r} {codename[:40]!r} is not known")
    today = datetime.fromtimestamp(subject.now, UTC).date()
    regular, long_term = ends
    if today > long_term:
        yield Hit(f"{name} {codename} gets no updates since {long_term}", "etc/os-release", severity="high")
    elif today > regular:
        what = f"{name} {codename} has been in long-term support since {regular}, which ends on {long_term}"
        yield Hit(what, "etc/os-release", severity="low")
    for package in subject.facts.packages:
        if package.installed and package.source in _LIMITED and name == "debian":
            yield Hit(f"the package {package} has limited security support in Debian", severity="low")


def _age(subject: Subject) -> Iterator[Hit]:
    """Times of reproducible images are those of their newest package: as old, and no older, as what they lack."""
    if subject.facts.image.config.created is None:
        raise CannotTell("the image does not say when it was created")
    if subject.created is None:
        raise CannotTell("the image says a time that is none")
    days = (subject.now - subject.created) // _DAY
    if days > _OLDEST[subject.profile]:
        yield Hit(f"the image is {days} days old; after {_OLDEST[subject.profile]} it has missed updates")
    elif days < -1:
        yield Hit(f"the image was created {-days} days from now", severity="low")


CHECKS: Final = (
    Check(
        35,
        "image-age",
        "an image that is too old",
        "high",
        "CIS Docker 4.4, CIS-DI-0004",
        "Security updates since then are not in it. Which ones, a vulnerability scan tells.",
        "Lock and build again: formation lock && formation build",
        _age,
    ),
    Check(
        36,
        "unsupported",
        "a distribution or packages without security support",
        "medium",
        "distro-info, debian-security-support",
        "Known holes stay open.",
        "Move to a supported release; replace the package, or feed it trusted data only",
        _supported,
    ),
)
