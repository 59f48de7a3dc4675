"""The content of one file of an image, for who needs more than what was kept."""

from typing import Final

from formation.contents.filesystem import Filesystem
from formation.errors import FormationError, MalformedError
from formation.oci.image import Image
from formation.tarstream import read_tar

LARGEST: Final = 16 << 20
"""Bytes of a file that is read into memory."""


def read_content(image: Image, filesystem: Filesystem, path: str) -> bytes:
    """The content of the file that `path` leads to, from what was kept or from its layer, which is read for it.

    Raises FormationError when it is no file or has more than LARGEST bytes; IntegrityError and MalformedError when the
    layer is broken.
    """
    kept = filesystem.content(path)
    if kept is not None:
        return kept
    node = filesystem.find(path)
    if node is None or node.entry.type != "file":
        raise FormationError(f"{path} is no file of the image")
    if node.entry.size > LARGEST:
        raise FormationError(f"{path} has {node.entry.size} bytes; {LARGEST} are read")
    number, origin = node.origin
    found: bytes | None = None
    with image.layers[number].uncompressed() as stream:
        chunks = iter(lambda: stream.read(1 << 20), b"")
        for entry, content in read_tar(chunks, f"layer {number}", lambda message: None):
            # The last of those that have the name is what an engine leaves there.
            if entry.path == origin and entry.type == "file" and entry.size <= LARGEST:
                found = b"".join(content)
    if found is None:
        raise MalformedError(f"layer {number} has no file {origin!r}")
    return found
