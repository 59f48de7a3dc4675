"""The base of a service: opened wherever it is kept, brought into the store, and read."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from formation.build.image import platform_of
from formation.dataclass import dataclass
from formation.definition.problems import nearest
from formation.definition.service_values import ServiceDefinition
from formation.digest import sha256
from formation.errors import DefinitionError, FormationError, IntegrityError, UsageError, quoted
from formation.lock.lockfile import parse_lock
from formation.lock.model import Lock
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.descriptor import Platform
from formation.oci.image import Image, read_image
from formation.oci.name import ImageName, Transport, mistyped, parse_name
from formation.store.blobs import StoreBlobs, add_bytes, add_image, has_blob
from formation.store.images import list_images
from formation.store.open_image import open_image
from formation.store.store import Store

Pull = Callable[[ImageName, Platform], Image]
"""Brings the image that a `docker://` name stands for into the store, complete and verified."""

_LARGEST_LOCK = 64 << 20


@dataclass(frozen=True, slots=True)
class Places:
    """Where bases may be."""

    store: Store
    environment: Mapping[str, str]
    """For the docker client."""
    pull: Pull
    """For registries."""


def open_base(service: ServiceDefinition, architecture: str, places: Places) -> Image:
    """The base of `service` for a Debian architecture; its blobs are in the store, which the caller uses meanwhile.

    Paths in its name are below the definition's directory. Idempotent: what the store has is not copied again.

    Raises DefinitionError, with file and line, when there is no such image; IntegrityError and MalformedError for a
    broken one; UnreachableError.
    """
    name, platform = parse_name(service.base), platform_of(architecture)
    try:
        image = _brought(name, platform, service.path.parent, places)
    except UsageError as error:
        raise DefinitionError(f"{service.place(('base',))}: {error.message}", hint=error.hint) from None
    except FormationError as error:
        message = f"{service.place(('base',))}: {error.message}"
        # Subclasses say more by their exit code.
        if type(error) is not FormationError:
            raise type(error)(message, hint=error.hint) from None
        hint = error.hint if name.reference is None else _missing_hint(service, name, places.store) or error.hint
        raise DefinitionError(message, hint=hint) from None
    has = image.config.platform
    if (has.os, has.architecture) != (platform.os, platform.architecture):
        raise DefinitionError(
            f"{service.place(('base',))}: {service.base} is for {has}, and the service for {architecture}",
            hint="write `architectures:`, or name a base for it",
        )
    return image


def _missing_hint(service: ServiceDefinition, name: ImageName, store: Store) -> str | None:
    """How to come by a base that the store does not have; None when it is to be elsewhere, or the store has it."""
    wanted = name.reference
    if name.transport is not Transport.STORE or wanted is None:
        return None
    references = [image.reference for image in list_images(store)]
    if wanted in references:
        return None
    made_in = _made_in(service, str(wanted))
    if made_in is not None:
        return f"build the base first: formation build {made_in}"
    if same := [str(each) for each in references if each.repository == wanted.repository]:
        return f"the store has {', '.join(same[:10])}"
    # A name without a registry would be Docker Hub's, and a stranger's there.
    registry = f"docker://{wanted}" if wanted.host is not None else f"docker://REGISTRY/{wanted}"
    either = f"build it first: formation build DIR; or take it from a registry: {registry}"
    return mistyped(str(wanted)) or nearest(str(wanted), map(str, references)) or either


def _made_in(service: ServiceDefinition, wanted: str) -> str | None:
    """The directory docker/base beside or above the service, when its definition makes `wanted`, as arguments of
    `formation build`; None otherwise."""
    # Not at the top: pydantic takes longer to import than a base to open.
    from formation.definition.load import FILE_NAME, load_definition
    from formation.definition.values import RUNTIME

    for above in Path(service.shown_path).parents:
        directory = above / "docker" / "base"
        if (directory / FILE_NAME).is_file():
            try:
                base = load_definition(directory)
            except UsageError:
                return None
            made = {f"{base.name}:{tag}": each.name for each in base.variants for tag in base.all_tags(each.name)}
            if wanted not in made:
                return None
            return quoted(directory) + ("" if made[wanted] == RUNTIME else f" --variant {made[wanted]}")
    return None


def _brought(name: ImageName, platform: Platform, directory: Path, places: Places) -> Image:
    store = places.store
    if name.transport is Transport.REGISTRY:
        image = places.pull(name, platform)
    else:
        with open_image(name, store, directory=directory, environment=places.environment, platform=platform) as image:
            if name.transport is not Transport.STORE:
                add_image(store, image)
                _add_lock(store, image)
    image = read_image(StoreBlobs(store), image.descriptor)
    missing = [each.digest for each in image.manifest.layers if not has_blob(store, each.digest, each.size)]
    if missing:
        raise FormationError(f"the store has {name}, and not its layer {missing[0]}", hint="build it again")
    return image


def _add_lock(store: Store, image: Image) -> None:
    """Keeps the lock that the image was built from, where its source has that too."""
    digest = image.manifest.annotations.get(LOCK_DIGEST)
    if digest is None or has_blob(store, digest):
        return
    try:
        with image.source.open_blob(digest) as opened:
            data = opened.read(_LARGEST_LOCK)
    except FormationError:
        return
    if sha256(data) == digest:
        add_bytes(store, data)


def lock_of(image: Image, store: Store) -> Lock | None:
    """The lock that `image` was built from; None when nobody kept it, or another version of Formation wrote it."""
    digest = image.manifest.annotations.get(LOCK_DIGEST)
    try:
        if digest is None or not has_blob(store, digest):
            return None
        with StoreBlobs(store).open_blob(digest) as opened:
            data = opened.read(_LARGEST_LOCK)
        if sha256(data) != digest:
            raise IntegrityError(f"the blob {digest} of the store is damaged", hint="formation cache prune")
        return parse_lock(data.decode(), "formation.lock")
    except (DefinitionError, UnicodeDecodeError, IntegrityError):
        return None


def created(image: Image) -> int:
    """When the image was made, in seconds since 1970; 0 when it does not say."""
    try:
        return max(0, int(datetime.fromisoformat(image.config.created or "").timestamp()))
    except (ValueError, OverflowError):
        return 0
