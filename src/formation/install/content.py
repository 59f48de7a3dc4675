"""The content of a segment before compression: headers and files, as they follow one another in a tar archive."""

import os
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Protocol

from formation.entry import Entry
from formation.install.package_files import file_name
from formation.oci.tar import header
from formation.tarstream import BLOCK, padding

_ZEROS = bytes(BLOCK)


class Taker(Protocol):
    """Who compresses or hashes it."""

    def add(self, data: bytes) -> None:
        """Takes bytes."""

    def add_file(self, descriptor: int, size: int) -> None:
        """Takes the next `size` bytes of an open file. Raises OSError when there are fewer."""


def add_content(
    taker: Taker, entries: Iterable[Entry], kept: Path, memory: MutableMapping[str, tuple[bytes, ...]] | None = None
) -> None:
    """Gives all of `entries` but the directories, whose files are in `memory` or in `kept` (`PackageFiles`).

    What is used of `memory` is taken out of it. Raises OSError.
    """
    directory = os.open(kept, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for entry in entries:
            if entry.type == "directory":
                continue
            taker.add(header(entry))
            if entry.type != "file" or not entry.size:
                continue
            chunks = memory.pop(entry.path, None) if memory else None
            if chunks is not None:
                for chunk in chunks:
                    taker.add(chunk)
            else:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(file_name(entry.path), flags, dir_fd=directory)
                try:
                    taker.add_file(descriptor, entry.size)
                finally:
                    os.close(descriptor)
            taker.add(_ZEROS[: padding(entry.size)])
    finally:
        os.close(directory)
