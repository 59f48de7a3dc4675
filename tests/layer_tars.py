"""Layers and images made of entries, for tests of what looks into them: directories, links, whiteouts, odd things."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from formation.contents.image import ImageContents, scan_image
from formation.digest import sha256
from formation.entry import Entry
from formation.oci.config import Config, Execution, History, config_bytes
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, Layer, image_of
from formation.oci.manifest import Manifest, manifest_bytes
from formation.oci.media_types import OCI_CONFIG, OCI_LAYER, Compression, layer_media_type
from formation.oci.tar import END_OF_ARCHIVE, header
from formation.tarstream import padding
from tiny_images import Blobs, compress

Member = Entry | tuple[Entry, bytes]
"""An entry, with its content where it is a file."""


def extract_all(archive: tarfile.TarFile, target: Path) -> None:
    """Unpacks all of an archive of ours, also with the Python of Debian 12, which knows no filters."""
    archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
    archive.extractall(target, numeric_owner=True)


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Entry:
    """A directory."""
    return Entry(path, "directory", mode, uid, gid)


def file(path: str, content: bytes = b"", mode: int = 0o644, uid: int = 0, gid: int = 0) -> tuple[Entry, bytes]:
    """A file."""
    return Entry(path, "file", mode, uid, gid, size=len(content)), content


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, "symlink", 0o777, target=target)


def hardlink(path: str, target: str) -> Entry:
    """A second name of the file `target`."""
    return Entry(path, "hardlink", 0o644, target=target)


def tar_of(*members: Member) -> bytes:
    """A tar of `members`, in their order."""
    buffer = io.BytesIO()
    for member in members:
        entry, content = member if isinstance(member, tuple) else (member, b"")
        buffer.write(header(entry) + content + bytes(padding(len(content))))
    return buffer.getvalue() + END_OF_ARCHIVE


def layer_of(tar: bytes, compression: Compression = "none") -> Layer:
    """A layer of `tar`; its source's `content` can be damaged."""
    stored = compress(tar, compression)
    blobs = Blobs({})
    descriptor = Descriptor(layer_media_type(compression), blobs.add(stored), len(stored))
    return Layer(descriptor, sha256(tar), blobs)


def image_of_layers(
    *layers: Sequence[Member],
    execution: Execution | None = None,
    annotations: dict[str, str] | None = None,
    architecture: str = "amd64",
) -> Image:
    """An image of these layers, in memory, uncompressed."""
    blobs = Blobs({})
    tars = [tar_of(*members) for members in layers]
    config = config_bytes(
        Config(
            Platform("linux", architecture),
            tuple(sha256(tar) for tar in tars),
            execution or Execution(command=("sh",)),
            tuple(History(created_by="test") for _ in tars),
            created="2026-01-02T03:04:05Z",
        )
    )
    manifest = manifest_bytes(
        Manifest(
            Descriptor(OCI_CONFIG, blobs.add(config), len(config)),
            tuple(Descriptor(OCI_LAYER, blobs.add(tar), len(tar)) for tar in tars),
            annotations=annotations or {},
        )
    )
    blobs.add(manifest)
    return image_of(blobs, manifest)


def contents_of(*layers: Sequence[Member]) -> ImageContents:
    """What is in an image of these layers."""
    return scan_image(image_of_layers(*layers), None, workers=1)
