"""Images from anywhere to anywhere, byte for byte; an index with everything below it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from formation.dataclass import dataclass
from formation.engines.engine import Engine
from formation.engines.load import load
from formation.errors import FormationError, UsageError
from formation.files import atomic_file
from formation.oci.archive import save_archive
from formation.oci.descriptor import Platform
from formation.oci.image import open_verified
from formation.oci.layout import add_to_layout
from formation.oci.name import ImageName, Transport, check_layout_tag
from formation.oci.reference import Reference, parse_reference
from formation.oci.verified import CHUNK
from formation.registry.open_image import Opened, open_tree
from formation.registry.platforms import require_platform
from formation.registry.pull import fetch_tree
from formation.registry.push import push_tree
from formation.registry.refusal import RegistryError
from formation.registry.registry import Registry, tags, version_digest
from formation.registry.repository import repository_of
from formation.registry.session import Session
from formation.registry.tag_plan import parse_version_tag
from formation.store.blobs import add_bytes, has_blob
from formation.store.images import tag_image
from formation.store.locking import in_use
from formation.store.store import Store

_ONE_IMAGE = frozenset({Transport.DOCKER_ARCHIVE, Transport.DOCKER_DAEMON})
"""What holds images for one platform only."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a copy may use."""

    store: Store
    registry: Registry
    directory: Path
    """Paths in names are below it."""
    environment: Mapping[str, str]
    machine: Platform
    """Chosen where a place holds one image only, and nobody chose."""


def copy(
    source: ImageName,
    target: ImageName,
    place: Place,
    platform: Platform | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> str:
    """Makes `target` name what `source` names, and gives the digest of it. Idempotent.

    `platform` chooses from an index; None copies it whole, where the target can hold it. `force` gives a version of a
    registry other content. A `dry_run` writes nothing. Raises UsageError for a target that cannot be written,
    FormationError for a version that has other content and an image for another platform, and whatever reading and
    writing raise.
    """
    if target.transport is Transport.LAYOUT_ARCHIVE:
        raise UsageError(f"{target} cannot be written", hint="write docker-archive:FILE, which is a layout as well")
    if target.reference is not None and target.reference.digest is not None:
        raise UsageError(f"{target} has a digest, and content decides that", hint="name the target by a tag")
    if target.path is not None:
        place.store.refuse_as_output(place.directory / target.path)
    tag = target.tag or source.tag or (source.reference.tag if source.reference else None)
    if target.transport is Transport.LAYOUT and tag is not None:
        check_layout_tag(tag)
    asked = platform
    if platform is None and target.transport in _ONE_IMAGE and source.transport is not Transport.DOCKER_DAEMON:
        platform = place.machine if source.transport not in _ONE_IMAGE else None
    with open_tree(
        source,
        place.store,
        place.registry,
        directory=place.directory,
        environment=place.environment,
        platform=platform,
    ) as opened:
        if asked is not None:
            require_platform(opened.image(asked), asked, str(source))
        if target.transport is Transport.REGISTRY and target.reference is not None and not force:
            _refuse_other_content(opened.tree.root.descriptor.digest, target.reference, place.registry)
        if not dry_run:
            _write(opened, source, target, tag, place, platform)
        return opened.tree.root.descriptor.digest


def _write(
    opened: Opened, source: ImageName, target: ImageName, tag: str | None, place: Place, platform: Platform | None
) -> None:
    """`tag` is that of a layout or archive which the target does not name."""
    if target.transport is Transport.STORE and target.reference is not None:
        _into_store(opened, target.reference, place)
    elif target.transport is Transport.REGISTRY and target.reference is not None:
        mounts = _same_registry(source, target.reference)
        push_tree(opened.tree, opened.source, target.reference, place.registry, store=place.store, also=mounts)
    elif target.transport is Transport.LAYOUT and target.path is not None:
        tree = opened.tree
        path = place.directory / target.path
        add_to_layout(path, opened.source, tree.blobs, tree.documents, tree.root.descriptor, tag)
    elif target.transport is Transport.DOCKER_ARCHIVE and target.path is not None:
        reference = target.reference or _named(source.reference, tag)
        save_archive(place.directory / target.path, opened.image(platform), [reference] if reference else [])
    elif target.reference is not None:
        load(opened.image(platform), target.reference, Engine("docker", place.environment))


def _refuse_other_content(digest: str, target: Reference, registry: Registry) -> None:
    """Raises FormationError when `target` is a version, and has other content in its registry."""
    if target.tag is None or parse_version_tag(target.tag) is None:
        return
    session = registry.target(target)
    there = version_digest(session, target.tag, lambda: _listed(session))
    if there not in (None, digest):
        raise FormationError(
            f"{target} is published already, with other content: {there} there, {digest} here",
            hint="a version is written once: copy it to another tag (or overwrite it: --force)",
        )


def _listed(session: Session) -> tuple[str, ...]:
    """The tags of the repository; none where it gives no list, or not to a login that may push."""
    try:
        return tags(session)
    except RegistryError:
        return ()


def _into_store(opened: Opened, reference: Reference, place: Place) -> None:
    store = place.store
    with in_use(store):
        if opened.sessions:
            fetch_tree(opened.sessions, opened.tree, store, place.registry)
        else:
            _add_tree(opened, store)
        tag_image(store, reference, opened.tree.root.descriptor)


def _add_tree(opened: Opened, store: Store) -> None:
    for blob in opened.tree.blobs:
        if not has_blob(store, blob.digest, blob.size):
            with open_verified(opened.source, blob, "blob") as stream, atomic_file(store.blob(blob.digest)) as file:
                shutil.copyfileobj(stream, file, CHUNK)
    for each in opened.tree.manifests:
        add_bytes(store, each.data)


def _same_registry(source: ImageName, target: Reference) -> tuple[str, ...]:
    """The repository that a copy within one registry takes its blobs from."""
    if source.transport is not Transport.REGISTRY or source.reference is None:
        return ()
    ours, theirs = repository_of(target), repository_of(source.reference)
    return (theirs.name,) if ours.host == theirs.host and ours != theirs else ()


def _named(reference: Reference | None, tag: str | None) -> Reference | None:
    """The name under which an engine will know what it loads from an archive."""
    if reference is None:
        return None
    return parse_reference(f"{reference.repository}:{tag}") if tag else parse_reference(reference.repository)
