"""A layer's blob as a stream of tar bytes that is measured on the way and never raises for a wrong digest.

A check that stops at the first wrong byte would hide everything behind it.
"""

import hashlib
import io
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from formation.contents.layer import Problem, ProblemKind
from formation.errors import FormationError
from formation.oci.decompression import decompressed
from formation.oci.image import Layer
from formation.oci.media_types import LAYERS
from formation.oci.verified import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SLACK: Final = 1 << 30
RATIO: Final = 100
LARGEST: Final = 64 << 30
"""A tar may have SLACK bytes and RATIO times those of the blob, and never more than LARGEST: the rest is a bomb. Logs
and sparse databases compress to a fiftieth; gzip can reach a thousandth, and zstd any fraction."""


class _Counted(io.RawIOBase):
    """The blob, hashed as it is read. Bytes behind the promised size are not given out."""

    def __init__(self, stream: BinaryIO, promised: int) -> None:
        self._stream = stream
        self._promised = promised
        self._hash = hashlib.sha256()
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._stream.read(min(view.nbytes, self._promised - self.size))
        view[: len(data)] = data
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def finish(self) -> bool:
        """Reads the rest. Gives whether there was more than promised."""
        while self.read(CHUNK):
            pass
        return self.size == self._promised and bool(self._stream.read(1))

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class LayerStream:
    """One reading of a layer. `chunks` gives the tar; `problems` then tells what was wrong with the blob."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._tar_hash = hashlib.sha256()
        self._problems: list[Problem] = []
        self.size = 0
        """Bytes of the tar so far."""
        self.stored_size = 0
        """Bytes of the blob, once `chunks` has ended."""
        self.complete = False
        """Whether `chunks` ended with the end of the tar."""

    def chunks(self) -> Iterator[bytes]:
        """The tar, in pieces of up to CHUNK bytes. Ends early, with a problem, where nothing more can be had."""
        descriptor = self._layer.descriptor
        compression = LAYERS.get(descriptor.media_type)
        if compression is None:
            self._add("unread", f"its media type is {descriptor.media_type!r}")
            return
        try:
            blob = _Counted(self._layer.source.open_blob(descriptor.digest), descriptor.size)
        except FormationError as error:
            self._add("unread", error.message)
            return
        try:
            # The name keeps it: a decompressor that is gone has closed the blob, whose rest is still to be measured.
            tar = decompressed(cast(BinaryIO, blob), compression, "it")
            self.complete = yield from self._tar(tar)
            self._check(blob)
        except FormationError as error:
            self._add("unread", error.message)
        finally:
            blob.close()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the blob, once `chunks` has ended."""
        return tuple(self._problems)

    def _tar(self, stream: BinaryIO) -> Generator[bytes, None, bool]:
        """Gives out the tar; returns whether it came to its end."""
        limit = min(LARGEST, SLACK + RATIO * self._layer.descriptor.size)
        while True:
            try:
                chunk = stream.read(CHUNK)
            except FormationError as error:
                self._add("compression", error.message)
                return False
            if not chunk:
                return True
            self.size += len(chunk)
            if self.size > limit:
                self._add("limit", f"it grows beyond {limit} bytes, which its size does not explain")
                return False
            self._tar_hash.update(chunk)
            yield chunk

    def _check(self, blob: _Counted) -> None:
        descriptor = self._layer.descriptor
        longer = blob.finish()
        self.stored_size = blob.size
        if longer or blob.size != descriptor.size:
            has = f"more than {descriptor.size}" if longer else str(blob.size)
            self._add("size", f"it has {has} bytes, and its descriptor promises {descriptor.size}")
        if blob.digest != descriptor.digest:
            self._add("digest", f"its bytes have the digest {blob.digest}")
        found = "sha256:" + self._tar_hash.hexdigest()
        if self.complete and found != self._layer.diff_id:
            self._add("diff-id", f"the config promises the diffID {self._layer.diff_id}, and it has {found}")

    def _add(self, kind: ProblemKind, text: str) -> None:
        self._problems.append(Problem(kind, "", text))
