"""Where the bytes of a transfer go: a file under a temporary name, or memory."""

import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from formation.errors import FormationError
from formation.files import temporary_beside


class Sink(ABC):
    """Receives a body. `position` bytes of it are there."""

    position: int = 0
    promised: int | None
    """Size in bytes that the whole must have; None when it is not known beforehand."""
    most: int
    """More bytes than this are refused."""

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Appends `data`, and keeps no reference to it."""

    @abstractmethod
    def restart(self) -> None:
        """Forgets everything that was written."""


class Memory(Sink):
    """A body in memory, of a size that is not known beforehand."""

    def __init__(self, most: int) -> None:
        self.promised = None
        self.most = most
        self._data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self._data += data
        self.position += len(data)

    def restart(self) -> None:
        self._data.clear()
        self.position = 0

    def bytes(self) -> bytes:
        """Everything that was written."""
        return bytes(self._data)


class PartialFile(Sink):
    """A file that grows under another name and takes its own in `keep`; leaving the block without `keep` removes it.

    It is summed up as it comes, and whoever fills it compares its digest before `keep`.
    """

    def __init__(self, path: Path, size: int, advance: Callable[[int], object], *, work: Path | None = None) -> None:
        """`advance` hears of every byte; a restart takes the bytes back with a negative number.

        It grows in the directory `work`, on the file system of `path`; None: beside `path`.
        """
        self.promised = size
        self.most = size
        self._path = path
        self._growing = path if work is None else work / path.name
        self._advance = advance
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary, descriptor = temporary_beside(self._growing)
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._temporary: Path | None = temporary
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Appends `data`. Raises FormationError on a full disk."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._digest.update(data)
        self.position += len(data)
        self._advance(len(data))

    def restart(self) -> None:
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._digest = hashlib.sha256()
        self._advance(-self.position)
        self.position = 0

    @property
    def sha256(self) -> str:
        """Digest of what was written so far, `sha256:…`."""
        return "sha256:" + self._digest.hexdigest()

    def keep(self, *, synced: bool) -> None:
        """Gives the file its name, in one step. Raises FormationError.

        `synced`: after a power cut, the name must not stand for a file of zeros. That is for who would not see it.
        """
        assert self._temporary is not None
        try:
            os.fchmod(self._file.fileno(), 0o644)
            if synced:
                os.fsync(self._file.fileno())
            self._temporary.replace(self._path)
        except OSError as error:
            raise _cannot_write(self._path, error) from error
        self._temporary = None


def _cannot_write(path: Path, error: OSError) -> FormationError:
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, then run the same command again"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        hint = "choose a place that can be written to; --store DIR for the store"
    return FormationError(f"cannot write {path}: {error.strerror}", hint=hint)
