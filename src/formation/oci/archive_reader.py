"""Reading images from tar files: `docker save` of every age, and OCI layouts in a tar.

The tar is indexed once, and blobs are read in place: nothing is unpacked, so no name in it can reach a file system.
"""

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from formation.dataclass import dataclass
from formation.digest import hexadecimal, sha256
from formation.errors import FormationError, MalformedError, UsageError
from formation.oci.config import parse_config
from formation.oci.decompression import detect_compression, is_compressed
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, image_of, read_image
from formation.oci.layout import check_marker, select_image
from formation.oci.manifest import Manifest, manifest_bytes, parse_index
from formation.oci.media_types import OCI_CONFIG, OCI_MANIFEST, layer_media_type
from formation.oci.reference import Reference, parse_reference
from formation.oci.regular_file import open_regular
from formation.oci.strict_json import MAXIMUM_SIZE, JsonObject, parse_objects
from formation.oci.verified import CHUNK

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAXIMUM_MEMBERS = 10_000
_MAXIMUM_LINKS = 10


@dataclass(frozen=True, slots=True)
class _Section:
    """Where a member's bytes are in the file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Members:
    """The tar's index: normalised name → section."""

    path: Path
    sections: Mapping[str, _Section]
    links: Mapping[str, str]
    """Symbolic links, which old versions of Docker write for a layer that appears twice."""

    def section(self, name: str) -> _Section:
        """The member `name`, links followed. Raises MalformedError when it is not there."""
        wanted = _normal(name)
        for _ in range(_MAXIMUM_LINKS):
            if wanted in self.sections:
                return self.sections[wanted]
            if wanted not in self.links:
                break
            wanted = _normal(posixpath.join(posixpath.dirname(wanted), self.links[wanted]))
        raise MalformedError(f"{self.path} has no file {name[:200]!r} in it")

    def open(self, section: _Section) -> BinaryIO:
        """The bytes of `section`, through a file handle of its own."""
        file = open_regular(self.path, "the archive", follow=True)
        file.seek(section.offset)
        return cast(BinaryIO, io.BufferedReader(_Window(file, section.size), CHUNK))

    def read(self, name: str) -> bytes:
        """The whole member `name`. Raises MalformedError when it is missing or over the limit for JSON."""
        section = self.section(name)
        if section.size > MAXIMUM_SIZE:
            raise MalformedError(f"{self.path}: {name} has {section.size} bytes; {MAXIMUM_SIZE} are accepted")
        with self.open(section) as stream:
            return stream.read()


@dataclass(frozen=True, slots=True)
class _ArchiveBlobs:
    """A BlobSource over the members of a tar."""

    members: _Members
    extra: Mapping[str, _Section | bytes]
    """Blobs that have another name than blobs/sha256/HEX, or are in no file."""

    def open_blob(self, digest: str) -> BinaryIO:
        found = self.extra.get(digest)
        if isinstance(found, bytes):
            return io.BytesIO(found)
        return self.members.open(found or self.members.section(f"blobs/sha256/{hexadecimal(digest)}"))


def read_oci_archive(path: Path, tag: str | None = None, platform: Platform | None = None) -> Image:
    """The image tagged `tag` in a tar of an OCI layout; None: the only one.

    Raises FormationError when there is no such image, MalformedError and IntegrityError when the archive is broken.
    """
    members = _scan(path)
    check_marker(members.read("oci-layout"), str(path))
    index = parse_index(members.read("index.json"))
    return select_image(_ArchiveBlobs(members, {}), index, tag, platform, str(path))


def read_docker_archive(path: Path, reference: Reference | None = None) -> Image:
    """The image that `docker save` or Formation wrote under `reference`; None: the only one.

    Where the archive holds no OCI manifest one is made for what is there, so its digest is not that of a registry.
    Raises FormationError when there is no such image, MalformedError and IntegrityError when the archive is broken.
    """
    members = _scan(path)
    entry = _choose(parse_objects(members.read("manifest.json"), f"{path}: manifest.json"), reference, path)
    original = _original_manifest(members, entry)
    if original is not None:
        return image_of(_ArchiveBlobs(members, {}), original)
    return _synthesised(members, entry)


def _choose(entries: tuple[JsonObject, ...], reference: Reference | None, path: Path) -> JsonObject:
    if reference is None:
        if len(entries) != 1:
            raise FormationError(f"{path} holds {len(entries)} images", hint=f"name one: {_references(entries)}")
        return entries[0]
    wanted = reference.canonical
    for entry in entries:
        if any(_canonical(tag) == wanted for tag in entry.texts("RepoTags")):
            return entry
    raise FormationError(f"{path} does not hold {reference}", hint=f"it holds: {_references(entries)}")


def _canonical(tag: str) -> str | None:
    """A tag of the archive as it is compared; None when it is not a reference at all."""
    try:
        return parse_reference(tag).canonical
    except UsageError:
        return None


def _references(entries: tuple[JsonObject, ...]) -> str:
    return ", ".join(tag for entry in entries for tag in entry.texts("RepoTags")) or "images without a name"


def _original_manifest(members: _Members, entry: JsonObject) -> bytes | None:
    """The OCI manifest beside manifest.json whose config is that of `entry`, when the archive is a layout as well."""
    if "index.json" not in members.sections:
        return None
    for descriptor in parse_index(members.read("index.json")).manifests:
        try:
            image = read_image(_ArchiveBlobs(members, {}), descriptor)
        except FormationError:
            # `docker save` lists attestations and indexes of other platforms, whose blobs it leaves out.
            continue
        if _blob_name(image.manifest.config.digest) == _normal(entry.text("Config")):
            return image.manifest_bytes
    return None


def _synthesised(members: _Members, entry: JsonObject) -> Image:
    config_bytes = members.read(entry.text("Config"))
    extra: dict[str, _Section | bytes] = {sha256(config_bytes): config_bytes}
    layers = []
    for name in entry.texts("Layers"):
        section = members.section(name)
        descriptor = _describe(members, section)
        extra[descriptor.digest] = section
        layers.append(descriptor)
    config = Descriptor(OCI_CONFIG, sha256(config_bytes), len(config_bytes))
    manifest = Manifest(config, tuple(layers), media_type=OCI_MANIFEST)
    data = manifest_bytes(manifest)
    # Whoever copies the image reads its manifest from there, as that of any other.
    extra[sha256(data)] = data
    return Image(_ArchiveBlobs(members, extra), data, config_bytes, manifest, parse_config(config_bytes))


def _describe(members: _Members, section: _Section) -> Descriptor:
    found = hashlib.sha256()
    with members.open(section) as stream:
        start = stream.read(CHUNK)
        found.update(start)
        while chunk := stream.read(CHUNK):
            found.update(chunk)
    media_type = layer_media_type(detect_compression(start))
    return Descriptor(media_type, "sha256:" + found.hexdigest(), section.size)


def _scan(path: Path) -> _Members:
    """The index of the tar at `path`. Raises FormationError and MalformedError."""
    with open_regular(path, "the archive", follow=True) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if is_compressed(file.read(8)):
            raise FormationError(f"{path} is compressed", hint="decompress it first: gunzip, bunzip2, unxz or unzstd")
        file.seek(0)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, _Headers(file)), mode="r:") as archive:
                return _index_members(path, archive, size)
        # tarfile lets errors of the conversions in it through.
        except (tarfile.TarError, ValueError, ArithmeticError, EOFError) as error:
            raise MalformedError(f"{path} is not a tar archive: {error}") from None


def _index_members(path: Path, archive: tarfile.TarFile, size: int) -> _Members:
    sections: dict[str, _Section] = {}
    links: dict[str, str] = {}
    for count, member in enumerate(archive):
        if count >= _MAXIMUM_MEMBERS:
            raise MalformedError(f"{path} has more than {_MAXIMUM_MEMBERS} members")
        if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None:
            if member.offset_data + member.size > size:
                raise MalformedError(f"{path} is cut short: {member.name[:200]!r} does not end in it")
            sections[_normal(member.name)] = _Section(member.offset_data, member.size)
        elif member.issym():
            links[_normal(member.name)] = member.linkname
    return _Members(path, sections, links)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{hexadecimal(digest)}"


def _normal(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


class _Headers:
    """A file for tarfile's index: a header that announces gigabytes of extended attributes is not read into memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        if size > CHUNK:
            raise MalformedError(f"a tar header of {size} bytes; {CHUNK} are accepted")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


class _Window(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._file.read(min(view.nbytes, self._left))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
