"""The md5sums of packages in dpkg's database: what a package brings, or what dpkg writes for one that brings none.

Sources: deb-md5sums(5); dpkg's src/main/unpack.c and lib/dpkg/fsys-hash.c.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from io import BytesIO

from formation.entry import Entry, encode_path


class Checksums:
    """Those of the files that a package unpacks, in its order."""

    def __init__(self) -> None:
        self._sums: dict[str, str] = {}

    def passing(self, entry: Entry, content: Iterable[bytes]) -> Iterable[bytes]:
        """`content` of `entry`; a file's checksum is known when all of it was taken."""
        if entry.type == "hardlink" and entry.target in self._sums:
            self._sums[entry.path] = self._sums[entry.target]
        return self._of_file(entry.path, content) if entry.type == "file" else content

    def _of_file(self, path: str, content: Iterable[bytes]) -> Iterator[bytes]:
        digest = hashlib.md5(usedforsecurity=False)
        for piece in content:
            digest.update(piece)
            yield piece
        self._sums[path] = digest.hexdigest()

    def drop(self, path: str) -> None:
        """Leaves the file at `path` out, whatever other names it has."""
        self._sums.pop(path, None)

    def text(self) -> bytes:
        """The file: `DIGEST  PATH`, a line each."""
        return b"".join(b"%b  %b\n" % (md5.encode(), encode_path(path)) for path, md5 in self._sums.items())


def kept_sums(sums: bytes, left_out: Collection[str]) -> bytes:
    """The lines of `sums`, an md5sums file, but for the paths that are `left_out` of the package."""
    paths = {encode_path(path) for path in left_out}
    return b"".join(line for line in BytesIO(sums) if line[34:].rstrip(b"\n") not in paths)
