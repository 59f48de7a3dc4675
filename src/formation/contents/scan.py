"""The one pass over a layer: its entries, the hashes of its files, and what their contents tell."""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from formation.contents.blob import LayerStream
from formation.contents.detectors import DETECTORS, OVERLAP, Detector, find
from formation.contents.elf import MAGIC, Elf, Held, parse_elf
from formation.contents.kept import MOST_KEPT, is_kept
from formation.contents.layer import LayerContents, LayerEntry, Match, Problem, ProblemKind
from formation.contents.structure import Structure
from formation.entry import Entry
from formation.errors import MalformedError
from formation.oci.image import Layer
from formation.tarstream import read_tar

HEAVIEST: Final = 192 << 20
"""Bytes of memory that the facts of one layer may take: those of some 240,000 files. Images of people have fewer."""

_ENTRY, _ELF, _NOTE = 800, 1000, 400
"""What an entry, the facts of an ELF file and a problem or match take beside their texts, once they are looked up."""
_MOST_PROBLEMS = 200
_MOST_MATCHES = 10_000
_WHOLE = 4 << 20
"""Files of so many bytes are looked at in one piece."""
_ELF_START = 24 << 20
_ELF_END = 8 << 20
"""What is looked at of a larger ELF file: its strings are at the start, its dynamic section may be at the end."""


def scan_layer(layer: Layer, detectors: Sequence[Detector] = DETECTORS) -> LayerContents:
    """What `layer` holds. Reads its blob once, in bounded memory, and raises nothing that the blob could cause.

    A wrong digest, size or diffID, a damaged tar and everything odd is in `problems`; after damage in the tar the
    blob is still read to its end and measured.
    """
    stream = LayerStream(layer)
    scan = _Scan(detectors, stream)
    chunks = stream.chunks()
    malformed = ""
    try:
        for entry, content in read_tar(chunks, "it", scan.judge):
            scan.take(entry, content)
            if scan.weight > HEAVIEST:
                scan.add(
                    "limit", "", f"it has too much to tell of; what follows {entry.path[:100]!r} was not looked at"
                )
                break
    except MalformedError as error:
        malformed = error.message
    for _ in chunks:
        pass
    # A tar that is cut off because its blob could not be read on has nothing to be blamed for.
    if malformed and stream.complete:
        scan.add("tar", "", malformed.removeprefix("it: "))
    return LayerContents(
        digest=layer.descriptor.digest,
        diff_id=layer.diff_id,
        stored_size=stream.stored_size,
        size=stream.size,
        entries=tuple(scan.entries),
        elf=scan.elf,
        kept=scan.kept,
        matches=tuple(scan.matches),
        problems=(*stream.problems, *scan.problems),
        weight=scan.weight,
    )


class _Scan:
    """What was found so far."""

    def __init__(self, detectors: Sequence[Detector], stream: LayerStream) -> None:
        self._detectors = detectors
        self._stream = stream
        self._structure = Structure()
        self._room = MOST_KEPT
        self.entries: list[LayerEntry] = []
        self.elf: dict[str, Elf] = {}
        self.kept: dict[str, bytes] = {}
        self.matches: list[Match] = []
        self.problems: list[Problem] = []
        self.weight = 0

    def judge(self, message: str) -> None:
        """Keeps what the tar reader thinks odd, unless it is the blob that is to blame: a tar may end with it."""
        if not self._stream.problems:
            self.add("odd-tar", "", message.removeprefix("it: "))

    def add(self, kind: ProblemKind, path: str, text: str) -> None:
        """Keeps a problem; after very many only the first of those is worth telling."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(kind, path, text))
            self.weight += _NOTE + len(path) + len(text)

    def take(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Keeps the facts of the next entry."""
        for kind, text in self._structure.judge(entry):
            self.add(kind, entry.path, text)
        md5 = sha256 = ""
        texts = len(entry.path) + len(entry.target) + sum(len(name) + len(value) for name, value in entry.xattrs)
        # Three times: the tuple, its way into a record, and its way out of it.
        self.weight += _ENTRY + 3 * texts
        if entry.type == "file":
            # The path may have been there before: what is known of it is about the last.
            self.elf.pop(entry.path, None)
            self.kept.pop(entry.path, None)
            md5, sha256 = self._small(entry, content) if entry.size <= _WHOLE else self._large(entry, content)
        self.entries.append(
            LayerEntry(
                entry.path,
                entry.type,
                entry.mode,
                entry.uid,
                entry.gid,
                entry.mtime,
                entry.size,
                entry.target,
                entry.xattrs,
                entry.device,
                md5,
                sha256,
            )
        )

    def _small(self, entry: Entry, content: Iterable[bytes]) -> tuple[str, str]:
        data = b"".join(content)
        program = data.startswith(MAGIC)
        if program:
            self._program(entry.path, Held(data))
        if is_kept(entry.path, entry.size) and entry.size <= self._room:
            self.kept[entry.path] = data
            self._room -= entry.size
            self.weight += entry.size
        for name, offset in find(data, entry.size, self._detectors) if not program else ():
            self._match(entry.path, name, 0 if b"\0" in data else data.count(b"\n", 0, offset) + 1)
        return hashlib.md5(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()

    def _large(self, entry: Entry, content: Iterable[bytes]) -> tuple[str, str]:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        held = _Ends(entry.size)
        overlap = b""
        for piece in content:
            md5.update(piece)
            sha256.update(piece)
            held.add(piece)
            for name, _ in find(overlap + piece, entry.size, self._detectors) if not held.is_elf else ():
                self._match(entry.path, name, 0)
            overlap = piece[-OVERLAP:]
        if held.is_elf:
            self._program(entry.path, held.held())
        return md5.hexdigest(), sha256.hexdigest()

    def _program(self, path: str, held: Held) -> None:
        elf = parse_elf(held)
        self.elf[path] = elf
        required = (name for soname, versions in elf.requires for name in (soname, *versions))
        self.weight += _ELF + sum(map(len, (*elf.needed, *elf.provides, *elf.run_path, *required)))

    def _match(self, path: str, detector: str, line: int) -> None:
        match = Match(path, detector, line)
        if len(self.matches) < _MOST_MATCHES and (line or match not in self.matches[-10:]):
            self.matches.append(match)
            self.weight += _NOTE + len(path)


class _Ends:
    """The start and the end of a large ELF file, as it streams past."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._start: list[bytes] = []
        self._end: deque[bytes] = deque()
        self._start_size = self._end_size = 0
        self.is_elf = True

    def add(self, piece: bytes) -> None:
        if not self._start:
            self.is_elf = piece.startswith(MAGIC)
        if not self.is_elf:
            self._start = [b""]
        elif self._start_size < _ELF_START:
            self._start.append(piece)
            self._start_size += len(piece)
        else:
            self._end.append(piece)
            self._end_size += len(piece)
            while self._end_size - len(self._end[0]) >= _ELF_END:
                self._end_size -= len(self._end.popleft())

    def held(self) -> Held:
        return Held(b"".join(self._start), b"".join(self._end), self._size - self._end_size)
