"""Which packages of a suite have a file: its Contents index, for messages that say what to install.

Format: https://wiki.debian.org/DebianRepository/Format, "Contents" indices.
"""

import gzip
import re
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from formation.debian.archive import Archive
from formation.debian.openpgp import Keyring
from formation.debian.release import IndexFile, Release, check_release
from formation.debian.suite import index_download, signed_release
from formation.digest import hexadecimal, sha256_file
from formation.errors import MalformedError
from formation.network import Downloader

_LARGEST: Final = 128 << 20
"""Ten times Debian's, compressed."""
_LARGEST_CONTENT: Final = 4 << 30
_PIECE: Final = 4 << 20
_SEARCHED: Final = re.compile(rb"(?:usr/)?(?:lib(?:[0-9x]{2,3})?/(?:[a-z0-9_]+-linux-[a-z0-9]+/)?|s?bin/)[^/]+")
"""Paths where the dynamic linker and shells look."""


def packages_having(
    archive: Archive,
    suite: str,
    architecture: str,
    names: Collection[str],
    *,
    downloader: Downloader,
    keys: Keyring,
    now: int,
    cache_dir: Path,
) -> Mapping[str, tuple[str, ...]]:
    """The packages of `suite` that have each of `names` as a library or program, in the index's order.

    A name that no package has is not in the result, nor is any when the suite has no such index. `now` is in seconds
    since 1970. The index, 12 MB for Debian's main, stays in `cache_dir`, named by its digest.

    Raises as `signed_release` and `check_release`, and MalformedError for a damaged index.
    """
    signed = signed_release(archive, suite, downloader, keys, now)
    release = signed.release
    check_release(release, suite, signed.source, now=now, not_before=None, check_valid_until=archive.check_valid_until)
    found: dict[str, tuple[str, ...]] = {}
    for component in archive.components:
        file = release.files.get(f"{component}/Contents-{architecture}.gz")
        if file is None or file.size > _LARGEST:
            continue
        index = _index(f"{archive.uri}/dists/{suite}", release, file, suite, downloader, cache_dir)
        for name, packages in search_contents(index, names).items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), *packages)))
    return found


def search_contents(index: Path, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The packages that have each of `names` as a library or program, as `index`, a compressed Contents file, says.

    Reads it once, in bounded memory. Raises MalformedError when it is damaged.
    """
    wanted = b"|".join(re.escape(name.encode("utf-8", "surrogateescape")) for name in sorted(names))
    line = re.compile(rb"/(" + wanted + rb")[ \t]+(\S+)$", re.MULTILINE)
    found: dict[str, tuple[str, ...]] = {}
    rest, size = b"", 0
    try:
        with gzip.open(index) as opened:
            while piece := opened.read(_PIECE):
                size += len(piece)
                if size > _LARGEST_CONTENT:
                    raise MalformedError(f"{index} grows beyond {_LARGEST_CONTENT} bytes")
                whole, end, rest = (rest + piece).rpartition(b"\n")
                _search(line, whole + end, found)
                rest = rest[-_PIECE:]
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedError(f"{index} cannot be decompressed: {error}") from None
    _search(line, rest, found)
    return found


def _search(line: re.Pattern[bytes], text: bytes, found: dict[str, tuple[str, ...]]) -> None:
    for match in line.finditer(text):
        path = text[text.rfind(b"\n", 0, match.start()) + 1 : match.end(1)]
        if _SEARCHED.fullmatch(path):
            # A location is `section/package`; several are separated by commas.
            packages = [place.rpartition("/")[2] for place in match[2].decode("utf-8", "replace").split(",")]
            key = match[1].decode("utf-8", "surrogateescape")
            found[key] = tuple(dict.fromkeys((*found.get(key, ()), *packages)))


def _index(base: str, release: Release, file: IndexFile, suite: str, downloader: Downloader, cache_dir: Path) -> Path:
    """The index, in the cache."""
    place = cache_dir / f"{hexadecimal(file.sha256)}.contents.gz"
    if not place.is_file() or sha256_file(place) != file.sha256:
        job = index_download(base, release, file, place)
        for _ in downloader.fetch_all([job], stage=f"contents of {suite}"):
            pass
    return place
