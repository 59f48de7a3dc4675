"""Layers: directories, the segments of packages, and the end of the archive, put together without compressing again."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from isal.isal_zlib import crc32

from formation.dataclass import dataclass
from formation.entry import Entry, encode_path
from formation.errors import IntegrityError
from formation.files import write_bytes
from formation.install.additions import parents
from formation.install.content import add_content
from formation.install.segment_record import Segment, read_entries
from formation.oci.compression import FORMAT
from formation.oci.media_types import Compression
from formation.oci.pieces import Hash, Pieces, PiecesBehind
from formation.oci.tar import END_OF_ARCHIVE, header
from formation.tarstream import BLOCK, padding

_CHUNK = 1 << 20
_READ = 1 << 17
"""Bytes that stay in the processor's cache between reading and hashing."""
_ZEROS = bytes(BLOCK)

Owner = tuple[int, int, int]
"""Mode, uid and gid of a directory."""


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A layer as a blob: what a manifest says of it."""

    digest: str
    size: int
    diff_id: str


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of a layer that is no package's, and where its content is."""

    entry: Entry
    content: bytes | Path | Callable[[], Iterable[bytes]] | None = None
    """Of a file: itself, where it is, or what gives it piece by piece."""


def package_layer(segments: Sequence[Segment], store: "LayerStore", owners: Mapping[str, Owner]) -> LayerFile:
    """The layer of some packages: their directories, then their segments in the order given.

    `owners` has the directories that are not root's with mode 0755. A directory's time is the latest that a package of
    the layer gives it, so that packages of other layers cannot change this one.
    """
    contents = [read_entries(store.segments, segment) for segment in segments]
    directories = _directories(contents, owners)
    key = store.key([segment.key for segment in segments], directories)
    known = store.load(key)
    if known is not None:
        return known
    with store.new() as layer:
        layer.add_entries(Source(entry) for entry in directories)
        for segment, entries in zip(segments, contents, strict=True):
            layer.add_segment(segment, entries, store.trees / segment.key)
        return layer.finish(key)


def tree_layer(sources: Sequence[Source], store: "LayerStore") -> LayerFile:
    """The layer of entries that are no package's, in the order given."""
    with store.new() as layer:
        layer.add_entries(sources)
        return layer.finish(None)


def _directories(contents: Iterable[Iterable[Entry]], owners: Mapping[str, Owner]) -> list[Entry]:
    times: dict[str, int] = {}
    implied: dict[str, int] = {}
    for entries in contents:
        for entry in entries:
            if entry.type == "directory":
                times[entry.path] = max(times.get(entry.path, 0), entry.mtime)
            # Of a directory too: behind a symlink, as /var/lock → /run/lock is, the package does not ship those above.
            for parent in parents(entry.path):
                implied[parent] = max(implied.get(parent, 0), entry.mtime)
    times = {path: time for path, time in (implied | times).items() if path}
    found = []
    for path in sorted(times, key=encode_path):
        mode, uid, gid = owners.get(path, (0o755, 0, 0))
        found.append(Entry(path, "directory", mode, uid, gid, times[path]))
    return found


@dataclass(frozen=True, slots=True)
class LayerStore:
    """Where layers are put together and kept."""

    segments: Path
    trees: Path
    """KEY/: the files of a package."""
    layers: Path
    """KEY.json: which blob the layer of these segments is."""
    blobs: Path
    work: Path
    compression: Compression

    def key(self, segments: Sequence[str], directories: Sequence[Entry]) -> str:
        """The name of a package layer in the cache."""
        digest = hashlib.sha256(f"layer 2 {FORMAT[self.compression]}\n".encode())
        for entry in directories:
            digest.update(header(entry))
        for segment in segments:
            digest.update(segment.encode() + b"\n")
        return digest.hexdigest()

    def load(self, key: str) -> LayerFile | None:
        """The layer with this key when it is complete in the store."""
        try:
            known = LayerFile(**json.loads((self.layers / f"{key}.json").read_bytes()))
            size = (self.blobs / known.digest.removeprefix("sha256:")).stat().st_size
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return known if size == known.size else None

    def new(self) -> "_NewLayer":
        """A layer to be written; a context manager."""
        return _NewLayer(self)


class _NewLayer:
    """A layer on its way into the blobs; nothing of it stays when the block ends early."""

    def __init__(self, store: LayerStore) -> None:
        self._store = store
        self._path = store.work / f"layer-{os.getpid()}"
        self._file: IO[bytes] = self._path.open("w+b")
        self._compressed = hashlib.sha256()
        self._uncompressed = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> "_NewLayer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add_entries(self, sources: Iterable[Source]) -> None:
        """Compresses entries into the layer."""
        with PiecesBehind(self, self._store.compression, self._uncompressed) as pieces:
            for source in sources:
                pieces.add(header(source.entry))
                if source.entry.type == "file" and source.entry.size:
                    _add_content(pieces, source)
                    pieces.add(_ZEROS[: padding(source.entry.size)])
            pieces.flush()

    def add_segment(self, segment: Segment, entries: Sequence[Entry], kept: Path) -> None:
        """Copies a segment, which is compressed already, and hashes its content: `entries`, whose files are `kept`.

        Reading the files costs half of what decompressing them does. Raises IntegrityError, also when the files are not
        what was compressed: the layer would not have its own diffID.
        """
        path = self._store.segments / f"{segment.key}.seg"
        seen = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                seen = crc32(chunk, seen)
                self.write(chunk)
        if segment.checksum != seen:
            raise IntegrityError(f"the stored segment {path} is damaged", hint=f"remove {path} and run again")
        content = _Hashed(self._uncompressed)
        try:
            add_content(content, entries, kept)
        except OSError as error:
            raise _damaged(kept, error.strerror or str(error)) from None
        if content.size != segment.uncompressed_size:
            raise _damaged(kept, "they have another size")
        if content.checksum != segment.content_checksum:
            raise _damaged(kept, "they have other content than the segment")

    def write(self, data: bytes) -> int:
        """Takes compressed bytes."""
        self._compressed.update(data)
        self._size += len(data)
        return self._file.write(data)

    def finish(self, key: str | None) -> LayerFile:
        """Ends the archive, makes it a blob, and remembers it under `key`."""
        pieces = Pieces(self, self._store.compression, self._uncompressed)
        pieces.add(END_OF_ARCHIVE)
        pieces.flush()
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o644)
        os.fsync(self._file.fileno())
        built = LayerFile(
            "sha256:" + self._compressed.hexdigest(), self._size, "sha256:" + self._uncompressed.hexdigest()
        )
        blob = self._store.blobs / self._compressed.hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(blob)
        if key is not None:
            value = {"digest": built.digest, "size": built.size, "diff_id": built.diff_id}
            # A damaged one says nothing: `load` finds none then.
            write_bytes(self._store.layers / f"{key}.json", json.dumps(value).encode(), synced=False)
        return built


class _Hashed:
    """Hashes what it is given, and sums it up: a CRC-32 costs a thirtieth of the hash."""

    __slots__ = ("_buffer", "_hash", "checksum", "size")

    def __init__(self, digest: Hash) -> None:
        self._hash = digest
        self._buffer = memoryview(bytearray(_READ))
        self.size = 0
        """Bytes so far."""
        self.checksum = 0
        """Their CRC-32."""

    def add(self, data: bytes) -> None:
        """Takes bytes."""
        self._hash.update(data)
        self.checksum = crc32(data, self.checksum)
        self.size += len(data)

    def add_file(self, descriptor: int, size: int) -> None:
        """Takes the next `size` bytes of an open file. Raises OSError when there are fewer."""
        while size:
            count = os.readv(descriptor, [self._buffer[:size]])
            if not count:
                raise OSError("a file has become shorter")
            data = self._buffer[:count]
            self._hash.update(data)
            self.checksum = crc32(data, self.checksum)
            self.size += count
            size -= count


def _damaged(kept: Path, reason: str) -> IntegrityError:
    # Not `remove {kept}`: what stages merged has the same files under further names.
    return IntegrityError(f"the stored files {kept} are damaged: {reason}", hint="formation cache prune --all")


def _add_content(pieces: Pieces, source: Source) -> None:
    if isinstance(source.content, Path):
        descriptor = os.open(source.content, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            pieces.add_file(descriptor, source.entry.size)
        finally:
            os.close(descriptor)
    elif callable(source.content):
        for piece in source.content():
            pieces.add(piece)
    else:
        pieces.add(source.content or b"")
