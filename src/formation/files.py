"""Writing files so that a reader, or a killed run, sees either the old content or the new, never a part."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An OSError of a write that found no room gets the name `path`, which the system does not give there."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def atomic_file(path: Path, *, mode: int | None = 0o644, synced: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that becomes `path` when the block ends without an exception, and disappears otherwise.

    Its `mode` is as given, whatever the umask; None: as the umask says, for what a person asked for.

    The data is synced before the rename; `synced` False is for what is seen to be damaged, and then made again, by
    whoever reads it. Parent directories are created. An OSError names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary, descriptor = temporary_beside(path, 0o600 if mode is not None else 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with _naming(path), os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if synced:
                os.fsync(file.fileno())
        try:
            temporary.replace(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def output_file(path: Path) -> Iterator[IO[bytes]]:
    """As `atomic_file`, for a place that a person has named: what is there and no file itself stays.

    A device or a pipe is written to: root's rename would take /dev/null away. Of a link, what it leads to is replaced.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    special = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    with _naming(path), path.open("wb") if special else atomic_file(Path(os.path.realpath(path)), mode=None) as file:
        yield file


def temporary_beside(path: Path, mode: int = 0o600) -> tuple[Path, int]:
    """A new hidden file in the directory of `path`, and a descriptor that reads and writes it.

    Its `mode` is less what the umask takes.
    """
    # tempfile would do; importing it and its random numbers takes longer than writing most files.
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}")
    return temporary, os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def write_bytes(path: Path, data: bytes, *, mode: int | None = 0o644, synced: bool = True) -> None:
    """Replaces `path` by `data` in one step. See `atomic_file`."""
    with atomic_file(path, mode=mode, synced=synced) as file:
        file.write(data)


def rewrite(path: Path, data: bytes) -> None:
    """Replaces the content of `path`, where a link leads to, in one step. Its mode stays; a new file has 0644."""
    place = Path(os.path.realpath(path))
    write_bytes(place, data, mode=place.stat().st_mode & 0o7777 if place.exists() else 0o644)


def json_bytes(value: Any) -> bytes:
    """`value` as canonical JSON: sorted keys, no spaces, UTF-8. These are the bytes that digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_text(value: Any) -> str:
    """`value` as JSON for people and pipes: two spaces of indentation, keys in the order given, a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
