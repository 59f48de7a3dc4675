"""Where the image gets packages from, whom it trusts for that, and what earlier downloads left."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from formation.entry import decode_path
from formation.errors import MalformedError
from formation.security.apt_sources import AptSource, apt_sources
from formation.security.findings import Check, Hit
from formation.security.fingerprints import fingerprints
from formation.security.subject import Subject

DEBIAN_HOSTS: Final = frozenset({"deb.debian.org", "security.debian.org", "snapshot.debian.org"})
DEBIAN_KEYS: Final = frozenset(
    {
        # bookworm: automatic, security, stable
        "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
        "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0",
        "4D64FEC119C2029067D6E791F8D2585B8783D481",
        # bullseye: automatic, security, stable
        "1F89983E0081FDE018F3CC9673A4F27B8DD47936",
        "AC530D520F2F3269F5E98313A48449044AAD5C5D",
        "A4285295FC7B1A81600062A9605C66F00D6C9793",
        # trixie: automatic, security, stable
        "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
        "5E04A1E3223A19A20706E20F9904613D4CCE68C6",
        "41587F7DB8C774BCCF131416762F67A0B2C39DE4",
    }
)
"""Of package debian-archive-keyring 2025.1."""

_UNSAFE = re.compile(
    r"\b(AllowUnauthenticated|Allow-?Insecure-?Repositories|AllowInsecureRepositories|AllowWeakRepositories"
    r"|AllowDowngradeToInsecureRepositories)\s{1,20}\"?(?:true|yes|1|on|enable|with)\b"
    r"|\b(Check-Valid-Until|Verify-Peer|Verify-Host)\s{1,20}\"?(?:false|no|0|off|disable|without)\b",
    re.IGNORECASE,
)
_UNSAFE_OPTIONS = {
    "trusted": ("yes", "true", "1"),
    "allow-insecure": ("yes", "true", "1"),
    "allow-weak": ("yes", "true", "1"),
    "allow-downgrade-to-insecure": ("yes", "true", "1"),
    "check-valid-until": ("no", "false", "0"),
    "check-date": ("no", "false", "0"),
}
_ALIASES: Final = ("stable", "oldstable")
"""Names of suites that many an archive has which is not Debian, and that no security suite belongs to there."""
_NOT_TRUSTED = "usr/share/keyrings/debian-archive-removed-keys."
_DOWNLOADED = re.compile(r"var/lib/apt/lists/[^/]+|var/cache/apt/(?:[^/]+\.bin|archives/[^/]+\.deb)")


def _sources(subject: Subject) -> Iterator[Hit]:
    hosts = DEBIAN_HOSTS | (subject.declared.hosts if subject.declared else frozenset())
    sources = apt_sources(subject.files)
    for source in sources:
        layer = subject.files.layer_of(source.path)
        where = f"/{source.path}:{source.line}"
        if source.problem:
            yield Hit(f"{where} {source.problem}", source.path, layer, source.line, "low")
            continue
        for option, values in _UNSAFE_OPTIONS.items():
            if source.options.get(option, "").lower() in values:
                yield Hit(f"{where} says {option}: {source.options[option]}", source.path, layer, source.line)
        for uri in source.uris:
            yield from _uri(uri, where, source, hosts, layer)
        if "signed-by" not in source.options:
            what = f"{where} has no Signed-By: every key that apt trusts may sign it"
            yield Hit(what, source.path, layer, source.line, "medium")
    yield from _security(subject, sources)
    yield from _settings(subject)


def _uri(uri: str, where: str, source: AptSource, hosts: frozenset[str], layer: int | None) -> Iterator[Hit]:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        secret = parts.password is not None
    except ValueError:
        yield Hit(f"{where} has the address {uri[:80]!r}, which is none", source.path, layer, source.line, "low")
        return
    if secret:
        yield Hit(f"{where} has a password in its address", source.path, layer, source.line, "critical")
    if parts.scheme in ("http", "https") and host not in hosts:
        what = f"{where} gets packages from {host[:80]!r}, which neither Debian nor the definition names"
        yield Hit(what, source.path, layer, source.line, "medium")


def _security(subject: Subject, sources: tuple[AptSource, ...]) -> Iterator[Hit]:
    used = [source for source in sources if "deb" in source.types]
    suites = {suite for source in used for suite in source.suites if suite not in _ALIASES or _is_debian(source)}
    secured = {suite.removesuffix("-security").removesuffix("/updates") for suite in suites if "secur" in suite}
    secured |= {suite.removesuffix("/updates") for suite in suites if suite.endswith("/updates")}
    # Another archive may be called debian, too, and have a suite `stable`; and Debian's has updates as trixie-security.
    aliases = () if secured else _ALIASES
    for codename in ("bullseye", "bookworm", "trixie", *aliases, "jammy", "noble"):
        if codename in suites and codename not in secured:
            yield Hit(f"no source has {codename}-security: security updates never arrive")


def _is_debian(source: AptSource) -> bool:
    """Whether a source is Debian, or a mirror: those have it in a directory of that name."""
    return any(uri.rstrip("/").endswith("/debian") for uri in source.uris)


def _settings(subject: Subject) -> Iterator[Hit]:
    for path in ("etc/apt/apt.conf", *subject.files.kept_below("etc/apt/apt.conf.d")):
        text = decode_path(subject.files.content(path) or b"")
        for number, line in enumerate(text.split("\n", 20_000), 1):
            code = line.partition("//")[0].partition("#")[0] if "://" not in line else line
            if match := _UNSAFE.search(code[:4096]):
                what = f"/{path}:{number} sets {match[1] or match[2]}"
                yield Hit(what, path, subject.files.layer_of(path), number)


def _keyrings(subject: Subject) -> Iterator[Hit]:
    known = DEBIAN_KEYS | (subject.declared.keys if subject.declared else frozenset())
    places = ("etc/apt/trusted.gpg.d", "etc/apt/keyrings", "usr/share/keyrings")
    paths = [path for place in places for path in subject.files.kept_below(place)]
    if subject.files.content("etc/apt/trusted.gpg"):
        paths.insert(0, "etc/apt/trusted.gpg")
    for path in paths:
        data = subject.files.content(path) or b""
        if path.startswith(_NOT_TRUSTED) or not data or not path.endswith((".gpg", ".pgp", ".asc")):
            continue
        layer = subject.files.layer_of(path)
        try:
            found = fingerprints(data)
        except MalformedError as error:
            yield Hit(f"/{path} is no keyring: {error.message}", path, layer, severity="low")
            continue
        for fingerprint in found:
            if fingerprint not in known:
                yield Hit(f"/{path} has the key {fingerprint}, which is not one of Debian's", path, layer)


def _leftovers(subject: Subject) -> Iterator[Hit]:
    for layer, entry in subject.traces["apt"]:
        name = entry.path.rpartition("/")[2]
        if _DOWNLOADED.fullmatch(entry.path) and (entry.size or name == "lock") and not name.startswith(".wh."):
            yield Hit(f"/{entry.path} is left from apt{subject.fate(layer, entry.path)}", entry.path, layer)


CHECKS: Final = (
    Check(
        39,
        "apt-source",
        "package sources that are not verified, unknown, or without security updates",
        "high",
        "CIS Docker 4.11, Lynis PKGS-7388",
        "The next apt-get install runs, as root, what somebody else chose.",
        "Sources with Signed-By and the security suite; no trusted, no AllowUnauthenticated; own archives in archives:",
        _sources,
    ),
    Check(
        40,
        "foreign-key",
        "keyrings with keys that are not the distribution's",
        "medium",
        "CIS Docker 4.11, own",
        "Whoever has the key can sign packages for the image.",
        "Remove the key; name the archive with its key in formation.yaml if it is wanted",
        _keyrings,
    ),
    Check(
        41,
        "apt-leftover",
        "package lists and downloads",
        "low",
        "DKL-DI-0005, hadolint DL3009, debuerreotype tar-exclude",
        "They age, and everyone pulls them.",
        "rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin in the step that installs, and apt-get clean",
        _leftovers,
    ),
)
