"""Images of a few bytes, made of the standard library alone, for tests of whatever consumes an Image."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import zstandard

from formation.digest import sha256
from formation.errors import FormationError
from formation.oci.config import Config, Execution, History, config_bytes
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, image_of
from formation.oci.manifest import Manifest, manifest_bytes
from formation.oci.media_types import OCI_CONFIG, Compression, layer_media_type

_SHELL = Execution(command=("/bin/sh",))


@dataclass
class Blobs:
    """A BlobSource in memory; tests damage it through `content`."""

    content: dict[str, bytes]

    def open_blob(self, digest: str) -> BinaryIO:
        if digest not in self.content:
            raise FormationError(f"blob {digest} is missing")
        return io.BytesIO(self.content[digest])

    def add(self, data: bytes) -> str:
        self.content[sha256(data)] = data
        return sha256(data)


def tar_bytes(files: Mapping[str, bytes]) -> bytes:
    """A tar of regular files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def compress(data: bytes, compression: Compression) -> bytes:
    """`data` in two gzip members or zstd frames, since layers of segments consist of several."""
    half = len(data) // 2
    if compression == "gzip":
        return gzip.compress(data[:half], mtime=0) + gzip.compress(data[half:], mtime=0)
    if compression == "zstd":
        compressor = zstandard.ZstdCompressor()
        return compressor.compress(data[:half]) + compressor.compress(data[half:])
    return data


def noise(size: int) -> bytes:
    """`size` bytes that do not compress, always the same."""
    blocks = (hashlib.sha256(number.to_bytes(8)).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def tiny_image(
    layers: Sequence[Mapping[str, bytes]] = ({"etc/base": b"base\n"}, {"etc/top": b"top\n"}),
    *,
    compression: Compression = "gzip",
    execution: Execution = _SHELL,
    annotations: Mapping[str, str] | None = None,
    layer_annotations: Sequence[Mapping[str, str]] = (),
    architecture: str = "amd64",
) -> Image:
    """An image of these layers, in memory. `image.source.content` holds its blobs."""
    blobs = Blobs({})
    tars = [tar_bytes(files) for files in layers]
    descriptors = []
    for number, tar in enumerate(tars):
        stored = compress(tar, compression)
        marks = layer_annotations[number] if number < len(layer_annotations) else {}
        descriptors.append(Descriptor(layer_media_type(compression), blobs.add(stored), len(stored), marks))
    config = config_bytes(
        Config(
            Platform("linux", architecture),
            tuple(sha256(tar) for tar in tars),
            execution,
            tuple(History(created_by=f"layer {number}") for number in range(len(tars))),
            created="2026-01-02T03:04:05Z",
        )
    )
    manifest = manifest_bytes(
        Manifest(
            Descriptor(OCI_CONFIG, blobs.add(config), len(config)), tuple(descriptors), annotations=annotations or {}
        )
    )
    blobs.add(manifest)
    return image_of(blobs, manifest)
