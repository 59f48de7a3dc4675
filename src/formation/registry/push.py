"""Images into a registry: blobs first, in parallel, then manifests, then the tag."""

import threading
from collections.abc import Callable, Mapping, Sequence

from formation.dataclass import dataclass
from formation.errors import FormationError
from formation.oci.annotations import BASE_NAME
from formation.oci.descriptor import Descriptor
from formation.oci.image import BlobSource, Image
from formation.oci.manifest import parse_manifest
from formation.oci.reference import Reference, parse_reference
from formation.progress import counted
from formation.registry.parallel import in_parallel
from formation.registry.registry import Registry, has_blob, put_manifest, tag_digest
from formation.registry.repository import repository_of
from formation.registry.session import Session
from formation.registry.tree import Tree, tree_at, tree_of_image
from formation.registry.upload import upload_blob
from formation.store.blobs import StoreBlobs
from formation.store.images import list_images
from formation.store.locking import in_use
from formation.store.sent import list_sent, note_sent
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did."""

    digest: str
    """Of the manifest or index."""
    sent: int
    """Blobs whose bytes were sent."""
    sent_bytes: int
    mounted: int
    """Blobs that the registry took from another of its repositories."""
    there: int
    """Blobs that the repository had."""


def push_image(image: Image, reference: Reference, registry: Registry, *, store: Store | None = None) -> Pushed:
    """Makes `reference`, which has a tag or none, stand for `image`. Idempotent; cut anywhere, no tag has moved.

    `store` knows which repositories of the registry have some of the layers. Raises LoginNeeded, RegistryError,
    UnreachableError, IntegrityError.
    """
    return push_tree(tree_of_image(image), image.source, reference, registry, store=store)


def push_tree(
    tree: Tree,
    source: BlobSource,
    reference: Reference,
    registry: Registry,
    *,
    store: Store | None = None,
    also: Sequence[str] = (),
) -> Pushed:
    """Makes `reference` stand for the root of `tree`, whose blobs are in `source`. As `push_image`.

    `also` are repositories of the same registry that have the blobs.
    """
    session = registry.target(reference)
    pushed = push_blobs(tree, source, session, registry, store=store, also=also)
    push_manifests(tree, session)
    if reference.tag is not None:
        put_manifest(session, tree.root.data, tree.root.descriptor.media_type, reference.tag)
    if store is not None:
        remember(store, session, tree, registry.progress.note)
    return pushed


def remember(store: Store, session: Session, tree: Tree, note: Callable[[str], None]) -> None:
    """Tells the store that the repository of `session` has `tree`: what is pushed later is mounted from there.

    The registry has everything by now, so a store that cannot be written is no failure: `note` gets a line about it.
    """
    try:
        with in_use(store):
            note_sent(store, str(session.repository), [blob.digest for blob in tree.blobs])
    except OSError as error:
        note(f"later pushes may send again what {session.repository} has: {store.root}: {error.strerror or error}")


def push_manifests(tree: Tree, session: Session) -> None:
    """Writes the manifests by their digests, under no tag, each after those that it names. Idempotent."""
    for each in tree.manifests:
        put_manifest(session, each.data, each.descriptor.media_type, each.descriptor.digest)


def lacks(tree: Tree, session: Session, registry: Registry) -> bool:
    """Whether the repository of `session` lacks a blob or manifest of `tree`. Asks for each, and reads none."""
    documents, missing = tree.documents, []

    def look(each: Descriptor) -> None:
        is_manifest = each.digest in documents
        if not (tag_digest(session, each.digest) if is_manifest else has_blob(session, each, "pull")):
            missing.append(each)

    every = (*tree.blobs, *(each.descriptor for each in tree.manifests))
    in_parallel(every, look, registry.run, threads=registry.settings.connections)
    return bool(missing)


def push_blobs(
    tree: Tree,
    source: BlobSource,
    session: Session,
    registry: Registry,
    *,
    store: Store | None = None,
    also: Sequence[str] = (),
) -> Pushed:
    """Makes the repository of `session` have every blob of `tree`. Idempotent. Raises as `push_image`."""
    blobs = tree.blobs
    mounts = _mounts(tree, session, store)
    progress = registry.progress
    progress.start("push", sum(blob.size for blob in blobs), "B")
    outcomes: dict[str, str] = {}
    lock = threading.Lock()

    def push(blob: Descriptor) -> None:
        outcome = upload_blob(
            session,
            blob,
            source,
            lambda amount: progress.advance("push", amount),
            (*also, *mounts.get(blob.digest, ())),
        )
        if outcome != "sent":
            progress.advance("push", blob.size)
        with lock:
            outcomes[blob.digest] = outcome

    in_parallel(blobs, push, registry.run, threads=registry.settings.connections)
    pushed = _counted(tree.root.descriptor.digest, blobs, outcomes)
    progress.finish("push", f"{counted(pushed.sent, 'blob')} sent, {pushed.mounted} mounted, {pushed.there} there")
    return pushed


def _counted(digest: str, blobs: Sequence[Descriptor], outcomes: Mapping[str, str]) -> Pushed:
    sizes = {blob.digest: blob.size for blob in blobs}
    sent = [sizes[each] for each, outcome in outcomes.items() if outcome == "sent"]
    found = list(outcomes.values())
    return Pushed(digest, len(sent), sum(sent), found.count("mounted"), found.count("there"))


def _mounts(tree: Tree, session: Session, store: Store | None) -> Mapping[str, Sequence[str]]:
    """Digest → repositories of the same registry that have the blob, or may: the base image's comes first."""
    found: dict[str, list[str]] = {}
    for each in tree.manifests:
        if not each.is_index:
            parsed = parse_manifest(each.data)
            base = _on_same_host(parsed.annotations.get(BASE_NAME), session)
            for blob in parsed.layers if base else ():
                found.setdefault(blob.digest, []).append(base)
    for name, digest in _known(store, session) if store is not None else ():
        names = found.setdefault(digest, [])
        if name not in names:
            names.append(name)
    return found


def _on_same_host(text: str | None, session: Session) -> str:
    """The repository that a reference names, when it is another one of the session's registry; else empty."""
    try:
        found = repository_of(parse_reference(text)) if text else None
    except FormationError:
        return ""
    if found is None or found.host != session.repository.host or found == session.repository:
        return ""
    return found.name


def _known(store: Store, session: Session) -> list[tuple[str, str]]:
    """Repository and digest of each blob that was pulled from, or pushed to, another repository of this registry."""
    found = []
    for sent in list_sent(store):
        if name := _on_same_host(sent.repository, session):
            found += [(name, digest) for digest in sent.blobs]
    for image in list_images(store):
        name = _on_same_host(str(image.reference), session)
        if name:
            try:
                blobs = tree_at(StoreBlobs(store), image.descriptor).blobs
            except FormationError:
                # What is damaged there is no matter of this push.
                continue
            found += [(name, blob.digest) for blob in blobs]
    return found
