"""OCI image layouts: blobs in a directory, and an index.json that names some (image-spec 1.1, image-layout.md)."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from formation.dataclass import dataclass
from formation.digest import hexadecimal
from formation.errors import FormationError, MalformedError
from formation.files import atomic_file, json_bytes, write_bytes
from formation.oci.descriptor import REFERENCE_NAME, Descriptor, Platform, descriptor_json
from formation.oci.image import BlobSource, Image, choose_manifest, open_verified, read_image
from formation.oci.manifest import Index, parse_index
from formation.oci.media_types import OCI_INDEX
from formation.oci.regular_file import open_regular, read_regular
from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
from formation.oci.verified import CHUNK

LAYOUT_MARKER = b'{"imageLayoutVersion":"1.0.0"}'
"""The content of the `oci-layout` file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout that is open for reading; a BlobSource."""

    path: Path
    index: Index

    def open_blob(self, digest: str) -> BinaryIO:
        """The file of that blob. Raises FormationError when it is missing, MalformedError when it is no file."""
        return open_regular(_blob(self.path, digest), f"blob {digest}")

    def image(self, tag: str | None = None, platform: Platform | None = None) -> Image:
        """The image tagged `tag`; None: the only one. Raises FormationError, IntegrityError, MalformedError."""
        return select_image(self, self.index, tag, platform, str(self.path))


def open_layout(path: Path) -> Layout:
    """The layout in the directory `path`. Raises FormationError when it is none, MalformedError when it is broken."""
    if not path.is_dir():
        raise FormationError(f"{path} is not a directory", hint="name an OCI layout as oci:DIR[:TAG]")
    check_marker(read_regular(path / "oci-layout", "the layout's marker", MAXIMUM_SIZE), str(path))
    return Layout(path, parse_index(read_regular(path / "index.json", "the layout's index", MAXIMUM_SIZE)))


def check_marker(data: bytes, where: str) -> None:
    """Raises MalformedError unless `data` is an `oci-layout` file of a version that is known."""
    version = parse_object(data, f"{where}: oci-layout").text("imageLayoutVersion")
    if version != "1.0.0":
        raise MalformedError(f"{where} has the layout version {version[:50]!r}; 1.0.0 is known")


def select(index: Index, tag: str | None, platform: Platform | None, where: str) -> Descriptor:
    """The entry of a layout's index tagged `tag`; None: the only one, or that of `platform`. Raises FormationError."""
    if tag is None:
        if not index.manifests:
            raise FormationError(f"{where} holds no image")
        return _without_tag(index, platform, where)
    tagged = _tagged(index, tag)
    if not tagged:
        raise FormationError(f"{where} has no image tagged {tag!r}; it has: {_tags(index)}")
    return tagged[0] if len(tagged) == 1 else choose_manifest(tagged, platform)


def select_image(source: BlobSource, index: Index, tag: str | None, platform: Platform | None, where: str) -> Image:
    """The image of a layout whose blobs are in `source`. Raises as `select` and `read_image`."""
    entries = _tagged(index, tag)
    # A layout of one image does not say that there are no others: it is how one platform's image is handed on.
    return read_image(source, select(index, tag, platform, where), platform, entries if len(entries) > 1 else ())


def write_layout(path: Path, image: Image, tag: str | None) -> None:
    """Adds `image` to the layout in the directory `path`, which is created when missing, and moves `tag` to it.

    Blobs come first and index.json last, each by a rename: a reader, or a killed run, sees the layout as it was before
    or as it is after. Idempotent; concurrent writers wait for each other. Other entries stay as they are. Raises
    FormationError when `path` holds something else than a layout, IntegrityError when a blob of `image` is wrong.
    """
    add_to_layout(
        path,
        image.source,
        image.manifest.layers,
        {image.manifest.config.digest: image.config_bytes, image.digest: image.manifest_bytes},
        image.descriptor,
        tag,
    )


def add_to_layout(
    path: Path,
    source: BlobSource,
    blobs: Sequence[Descriptor],
    documents: Mapping[str, bytes],
    root: Descriptor,
    tag: str | None,
) -> None:
    """As `write_layout`, for the manifest or index `root` with all that belongs to it.

    `blobs` are read from `source` and verified; `documents` are manifests and configs by their digest.
    """
    with _for_writing(path) as manifests:
        for descriptor in {blob.digest: blob for blob in blobs}.values():
            with open_verified(source, descriptor, "layer") as stream:
                _write_blob(path, descriptor, stream)
        for digest, data in documents.items():
            write_bytes(_blob(path, digest), data, mode=None)
        entries = [entry for entry in manifests if not _replaces(root, tag, entry)] + [_entry(root, tag)]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        write_bytes(path / "index.json", json_bytes(document), mode=None)


def holds_other_things(path: Path) -> bool:
    """Whether the directory `path` is neither empty nor a layout, so that nothing is written into it."""
    return not os.path.lexists(path / "oci-layout") and any(path.iterdir())


@contextmanager
def _for_writing(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The entries of index.json as they are written there, while no other process of ours writes the layout.

    A layout that is new, and for which something failed, is removed again.
    """
    made = next((each for each in reversed((path, *path.parents)) if not os.path.lexists(each)), None)
    directory = _locked(path)
    new = False
    try:
        marker, index = path / "oci-layout", path / "index.json"
        if holds_other_things(path):
            raise FormationError(f"{path} is not empty and not an OCI layout", hint="name a new directory")
        new = not os.path.lexists(marker)
        if new:
            write_bytes(marker, LAYOUT_MARKER, mode=None)
        check_marker(read_regular(marker, "the layout's marker", MAXIMUM_SIZE), str(path))
        for name in (path / "blobs", path / "blobs" / "sha256"):
            if name.is_symlink():
                raise MalformedError(f"{name} is a symbolic link; nothing is written through it")
        # A run that was killed leaves the marker and no index: an empty layout.
        data = read_regular(index, "the layout's index", MAXIMUM_SIZE) if os.path.lexists(index) else None
        if data is not None:
            parse_index(data)
        yield [] if data is None else list(parse_object(data, "image index").value.get("manifests") or [])
    except BaseException:
        if new and not os.path.lexists(index):
            _remove_new(path, made)
        raise
    finally:
        os.close(directory)


def _locked(path: Path) -> int:
    """A descriptor of the directory `path`, which is made where it is missing, with the lock of it."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            # Who had the lock may have removed the directory again, after a failure.
            if path.exists() and os.path.samestat(os.fstat(directory), path.stat()):
                return directory
        except BaseException:
            os.close(directory)
            raise
        os.close(directory)


def _remove_new(path: Path, made: Path | None) -> None:
    """Removes the layout that was begun in `path`, and the directories from `made` on. It was empty before."""
    shutil.rmtree(path / "blobs", ignore_errors=True)
    (path / "oci-layout").unlink(missing_ok=True)
    if made is not None:
        with suppress(OSError):
            for each in (path, *path.parents):
                each.rmdir()
                if each == made:
                    break


def _write_blob(path: Path, descriptor: Descriptor, stream: BinaryIO) -> None:
    blob = _blob(path, descriptor.digest)
    # A blob only gets its name when it is complete and verified, so one of the right size is the right one.
    if blob.is_file() and not blob.is_symlink() and blob.stat().st_size == descriptor.size:
        return
    with atomic_file(blob, mode=None) as file:
        shutil.copyfileobj(stream, file, CHUNK)


def _blob(path: Path, digest: str) -> Path:
    return path / "blobs" / "sha256" / hexadecimal(digest)


def _entry(root: Descriptor, tag: str | None) -> dict[str, Any]:
    value = descriptor_json(root)
    return value if tag is None else value | {"annotations": {REFERENCE_NAME: tag}}


def _replaces(root: Descriptor, tag: str | None, entry: dict[str, Any]) -> bool:
    """Whether `entry` gives way: it holds the tag that moves, or is the same image without any tag."""
    name = (entry.get("annotations") or {}).get(REFERENCE_NAME)
    return bool(name == tag and (name is not None or entry.get("digest") == root.digest))


def _tagged(index: Index, tag: str | None) -> tuple[Descriptor, ...]:
    """The entries tagged `tag`; None: all."""
    return tuple(each for each in index.manifests if tag is None or each.annotations.get(REFERENCE_NAME) == tag)


def _without_tag(index: Index, platform: Platform | None, where: str) -> Descriptor:
    try:
        return choose_manifest(index.manifests, platform)
    except FormationError as error:
        raise FormationError(f"{where} holds several images: {error.message}; its tags: {_tags(index)}") from None


def _tags(index: Index) -> str:
    tags = (entry.annotations.get(REFERENCE_NAME) for entry in index.manifests)
    return ", ".join(sorted(repr(tag) for tag in tags if tag is not None)) or "no tags"
