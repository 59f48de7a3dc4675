"""Images in one tar file that Docker, Podman, skopeo and containerd all read.

The file is an OCI layout whose manifest.json, in the format of `docker save`, names the same blobs; Docker itself
writes this form since 25.0. Engines that know layouts keep the image's digest; older ones read manifest.json, and
accept layers there that are compressed with gzip. Docker before 23.0 takes a zstd layer for a broken tar ("unexpected
EOF"), so an image with one is written in the form of the older `docker save`: manifest.json alone, layers
uncompressed.
"""

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from formation.digest import hexadecimal
from formation.errors import FormationError
from formation.files import json_bytes, output_file
from formation.oci.descriptor import REFERENCE_NAME, descriptor_json
from formation.oci.image import Image, Layer, open_verified
from formation.oci.layout import LAYOUT_MARKER
from formation.oci.media_types import LAYERS, OCI_INDEX
from formation.oci.reference import Reference
from formation.oci.verified import CHUNK

CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation from which containerd and Podman take the whole reference of an image in a layout."""


def save_archive(path: Path, image: Image, references: Sequence[Reference]) -> None:
    """Makes `path` an archive of `image` under `references`: see `output_file`. Raises as `write_archive`."""
    if path.is_dir():
        raise FormationError(f"{path} is a directory, not a file for an archive")
    with output_file(path) as file:
        write_archive(file, image, references)


def write_archive(file: IO[bytes], image: Image, references: Sequence[Reference], *, layout: bool = True) -> None:
    """Writes an archive of `image` to `file`, which need not be seekable.

    Without `layout` it is no OCI layout, but an image of Docker's alone. The same image and references give the same
    bytes. Raises IntegrityError when a blob of `image` is wrong.
    """
    # Podman adds no registry to a name in manifest.json, and calls it localhost/… when it has none.
    names = [str(reference) if layout else reference.canonical for reference in references]
    # An image may hold one layer twice; the archive holds it once.
    layers = {layer.diff_id: layer for layer in image.layers}.values()
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT, bufsize=CHUNK) as archive:
        if any(LAYERS.get(layer.descriptor.media_type) == "zstd" for layer in layers):
            _add(archive, "manifest.json", json_bytes(_docker_manifest(image, names, _uncompressed_name)))
            _add(archive, _blob(image.manifest.config.digest), image.config_bytes)
            for layer in layers:
                _add_uncompressed(archive, layer)
            return
        if layout:
            _add(archive, "oci-layout", LAYOUT_MARKER)
            _add(archive, "index.json", json_bytes(_index(image, references)))
        _add(archive, "manifest.json", json_bytes(_docker_manifest(image, names, _stored_name)))
        for directory in ("blobs", "blobs/sha256"):
            archive.addfile(_member(directory, 0, tarfile.DIRTYPE))
        if layout:
            _add(archive, _blob(image.digest), image.manifest_bytes)
        _add(archive, _blob(image.manifest.config.digest), image.config_bytes)
        for descriptor in {layer.digest: layer for layer in image.manifest.layers}.values():
            with open_verified(image.source, descriptor, "layer") as stream:
                archive.addfile(_member(_blob(descriptor.digest), descriptor.size), stream)


def _add_uncompressed(archive: tarfile.TarFile, layer: Layer) -> None:
    # Decompressed twice: the header with the size comes first, and a pipe cannot go back to it.
    with layer.uncompressed() as tar:
        size = sum(len(chunk) for chunk in iter(lambda: tar.read(CHUNK), b""))
    with layer.uncompressed() as tar:
        archive.addfile(_member(_uncompressed_name(layer), size), tar)


def _stored_name(layer: Layer) -> str:
    return _blob(layer.descriptor.digest)


def _uncompressed_name(layer: Layer) -> str:
    return f"{hexadecimal(layer.diff_id)}.tar"


def _index(image: Image, references: Sequence[Reference]) -> dict[str, Any]:
    entries = [
        descriptor_json(image.descriptor)
        | {"annotations": {CONTAINERD_NAME: reference.canonical, REFERENCE_NAME: reference.tag or str(reference)}}
        for reference in references
    ]
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": entries or [descriptor_json(image.descriptor)],
    }


def _docker_manifest(image: Image, tags: Sequence[str], name: Callable[[Layer], str]) -> list[dict[str, Any]]:
    return [
        {
            "Config": _blob(image.manifest.config.digest),
            "RepoTags": list(tags) or None,
            "Layers": [name(layer) for layer in image.layers],
        }
    ]


def _blob(digest: str) -> str:
    return f"blobs/sha256/{hexadecimal(digest)}"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    archive.addfile(_member(name, len(data)), io.BytesIO(data))


def _member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """A tar entry in which nothing tells of this machine or hour."""
    member = tarfile.TarInfo(name)
    member.size, member.type, member.mode = size, kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    return member
