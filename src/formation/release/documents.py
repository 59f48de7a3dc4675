"""The changelogs that packages bring, from an image's /usr/share/doc or from the packages themselves.

Sources: Debian Policy 12.7 (changelog files), 12.3 (a documentation directory may be a link to another package's).
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from formation.contents.filesystem import Filesystem
from formation.debian.deb import open_deb
from formation.errors import FormationError, MalformedError
from formation.oci.image import Image
from formation.tarstream import read_tar

LARGEST: Final = 32 << 20
"""Bytes of one changelog, uncompressed. That of glibc, one of the longest, has 400 KiB."""

_STORED: Final = 8 << 20
_DOCUMENT = re.compile(
    r"usr/share/doc/(?P<package>[a-z0-9][a-z0-9.+-]*)/"
    r"(?P<name>changelog\.Debian\.[a-z0-9]+\.gz|changelog(?:\.Debian)?(?:\.gz)?|NEWS\.Debian(?:\.gz)?)"
)
_DIRECTORY = re.compile(r"usr/share/doc/([a-z0-9][a-z0-9.+-]*)")


class Documents(NamedTuple):
    """What one package brings."""

    texts: Mapping[str, str]
    """Name of the file in the documentation directory → its content."""
    elsewhere: tuple[str, ...]
    """Names of packages whose documentation it uses instead."""


def documents_of_deb(path: Path, package: str) -> Documents:
    """The documents of the package file at `path`. Raises MalformedError when it is not well-formed."""
    found: dict[str, bytes] = {}
    links: dict[str, str] = {}
    try:
        with open_deb(path) as deb:
            for entry, content in deb.entries():
                if entry.type in ("symlink", "hardlink"):
                    links[entry.path] = entry.target
                elif entry.type == "file" and entry.size <= _STORED and _DOCUMENT.fullmatch(entry.path):
                    found[entry.path] = b"".join(content)
    except OSError as error:
        raise FormationError(f"cannot read {path}: {error.strerror}") from None
    elsewhere = {
        match[1]
        for path_, target in links.items()
        if (match := _DIRECTORY.match(_joined(path_, target))) and match[1] != package
    }
    mine = {name: data for name, data in found.items() if name.startswith(f"usr/share/doc/{package}/")} or found
    return Documents({path_.rpartition("/")[2]: _text(path_, data) for path_, data in mine.items()}, tuple(elsewhere))


def documents_of_image(image: Image, files: Filesystem, packages: Iterable[str]) -> dict[str, dict[str, str]]:
    """Package → file name → content, for those of `packages` whose documents the image has.

    Each layer that has some is read once. Raises IntegrityError and MalformedError when one is broken.
    """
    wanted: dict[int, dict[str, list[tuple[str, str]]]] = {}
    for package in packages:
        directory = files.resolve(f"usr/share/doc/{package}")
        for path in () if directory is None else files.children(directory):
            name = path.rpartition("/")[2]
            node = files.find(path)
            if node is None or node.entry.type != "file" or node.entry.size > _STORED:
                continue
            if _DOCUMENT.fullmatch(f"usr/share/doc/{package}/{name}"):
                wanted.setdefault(node.origin[0], {}).setdefault(node.origin[1], []).append((package, name))
    found: dict[str, dict[str, str]] = {}
    for number, paths in wanted.items():
        with image.layers[number].uncompressed() as stream:
            for entry, content in read_tar(iter(lambda: stream.read(1 << 20), b""), f"layer {number}", _ignore):
                if entry.type == "file" and entry.size <= _STORED and entry.path in paths:
                    text = _text(entry.path, b"".join(content))
                    for package, name in paths[entry.path]:
                        found.setdefault(package, {})[name] = text
    return found


def _ignore(message: str) -> None:
    """What is odd in a layer's tar is for `verify` to tell."""


def _text(path: str, data: bytes) -> str:
    if path.endswith(".gz"):
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            data = inflater.decompress(data, LARGEST)
        except zlib.error as error:
            raise MalformedError(f"{path} cannot be decompressed: {error}") from None
        if inflater.unconsumed_tail:
            raise MalformedError(f"{path} grows beyond {LARGEST} bytes")
    return data.decode("utf-8", "replace")


def _joined(path: str, target: str) -> str:
    """Where a link in a package leads to, as a path without a leading slash."""
    if target.startswith("/"):
        return target.strip("/")
    parts = path.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
