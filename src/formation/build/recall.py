"""Recognising a build by the bytes that it read, before anything is parsed: nothing changed, nothing to do."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from formation import __version__
from formation.digest import sha256_file
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.oci.descriptor import Descriptor, descriptor_json, parse_descriptor
from formation.oci.image import Image, read_image
from formation.oci.reference import parse_reference
from formation.oci.strict_json import parse_object
from formation.store.blobs import StoreBlobs, has_blob
from formation.store.images import tag_image
from formation.store.store import Store

IMAGE_FORMAT = 5
"""Part of every build's key: a change of what an image looks like must raise it."""

_RECORD_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is in the store under its tags."""

    references: tuple[str, ...]
    """The version's first: formation/base:1.0.0."""
    image: Image
    packages: int
    """How many are installed."""
    reused: bool
    """Whether the store had the very image already."""


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


def remember(store: Store, question: str, built: BuiltImage, inputs: Mapping[Path, str]) -> None:
    """Notes the answer to `question`: the image, and the digests of the other files as the build read them."""
    value = {
        "image": descriptor_json(built.image.descriptor),
        "references": list(built.references),
        "packages": built.packages,
        "inputs": {str(path): digest for path, digest in inputs.items()},
    }
    write_bytes(store.builds / f"{question}.json", json_bytes(value))


def recall(store: Store, question: str) -> BuiltImage | None:
    """The image that came of the same bytes before, tagged again; None when there is none or something changed.

    The caller uses the store meanwhile.
    """
    try:
        record = json.loads((store.builds / f"{question}.json").read_bytes()[:_RECORD_SIZE])
        if any(sha256_file(Path(path)) != digest for path, digest in record["inputs"].items()):
            return None
        image = complete_image(store, parse_descriptor(parse_object(json_bytes(record["image"]), "build record")))
        if image is None:
            return None
        references = tag(store, record["references"], image.descriptor)
        return BuiltImage(references, image, int(record["packages"]), True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FormationError):
        return None


def complete_image(store: Store, descriptor: Descriptor) -> Image | None:
    """The image when the store has all its blobs."""
    try:
        image = read_image(StoreBlobs(store), descriptor)
    except FormationError:
        return None
    complete = all(has_blob(store, layer.digest, layer.size) for layer in image.manifest.layers)
    return image if complete else None


def tag(store: Store, references: Sequence[str], descriptor: Descriptor) -> tuple[str, ...]:
    """Moves the references to the image; gives them."""
    for reference in references:
        tag_image(store, parse_reference(reference), descriptor)
    return tuple(references)
