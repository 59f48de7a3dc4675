"""Images that any engine on amd64 can run: one program of 160 bytes, which prints a text."""

import io
import struct
import tarfile

from formation.digest import sha256
from formation.oci.config import Config, Execution, History, config_bytes
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, image_of
from formation.oci.manifest import Manifest, manifest_bytes
from formation.oci.media_types import OCI_CONFIG, layer_media_type
from tiny_images import Blobs, compress

_BASE = 0x400000


def printing_program(text: str) -> bytes:
    """An ELF program for Linux on amd64 that writes `text` to stdout and ends with 0."""
    data = text.encode()
    code = b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00"  # mov eax, 1 (write); mov edi, 1
    code += b"\x48\x8d\x35\x10\x00\x00\x00"  # lea rsi, [rip + 16]: behind the code
    code += b"\xba" + struct.pack("<I", len(data)) + b"\x0f\x05"  # mov edx, length; syscall
    code += b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"  # mov eax, 60 (exit); xor edi, edi; syscall
    size = 64 + 56 + len(code) + len(data)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code + data


def runnable_image(text: str) -> Image:
    """An image that prints `text`, which is also its version."""
    program = printing_program(text)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("print")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    blobs, tar = Blobs({}), buffer.getvalue()
    stored = compress(tar, "gzip")
    layer = Descriptor(layer_media_type("gzip"), blobs.add(stored), len(stored))
    config = config_bytes(
        Config(
            Platform("linux", "amd64"),
            (sha256(tar),),
            Execution(entrypoint=("/print",)),
            (History(created_by="print"),),
            created="2026-01-02T03:04:05Z",
        )
    )
    annotations = {"org.opencontainers.image.version": text}
    manifest = Manifest(Descriptor(OCI_CONFIG, blobs.add(config), len(config)), (layer,), annotations=annotations)
    data = manifest_bytes(manifest)
    blobs.add(data)
    return image_of(blobs, data)
