"""Opening files in directories that somebody else wrote."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from formation.errors import FormationError, MalformedError


def open_regular(path: Path, what: str, *, follow: bool = False) -> BinaryIO:
    """The regular file at `path`, open for reading; a symbolic link only where `follow` is set.

    A fifo would block for ever and a device could have side effects, so neither is opened in a way that could.
    Raises FormationError when nothing is there, MalformedError when it is something else than a file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise FormationError(f"{what} is missing: {path}") from None
    except OSError as error:
        raise MalformedError(f"{what} cannot be read: {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MalformedError(f"{what} is not a regular file: {path}")
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, what: str, limit: int) -> bytes:
    """The content of the regular file at `path`. Raises as `open_regular`, and MalformedError over `limit` bytes."""
    with open_regular(path, what) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise MalformedError(f"{what} is larger than {limit} bytes: {path}")
    return data
