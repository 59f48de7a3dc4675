"""Versions into a registry: written once, with moving tags that move last and forward only (docs/publishing.md)."""

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Literal

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, UnreachableError, UsageError
from formation.oci.descriptor import Descriptor
from formation.oci.image import BlobSource, Image, remedy_of
from formation.oci.media_types import OCI_INDEX
from formation.oci.platform_index import platform_index
from formation.oci.reference import Reference
from formation.registry.history import Move, note_moves
from formation.registry.lease import Lease, lease
from formation.registry.look_again import look_again
from formation.registry.moving_tags import TagReader
from formation.registry.push import Pushed, lacks, push_blobs, push_manifests, remember
from formation.registry.refusal import RegistryError
from formation.registry.registry import Registry, put_manifest, tags, version_digest
from formation.registry.session import Session
from formation.registry.tag_plan import VersionTag, holder, moves, parse_version_tag
from formation.registry.tree import Found, Tree, tree_of_image
from formation.store.store import Store

Action = Literal["write", "move", "there", "stays"]
"""`write`: a new tag. `move`: an old one, to this version. `there`: it is right. `stays`: it is for a newer version."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One version of one variant: what is to be published."""

    tag: VersionTag
    images: tuple[Image, ...]
    """One for each platform, sorted by platform."""

    @property
    def tree(self) -> Tree:
        """The image itself, or an index of all; the same images always give the same bytes."""
        if len(self.images) == 1:
            return tree_of_image(self.images[0])
        data = platform_index(self.images, self.tag.text)
        children = tuple(tree_of_image(image).root for image in self.images)
        root = Found(Descriptor(OCI_INDEX, sha256(data), len(data)), data)
        return Tree(root, (*children, root))


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one tag."""

    tag: str
    action: Action
    before: str | None
    """The digest that it stood for; None: there was no such tag, or a moving one was broken."""
    after: str | None
    """The digest that it stands for afterwards; None: still no such tag, since it is for a newer version to write."""
    newer: str | None = None
    """The newer version for which it stays."""
    held: bool = False
    """Whether the tag stands for that version. If not, it is wrong until that one is published again."""
    newer_says: str | None = None
    """The other version that the image under the tag of the newer one says it is; None: none is known."""
    problem: str | None = None
    """Why `before` and `after` cannot be told; it stays for the newer version in any case."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a run did, or would do."""

    steps: tuple[Step, ...]
    """In the order in which tags are written."""
    pushed: tuple[Pushed, ...]
    """Empty when nothing had to be pushed."""
    lacking: tuple[str, ...] = ()
    """The versions of which the repository lacked blobs or manifests, although every tag was right."""

    @property
    def unchanged(self) -> bool:
        """Whether all was there before."""
        return not self.lacking and _settled(self.steps)


def _settled(steps: Sequence[Step]) -> bool:
    return all(step.action in ("there", "stays") for step in steps)


def publications(images: Sequence[tuple[VersionTag, Image]]) -> tuple[Publication, ...]:
    """The images by version and variant, the lowest version first. Raises UsageError for a platform given twice."""
    groups: dict[str, dict[str, Image]] = {}
    parsed: dict[str, VersionTag] = {}
    for tag, image in images:
        platform = str(image.config.platform)
        group = groups.setdefault(tag.text, {})
        if platform in group and group[platform].digest != image.digest:
            raise UsageError(f"two different images for {platform} were given as {tag.text}")
        group[platform], parsed[tag.text] = image, tag
    found = [Publication(parsed[text], tuple(group[name] for name in sorted(group))) for text, group in groups.items()]
    return tuple(sorted(found, key=lambda publication: (publication.tag.release, publication.tag.text)))


def publish(
    wanted: Sequence[Publication],
    repository: Reference,
    registry: Registry,
    *,
    store: Store | None = None,
    dry_run: bool = False,
) -> Published:
    """Publishes all of `wanted`: blobs, manifests, version tags, moving tags, in this order. Idempotent.

    Cut anywhere it leaves every tag right, and running it again finishes. Where every tag is right, it sends what the
    repository has lost of what they stand for, and writes nothing else. Raises FormationError when a version has other
    content in the registry already, or other publishers do not end.
    """
    session = registry.target(repository)
    plan = _plan(wanted, session)
    settled = _settled(plan)
    due = [each for each in wanted if not settled or lacks(each.tree, session, registry)]
    lacking = tuple(each.tag.text for each in due) if settled else ()
    if dry_run or not due:
        return Published(tuple(plan), (), lacking)
    pushed = []
    for publication in due:
        tree = publication.tree
        pushed.append(push_blobs(tree, _Sources(publication.images), session, registry, store=store))
        push_manifests(tree, session)
    if not settled:
        with lease(session, registry.progress.note) as held:
            # Planned anew: somebody may have published since.
            plan = _plan(wanted, session, held)
            _note_moves(plan, held, registry.progress.note)
            _write(plan, wanted, held)
            for publication in wanted:
                digest = publication.tree.root.descriptor.digest
                written = {s.tag for s in plan if s.action in ("write", "move") and s.after == digest}
                look_again(publication.tag, digest, written, held)
    if store is not None:
        for publication in due:
            remember(store, session, publication.tree, registry.progress.note)
    return Published(tuple(plan), tuple(pushed), lacking)


def _plan(wanted: Sequence[Publication], session: Session, held: Lease | None = None) -> list[Step]:
    """Version tags first, then moving tags, the narrowest of each version first.

    With the lease `held` a plan was made before, in which nothing was in the way. A tag is asked for even where the
    list lacks it: no list that lies, or lags behind, has a version overwritten. Nor has a 404 that the list denies; of
    a moving tag it is believed, for the versions in the list decide where that goes.
    """
    published = set(tags(session) if held is None else held.tags())
    steps, digests = [], {publication.tag.text: publication.tree.root.descriptor.digest for publication in wanted}
    moving, reader = [], TagReader(session, published, held)
    for publication in wanted:
        tag, digest = publication.tag, digests[publication.tag.text]
        before = version_digest(session, tag.text, lambda: published)
        if before is not None and before != digest:
            raise _taken(session, tag, before, digest, reader, at_once=held is not None)
        steps.append(Step(tag.text, "write" if before is None else "there", before, digest))
    everything = published.union(digests)
    for publication in wanted:
        tag = publication.tag
        mine = moves(tag, everything)
        for name in tag.moving:
            best = tag if name in mine else holder(name, everything) or tag
            try:
                before = reader.moving(name)
                moving.append(_moving_step(name, tag, best, before, digests, reader))
            except (UnreachableError, RegistryError) as error:
                if name in mine:
                    raise
                moving.append(Step(name, "stays", None, None, best.text, problem=error.message))
    # Where two versions of one run share a line, only the greater one speaks of its tags.
    chosen = {step.tag: step for step in moving}
    chosen |= {step.tag: step for step in moving if step.action != "stays"}
    return [*steps, *chosen.values()]


def _taken(
    session: Session, tag: VersionTag, before: str, digest: str, reader: TagReader, *, at_once: bool
) -> FormationError:
    """The error for a version that is there as `before`, and not as `digest`."""
    there, digests = f"{session.repository}:{tag.text}", f"{before} there, {digest} here"
    if reader.lists(before, digest):
        return FormationError(
            f"{there} is published already, as an index that has this image for its platform: {digests}",
            hint="there is nothing left to publish; to send again what the registry has lost, name the images of all "
            "its platforms",
        )
    if (other := reader.other(tag)) is not None:
        return FormationError(
            f"{there} holds an image that calls itself {other.text}: {digests}",
            hint="if somebody wrote over the tag, put back what it was, and publish again: "
            f"formation copy --force IMAGE docker://{there}",
        )
    return FormationError(
        f"{there} is published already, {'by another publisher at the same time, ' if at_once else ''}with other "
        f"content: {digests}",
        hint="a version is written once; give this content the next one: "
        f"formation release DIR --since docker://{session.repository}",
    )


def _moving_step(
    name: str, tag: VersionTag, best: VersionTag, before: str | None, digests: Mapping[str, str], reader: TagReader
) -> Step:
    """What happens to the moving tag `name`, which stands for `before`, when `tag` is published.

    `best` is the greatest version of the tag's line, and `digests` knows those of this run. What the tag stands for
    holds it only where it says that it is of the line: else somebody put it there by hand, or by mistake.
    """
    digest = digests[tag.text]
    if best.release > tag.release:
        if before is None:
            return Step(name, "stays", None, None, best.text, problem=reader.broken.get(name))
        its, other = digests.get(best.text), None
        if its is None:
            its, other = reader.version(best), reader.other(best)
        if before == its and other is None:
            return Step(name, "stays", before, before, best.text, True)
        said = reader.held_by(name, before, tag.variant)
        right = said is not None and (said.release, other is not None) > (best.release, False)
        newer = said.text if said and right else best.text
        return Step(name, "stays", before, before, newer, right, other.text if other and newer == best.text else None)
    if before == digest:
        return Step(name, "there", before, digest)
    said = None if before is None else reader.held_by(name, before, tag.variant)
    if said is not None and said.release > tag.release:
        # Its own tag may have been removed, and it is still newer.
        return Step(name, "stays", before, before, said.text, True)
    return Step(name, "write" if before is None else "move", before, digest)


def _write(plan: Sequence[Step], wanted: Sequence[Publication], held: Lease) -> None:
    roots = {publication.tree.root.descriptor.digest: publication.tree.root for publication in wanted}
    for step in plan:
        if step.action in ("write", "move") and step.after is not None:
            root = roots[step.after]
            put_manifest(held.session, root.data, root.descriptor.media_type, step.tag, guard=held.check)


def _note_moves(plan: Sequence[Step], held: Lease, note: Callable[[str], None]) -> None:
    """Notes down when which tag is written. A repository that takes no such note can be published to all the same."""
    at = held.now().isoformat(timespec="seconds").replace("+00:00", "Z")
    due = [Move(at, s.tag, s.before, s.after) for s in plan if s.action in ("write", "move") and s.after is not None]
    try:
        noted = note_moves(held.session, due, guard=held.check) if due else ()
    except (RegistryError, IntegrityError, UnreachableError) as error:
        note(f"`formation tags` will not tell when these tags were written: {error.message}")
        return
    known = {move.tag: move for move in noted}
    for move in due:
        was = known.get(move.tag)
        if move.before is None and parse_version_tag(move.tag) and was is not None and was.after != move.after:
            note(
                f"{move.tag} was published on {was.at[:10]} as {was.after}, or was about to be, and is not there any "
                "more: who has that has other content of the same version"
            )


class _Sources:
    """The blobs of several images as one BlobSource."""

    def __init__(self, images: Sequence[Image]) -> None:
        self._sources: Mapping[str, BlobSource] = {
            blob.digest: image.source for image in images for blob in (image.manifest.config, *image.manifest.layers)
        }

    def open_blob(self, digest: str) -> BinaryIO:
        return self._sources[digest].open_blob(digest)

    def remedy(self, digest: str) -> str | None:
        return remedy_of(self._sources[digest], digest)
