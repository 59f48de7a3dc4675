"""Packages indexes: what a suite of an archive offers for one architecture.

An index of Debian has 70,000 stanzas and a resolution looks at a few hundred of them. So an index keeps its stanzas as
bytes, parses one when it is asked for, and stays on disk in that form from one run to the next.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

from formation.dataclass import dataclass
from formation.debian.deb822 import parse_stanza
from formation.debian.package import BinaryPackage
from formation.debian.relation import parse_provides, provisions_of
from formation.debian.stanza import package_from_stanza
from formation.digest import hexadecimal
from formation.errors import MalformedError
from formation.files import json_bytes, write_bytes

PARSER_VERSION = 1
"""Part of a cached index's name. Raise it whenever this module would read the same bytes differently."""

_RELATION_FIELDS = (b"Pre-Depends", b"Depends", b"Conflicts", b"Breaks", b"Recommends", b"Suggests", b"Replaces",
                    b"Enhances", b"Provides")  # fmt: skip
"""In the order in which apt's list parser reads them, which is the order of its package ids."""
_KEPT_FIELDS = (b"Package", b"Version", b"Architecture", b"Source", b"Essential", b"Important", b"Protected",
                b"Priority", b"Multi-Arch", b"Filename", b"Size", b"SHA256", b"Installed-Size",
                *_RELATION_FIELDS)  # fmt: skip
_KEPT = frozenset(_KEPT_FIELDS)
_KEPT_LOWER = frozenset(name.lower() for name in _KEPT_FIELDS)
_FIELD = re.compile(rb"\n(([A-Za-z0-9-]+):[ \t]*([^\n]*(?:\n[ \t][^\n]*)*))")
_MENTION = re.compile(rb"[,|]\s*([^\s,|(\[<]+)")
_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9+._-]{0,254}")
_VERSION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.+~:_-]{0,999}")
_ARCHITECTURE = re.compile(rb"[a-z0-9][a-z0-9-]{0,63}")
_LONGEST_STANZA = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class PackageIndex(Sequence[BinaryPackage]):
    """The stanzas of one Packages file in order. Stanzas are parsed when they are first read, not before.

    Reading one raises MalformedError when it does not describe a package.
    """

    archive: str
    suite: str
    names: list[str]
    versions: list[str]
    architectures: list[str]
    essential: list[int]
    """Positions of the packages with Essential: yes."""
    provisions: list[tuple[int, str, str | None]]
    """Position of the package that provides, the name it provides, and as which version."""
    mentions: list[str]
    """Every name in a Package or relationship field, in order of first appearance: apt's tie-breaker."""
    stanzas: bytes
    offsets: "array[int]"
    """Where each stanza starts in `stanzas`, and the end of the last."""

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, position: int) -> BinaryPackage: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[BinaryPackage]: ...
    def __getitem__(self, position: int | slice) -> BinaryPackage | Sequence[BinaryPackage]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        position %= len(self)
        stanza = parse_stanza(self.stanzas[self.offsets[position] : self.offsets[position + 1]])
        return package_from_stanza(stanza, archive=self.archive, suite=self.suite)


def parse_packages(data: bytes, *, archive: str, suite: str) -> PackageIndex:
    """The packages of an uncompressed Packages file. `archive` and `suite` are recorded in each.

    Raises MalformedError when a stanza has no valid Package, Version or Architecture, or one of them twice.
    """
    names, versions, architectures, essential, provisions = [], [], [], [], []  # type: ignore[var-annotated]
    mentions: dict[bytes, None] = {}
    blocks: list[bytes] = []
    known: set[bytes] = set(_KEPT)
    for position, stanza in enumerate(_stanzas(data)):
        fields, block = _fields(stanza, known)
        name, version = fields[b"Package"], fields[b"Version"]
        names.append(name.decode())
        versions.append(version.decode())
        architectures.append(fields[b"Architecture"].decode())
        if fields.get(b"Essential") == b"yes":
            essential.append(position)
        if b"Provides" in fields or fields.get(b"Multi-Arch") == b"allowed":
            provided = parse_provides(fields.get(b"Provides", b"").decode(errors="replace"), architectures[-1])
            multi_arch = fields.get(b"Multi-Arch", b"no").decode(errors="replace")
            offers = provisions_of(names[-1], versions[-1], multi_arch, provided)
            provisions.extend((position, *offer) for offer in offers)
        related = [name, *(fields[field] for field in _RELATION_FIELDS if field in fields)]
        mentions.update(dict.fromkeys(_MENTION.findall(b"," + b",".join(related))))
        blocks.append(block)
    return PackageIndex(
        archive=archive,
        suite=suite,
        names=names,
        versions=versions,
        architectures=architectures,
        essential=essential,
        provisions=provisions,
        mentions=[name.decode(errors="replace") for name in mentions],
        stanzas=b"".join(blocks),
        offsets=array("Q", accumulate(map(len, blocks), initial=0)),
    )


def load_packages(
    digest: str, read: Callable[[], bytes], *, archive: str, suite: str, cache_dir: Path | None
) -> PackageIndex:
    """The packages of the Packages file with this digest, from `cache_dir` when it was parsed before.

    `digest` is a verified digest of the file, compressed or not; `read` gives the uncompressed bytes and is called only
    when the cache has nothing. None for `cache_dir` means no cache. A damaged cache entry is parsed and written again.
    """
    if cache_dir is None:
        return parse_packages(read(), archive=archive, suite=suite)
    path = cache_dir / f"{hexadecimal(digest)}.packages-{PARSER_VERSION}"
    cached = _read_cached(path, archive=archive, suite=suite)
    if cached is None:
        cached = parse_packages(read(), archive=archive, suite=suite)
        write_bytes(path, _cache_bytes(cached))
    return cached


def _stanzas(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n\n", start)
        if end < 0:
            end = len(data)
        stanza = data[start:end].strip(b"\n")
        start = end + 2
        if len(stanza) > _LONGEST_STANZA:
            raise MalformedError(f"a stanza of a Packages index is larger than {_LONGEST_STANZA} bytes")
        if stanza:
            yield stanza


def _fields(stanza: bytes, known: set[bytes]) -> tuple[dict[bytes, bytes], bytes]:
    """The fields, and a stanza of just those that matter. `known` are the names that need no second look.

    Raises MalformedError for a stanza that is no package's.
    """
    found = _FIELD.findall(b"\n" + stanza)
    fields = {name: value for _, name, value in found}
    if not fields.keys() <= known:
        if any(name not in _KEPT and name.lower() in _KEPT_LOWER for name in fields):
            return _fields(_canonical(stanza), known)
        known |= fields.keys()
    if len(found) != len(fields) and any(sum(name == kept for _, name, _ in found) > 1 for kept in _KEPT):
        raise MalformedError(f"a stanza of a Packages index has a field twice: {stanza[:100]!r}")
    for field, pattern in ((b"Package", _NAME), (b"Version", _VERSION), (b"Architecture", _ARCHITECTURE)):
        if field not in fields or not pattern.fullmatch(fields[field]):
            raise MalformedError(f"a stanza of a Packages index has no valid {field.decode()} field: {stanza[:100]!r}")
    return fields, b"\n".join([line for line, name, _ in found if name in _KEPT]) + b"\n"


def _canonical(stanza: bytes) -> bytes:
    """The stanza with the field names that matter in the case of Policy, which nearly every index uses."""
    parsed = parse_stanza(stanza)
    names = (name for name in _KEPT_FIELDS if name.decode() in parsed)
    return b"\n".join(b"%b: %b" % (name, parsed[name.decode()].encode()) for name in names)


def _cache_bytes(index: PackageIndex) -> bytes:
    """Two lines, the digest of the rest and the tables as JSON, and the stanzas."""
    tables = json_bytes(
        {
            "names": "\n".join(index.names),
            "versions": "\n".join(index.versions),
            "architectures": "\n".join(index.architectures),
            "essential": index.essential,
            "provisions": index.provisions,
            "mentions": "\n".join(index.mentions),
            "offsets": index.offsets.tolist(),
        }
    )
    body = tables + b"\n" + index.stanzas
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _read_cached(path: Path, *, archive: str, suite: str) -> PackageIndex | None:
    """The index that `_cache_bytes` wrote; None when there is none or it was damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    tables_end = data.find(b"\n", 65)
    if tables_end < 0 or hashlib.sha256(memoryview(data)[65:]).hexdigest().encode() != data[:64]:
        return None
    tables: dict[str, Any] = json.loads(data[65:tables_end])
    return PackageIndex(
        archive=archive,
        suite=suite,
        names=_lines(tables["names"]),
        versions=_lines(tables["versions"]),
        architectures=_lines(tables["architectures"]),
        essential=tables["essential"],
        provisions=[(position, name, version) for position, name, version in tables["provisions"]],
        mentions=_lines(tables["mentions"]),
        stanzas=data[tables_end + 1 :],
        offsets=array("Q", tables["offsets"]),
    )


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []
