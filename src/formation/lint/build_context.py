"""The files that a Dockerfile copies: those of its directory, which people build in."""

import tarfile
from pathlib import Path

from formation.errors import FormationError
from formation.oci.decompression import is_compressed
from formation.oci.regular_file import open_regular


def is_plain(directory: Path, source: str) -> bool:
    """Whether `source`, as ADD names it, is there, and ADD would copy it as it is.

    ADD unpacks a tar, compressed or not, whatever it is called; what is compressed is taken for one without looking.
    """
    path = directory / source.lstrip("/")
    try:
        if path.is_dir():
            return True
        with open_regular(path, "the source", follow=True) as file:
            start = file.read(tarfile.BLOCKSIZE)
    except (FormationError, OSError, ValueError):
        return False
    return not is_compressed(start) and not _is_header(start)


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, ArithmeticError):
        return False
    return True
