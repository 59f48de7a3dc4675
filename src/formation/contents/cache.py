"""Layers whose contents are known: one record for each in the store, named by all that decides what is in it.

A record is about the bytes that its digest names. Whether a *file* has those bytes is another question, and a file may
rot: so beside the record lies the identity of each file in which the digest was found right. A blob that is none of
those is hashed again, which costs a tenth of scanning it.
"""

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from formation.contents.detectors import Detector
from formation.contents.layer import LayerContents
from formation.contents.record import FORMAT, decode
from formation.digest import hexadecimal, sha256
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.oci.image import Layer
from formation.oci.regular_file import read_regular
from formation.oci.verified import CHUNK
from formation.store.store import Store

_LARGEST: Final = 256 << 20
_MOST_SEEN = 16
_HASH_AGAIN = frozenset({"digest", "size", "diff-id", "unread", "compression"})
"""Problems that may be of one copy of the blob, and not of the content that its digest names."""

Identity = tuple[int, ...]


def find(store: Store, layer: Layer, detectors: Sequence[Detector]) -> LayerContents | None:
    """The contents of `layer` when the store knows them and its blob has the bytes that it should have."""
    record = _record(store, layer, detectors)
    try:
        contents = decode(read_regular(record, "the record", _LARGEST))
    except FormationError:
        return None
    if not _is_right(record, layer):
        return None
    return contents


def keep(store: Store, layer: Layer, detectors: Sequence[Detector], encoded: bytes, contents: LayerContents) -> None:
    """Keeps `contents`, in its `encoded` form, unless it is about a blob that is not what it should be. Idempotent.

    A store that takes nothing, since it may only be read or is full, has it read again the next time.
    """
    if any(problem.kind in _HASH_AGAIN for problem in contents.problems) or len(encoded) > _LARGEST:
        return
    record = _record(store, layer, detectors)
    with suppress(OSError):
        write_bytes(record, encoded, mode=0o600)
        _mark(record, identity(layer))


def identity(layer: Layer) -> Identity | None:
    """What changes whenever the file changes that the blob of `layer` is in; None when it is in no file of its own."""
    try:
        with layer.source.open_blob(layer.descriptor.digest) as stream:
            state = os.fstat(stream.fileno())
    except (FormationError, OSError):
        return None
    if not stat.S_ISREG(state.st_mode) or state.st_size != layer.descriptor.size:
        return None
    return (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def _is_right(record: Path, layer: Layer) -> bool:
    """Whether the blob is the same file as before, or has the right digest."""
    file = identity(layer)
    if file is not None and list(file) in _seen(record):
        return True
    try:
        with layer.open() as stream:
            while stream.read(CHUNK):
                pass
    except FormationError:
        return False
    with suppress(OSError):
        _mark(record, file)
    return True


def _mark(record: Path, file: Identity | None) -> None:
    if file is None:
        return
    seen = [entry for entry in _seen(record) if entry != list(file)]
    write_bytes(record.with_suffix(".seen"), json_bytes([*seen, list(file)][-_MOST_SEEN:]), mode=0o600)


def _seen(record: Path) -> list[list[int]]:
    try:
        value = json.loads(read_regular(record.with_suffix(".seen"), "the record", CHUNK))
    except (FormationError, ValueError):
        return []
    return value if isinstance(value, list) else []


def _record(store: Store, layer: Layer, detectors: Sequence[Detector]) -> Path:
    decides = [FORMAT, layer.descriptor.digest, layer.descriptor.media_type, layer.diff_id, repr(tuple(detectors))]
    return store.contents / f"{hexadecimal(sha256(json_bytes(decides)))}.facts"
