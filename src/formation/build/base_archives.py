"""The archives that a base was made from: what its lock says, else what its apt would ask."""

import re
from collections.abc import Iterator, Sequence

from formation.dataclass import dataclass, replace
from formation.debian.archive import Archive
from formation.debian.deb822 import Stanza, parse_stanzas
from formation.debian.keys import KEY_SETS, key_set
from formation.definition.distribution import DISTRIBUTIONS, archives_of, same_address, shipped_archive
from formation.errors import MalformedError
from formation.lock.model import Lock
from formation.lock.service_check import locked_archives
from formation.store.blobs import add_bytes
from formation.store.store import Store

APT = "etc/apt"
_OPTIONS = re.compile(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$")
_SOURCES = re.compile(r"/[A-Za-z0-9_:-][A-Za-z0-9_:.-]*\.(?:list|sources)\Z")
"""apt passes over what is kept beside: debian.sources.bak, own.list.save, ._own.list."""
_URI = re.compile(r"https?://[^\s\"]+")
_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~-]*(?:/[A-Za-z0-9][A-Za-z0-9.+_~-]*)*")
_MOST = 50


@dataclass(frozen=True, slots=True)
class AptFiles:
    """What of a base tells about its archives: path, relative to the root → content."""

    sources: dict[str, bytes]
    """etc/apt/sources.list, and what is below etc/apt/sources.list.d."""
    keyrings: dict[str, bytes]
    """Every keyring that a source may name, and those of etc/apt/trusted.gpg.d."""


def base_archives(lock: Lock | None, apt: AptFiles, store: Store, base: str) -> tuple[Archive, ...]:
    """The archives of a base, of which `lock` is the lock when there is one; empty when nothing says.

    Keys are the shipped ones where they fit, else those in the base, which become blobs of the store; an archive whose
    keys are nowhere has none. Raises MalformedError, which names `base`, for sources that cannot be read.
    """
    known = tuple(sorted(_combined(_read_sources(apt, store, base)), key=_order))
    if lock is None or not lock.suites:
        return known
    archives = []
    for archive in locked_archives(lock):
        signers = {suite.signed_by for suite in lock.suites if suite.archive == archive.name}
        source = next((each for each in known if same_address(each.uri, archive.uri)), None)
        keys = _shipped(signers) or (source.keys if source else ())
        archives.append(
            replace(
                archive,
                keys=keys,
                signed_by=source.signed_by if source else None,
                check_valid_until=source.check_valid_until if source else True,
            )
        )
    return tuple(archives)


def _order(archive: Archive) -> int:
    """Where `archive` comes: the shipped ones in the order of their distribution, and then all others.

    Where two have the same package a lock names the first, whether the base's own lock was at hand or not.
    """
    shipped = [each.uri for name in DISTRIBUTIONS for each in archives_of(name)]
    return next((number for number, uri in enumerate(shipped) if same_address(uri, archive.uri)), len(shipped))


def _shipped(fingerprints: set[str]) -> tuple[str, ...]:
    """The first shipped key set that has all these keys."""
    for name in KEY_SETS:
        if fingerprints <= set(key_set(name).fingerprints):
            return (name,)
    return ()


def _combined(archives: Sequence[Archive]) -> tuple[Archive, ...]:
    """Sources of one address and its keys as one archive, each with a name of its own."""
    found: dict[tuple[object, ...], Archive] = {}
    for archive in archives:
        key = (archive.uri, archive.components, archive.keys, archive.check_valid_until)
        before = found.get(key)
        suites = (*(before.suites if before else ()), *archive.suites)
        found[key] = replace(before or archive, suites=tuple(dict.fromkeys(suites)))
    named: dict[str, Archive] = {}
    for archive in found.values():
        name, count = archive.name, 2
        while name in named:
            name, count = f"{archive.name}-{count}", count + 1
        named[name] = replace(archive, name=name)
    return tuple(named.values())


def _read_sources(apt: AptFiles, store: Store, base: str) -> list[Archive]:
    archives: list[Archive] = []
    read = filter(_SOURCES.search, apt.sources)
    for path in sorted(read, key=lambda path: ("/sources.list.d/" in path, path)):
        try:
            for stanza in _stanzas(path, apt.sources[path]):
                archives += _archives(stanza, path, apt, store)
        except MalformedError as error:
            raise MalformedError(f"{base}: its file {path}: {error.message}") from None
        if len(archives) > _MOST:
            raise MalformedError(f"{base} has more than {_MOST} package sources")
    return archives


def _stanzas(path: str, data: bytes) -> Iterator[Stanza]:
    """The sources of a file, of either form that sources.list(5) has, as stanzas."""
    if path.endswith(".sources"):
        lines = [line for line in data.splitlines() if not line.startswith(b"#")]
        yield from parse_stanzas(b"\n".join(lines))
        return
    for line in data.decode("utf-8", "replace").splitlines():
        match = _OPTIONS.match(line.strip())
        if match:
            options, uri, suite, components = match.groups()
            given = dict(word.split("=", 1) for word in (options or "").split() if "=" in word)
            fields = {"Types": "deb", "URIs": uri, "Suites": suite, "Components": components.partition("#")[0].strip()}
            named = {"signed-by": "Signed-By", "check-valid-until": "Check-Valid-Until"}
            yield Stanza(fields | {named[key]: value for key, value in given.items() if key in named})


def _archives(stanza: Stanza, path: str, apt: AptFiles, store: Store) -> Iterator[Archive]:
    if "deb" not in stanza.get("Types", "").split() or stanza.get("Enabled", "yes").lower() in ("no", "false", "0"):
        return
    uris, suites, components = (stanza.get(field, "").split() for field in ("URIs", "Suites", "Components"))
    # A suite that is a directory has no components and another layout of files.
    suites = [suite for suite in suites if not suite.endswith("/")]
    if not uris or not suites or not components:
        return
    uri = uris[0].rstrip("/")
    if not _URI.fullmatch(uri) or not all(_SUITE.fullmatch(word) for word in (*suites, *components)):
        raise MalformedError(f"the source {uri[:200]!r} is not of a form that can be read here")
    if "@" in uri.split("/")[2]:
        raise MalformedError(f"the source of {suites[0]} has a login, and everyone can read a lock")
    valid = stanza.get("Check-Valid-Until", "yes").lower() not in ("no", "false", "0")
    for suite in suites:
        known = shipped_archive(uri, suite)
        signed_by = stanza.get("Signed-By", "").strip()
        yield Archive(
            name=known.name if known else _name(path),
            uri=uri,
            suites=(suite,),
            components=tuple(components),
            keys=known.keys if known else tuple(_keys(signed_by, apt, store)),
            signed_by=signed_by if signed_by.startswith("/") else None,
            snapshot=known.snapshot if known else None,
            check_valid_until=valid,
        )


def _keys(signed_by: str, apt: AptFiles, store: Store) -> Iterator[str]:
    """Paths of the keys that apt would check with; they come into the store. deb-src(5), "Signed-By"."""
    if "BEGIN PGP" in signed_by:
        # In a field, an empty line is a dot.
        lines = [line.strip() for line in signed_by.splitlines()]
        yield _kept("\n".join("" if line == "." else line for line in lines).encode(), store)
    elif signed_by.startswith("/"):
        for word in signed_by.replace(",", " ").split():
            if data := apt.keyrings.get(word.lstrip("/")):
                yield _kept(data, store)
    else:
        for path, data in sorted(apt.keyrings.items()):
            if path.startswith(f"{APT}/trusted.gpg"):
                yield _kept(data, store)


def _kept(data: bytes, store: Store) -> str:
    return str(store.blob(add_bytes(store, data)))


def _name(path: str) -> str:
    stem = path.rpartition("/")[2].rpartition(".")[0].lower()
    name = re.sub(r"[^a-z0-9_.-]+", "-", stem).strip("-._")[:60]
    return name or "archive"
