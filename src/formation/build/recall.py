"""Recognising a build by the bytes that it read, before anything is parsed: nothing changed, nothing to do.

Records are not synced: one that a power cut has emptied says nothing, and the build is done again.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from formation import __version__
from formation.dataclass import dataclass, field
from formation.digest import sha256_file
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.install.stage_format import STAGE_FORMAT
from formation.oci.descriptor import Descriptor, descriptor_json, parse_descriptor
from formation.oci.image import Image, read_image
from formation.oci.media_types import OCI_INDEX
from formation.oci.platform_index import platform_index, version_of
from formation.oci.reference import parse_reference
from formation.oci.strict_json import parse_object
from formation.store.blobs import StoreBlobs, add_bytes, has_blob
from formation.store.images import tag_image
from formation.store.locking import changing_images
from formation.store.store import Store

IMAGE_FORMAT: Final = (9, STAGE_FORMAT)
"""Part of every build's key: a change of what an image looks like must raise the first."""

_RECORD_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is in the store under its tags."""

    references: tuple[str, ...]
    """The version's first: formation/base:1.0.0."""
    image: Image
    packages: int
    """How many are installed; of a service, those that it brings."""
    reused: bool
    """Whether the store had the very image already."""
    base_layers: int = 0
    """How many of a service's layers are those of its base."""
    siblings: tuple[str, ...] = ()
    """The names of the builds of the same for other architectures: what of them the store has shares the tags."""
    relocked: bool = False
    """Whether it is of a fresh lock, and not of the one beside the definition."""


def ask(definition: Path, variant: str, architecture: str | None) -> str | None:
    """The name of a build by its definition's and lock's bytes; None when either cannot be read.

    `definition` is the YAML file or its directory.
    """
    path = definition / "formation.yaml" if definition.is_dir() else definition
    digest = hashlib.sha256(repr((__version__, IMAGE_FORMAT, str(path), variant, architecture)).encode())
    try:
        for file in (path, path.with_suffix(".lock")):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError:
        return None
    return f"asked-{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Read:
    """What a build read besides definition and lock."""

    files: Mapping[Path, str]
    """The digests of what it read."""
    places: Mapping[Path, str] = field(default_factory=dict)
    """Each file as the definition names it, and where that led, as `place` tells: a link may lead elsewhere later."""
    shapes: Mapping[Path, str] = field(default_factory=dict)
    """What `shape` gave, before the build, of each path that it looked for files in."""


def remember(store: Store, question: str, built: BuiltImage, read: Read) -> None:
    """Notes the answer to `question`: the image, and what the build of it read."""
    value = {
        "image": descriptor_json(built.image.descriptor),
        "references": list(built.references),
        "packages": built.packages,
        "base_layers": built.base_layers,
        "siblings": list(built.siblings),
        "inputs": {str(path): digest for path, digest in read.files.items()},
        "places": {str(path): found for path, found in read.places.items()},
        "shapes": {str(path): digest for path, digest in read.shapes.items()},
    }
    # In ASCII: a path need not be UTF-8.
    write_bytes(store.builds / f"{question}.json", json.dumps(value).encode(), synced=False)


def recall(store: Store, question: str) -> BuiltImage | None:
    """The image that came of the same bytes before, tagged again; None when there is none or something changed.

    The caller uses the store meanwhile.
    """
    try:
        record = json.loads((store.builds / f"{question}.json").read_bytes()[:_RECORD_SIZE])
        # Before anything is opened or listed: what was a file may be a pipe now, and a link may lead to all of /.
        if any(place(Path(path)) != found for path, found in record["places"].items()):
            return None
        if any(shape(Path(path)) != digest for path, digest in record["shapes"].items()):
            return None
        if any(sha256_file(Path(path)) != digest for path, digest in record["inputs"].items()):
            return None
        image = complete_image(store, parse_descriptor(parse_object(json_bytes(record["image"]), "build record")))
        if image is None:
            return None
        siblings = tuple(map(str, record["siblings"]))
        references = tag_beside(store, record["references"], image, siblings)
        return BuiltImage(references, image, int(record["packages"]), True, int(record["base_layers"]), siblings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FormationError):
        return None


def place(path: Path) -> str:
    """Where the regular file `path` is, with no symlink left. Raises OSError when there is none."""
    found = os.path.realpath(path, strict=True)
    if not stat.S_ISREG(os.lstat(found).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def shape(path: Path) -> str:
    """A digest of which files are below `path`, or of `path` itself, and of what each is besides its content.

    That is its type, whether it can be executed, and where it leads when it is a symlink. Raises OSError.
    """
    # Not Path.resolve, which has an error of its own for a link that leads to itself.
    start = Path(os.path.realpath(path, strict=True))
    digest = hashlib.sha256(os.fsencode(start))
    pending = [start]
    while pending:
        here = pending.pop()
        mode = here.lstat().st_mode
        target = os.readlink(here) if stat.S_ISLNK(mode) else ""
        digest.update(repr((str(here), stat.S_IFMT(mode), bool(mode & 0o111), target)).encode("utf-8", "surrogatepass"))
        if stat.S_ISDIR(mode):
            pending += sorted(here.iterdir(), reverse=True)
    return digest.hexdigest()


def remember_image(store: Store, key: str, descriptor: Descriptor) -> None:
    """Notes which image came of the build that `key` names."""
    write_bytes(store.builds / f"{key}.json", json_bytes(descriptor_json(descriptor)), synced=False)


def known_image(store: Store, key: str) -> Image | None:
    """The image that came of this build before, when all its blobs are still there."""
    try:
        data = (store.builds / f"{key}.json").read_bytes()
        return complete_image(store, parse_descriptor(parse_object(data, "build record")))
    except (FileNotFoundError, FormationError):
        return None


def known_images(store: Store, keys: Iterable[str]) -> tuple[Image, ...]:
    """Those of the builds that `keys` name whose images are there."""
    found = (known_image(store, key) for key in keys)
    return tuple(image for image in found if image is not None)


def known_or_built(store: Store, key: str, build: Callable[[], Descriptor]) -> tuple[Image, bool]:
    """The image of the build that `key` names, and whether it was there; else the one that `build` makes, remembered.

    Raises what `build` raises, and FormationError when the store has lost the image meanwhile.
    """
    known = known_image(store, key)
    if known is not None:
        return known, True
    descriptor = build()
    remember_image(store, key, descriptor)
    image = complete_image(store, descriptor)
    if image is None:
        raise FormationError("the image was built, and is not in the store", hint="formation cache prune")
    return image, False


def complete_image(store: Store, descriptor: Descriptor) -> Image | None:
    """The image when the store has all its blobs."""
    try:
        image = read_image(StoreBlobs(store), descriptor)
    except FormationError:
        return None
    complete = all(has_blob(store, layer.digest, layer.size) for layer in image.manifest.layers)
    return image if complete else None


def tag_beside(store: Store, references: Sequence[str], image: Image, siblings: Iterable[str]) -> tuple[str, ...]:
    """As `tag`, with the images that the store has of the builds `siblings`: of two builds at once, the later one's
    index has both."""
    with changing_images(store):
        return tag(store, references, (image, *known_images(store, siblings)))


def tag(store: Store, references: Sequence[str], images: Sequence[Image]) -> tuple[str, ...]:
    """Moves the references to the image, or to the index of several, one for each platform; gives them."""
    descriptor = images[0].descriptor
    if len(images) > 1:
        data = platform_index(images, version_of(images[0]))
        descriptor = Descriptor(OCI_INDEX, add_bytes(store, data), len(data))
    for reference in references:
        tag_image(store, parse_reference(reference), descriptor)
    return tuple(references)
