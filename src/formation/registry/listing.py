"""What a repository holds: every tag, what it stands for, when that was made, and since when it stands for that."""

from collections.abc import Mapping, Sequence
from typing import Final

from formation.dataclass import dataclass
from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.oci.descriptor import Platform
from formation.oci.manifest import parse_index, parse_manifest
from formation.oci.media_types import CONFIGS
from formation.oci.platform_index import VERSION
from formation.oci.reference import Reference
from formation.oci.strict_json import parse_object
from formation.registry.history import HISTORY_TAG, Move, read_history
from formation.registry.lease import is_lease
from formation.registry.parallel import in_parallel
from formation.registry.refusal import LoginNeeded, NotThere, RegistryError
from formation.registry.registry import Registry, manifest, small_blob, tags
from formation.registry.session import Session
from formation.registry.tag_plan import parse_version_tag
from formation.registry.tree import Found

_MOST_IMAGES: Final = 50
"""Of one index, that are looked at."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a digest stands for."""

    digest: str
    platforms: tuple[str, ...]
    """`linux/amd64`; one for an image, several for an index."""
    created: str | None
    """RFC 3339, as its first image says."""
    size: int
    """Bytes of all its manifests, configs and layers, each once."""
    said: tuple[str, ...] = ()
    """What it says about its version: in its annotation, then in those and the label of its first image."""
    problem: FormationError | None = None
    """Why it cannot be told; then the rest is empty, the digest too where the manifest is broken."""


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One tag."""

    tag: str
    content: Content
    version: str | None
    """The version tag with the same content: of a version tag itself; None: the content is that of no version."""
    says: str | None
    """The version that the image of a version tag says it is, where it is another: somebody wrote over the tag."""
    moves: tuple[Move, ...]
    """What its publishers noted down, the oldest first."""
    moved: Move | None
    """How it came to stand for its content; None where that is not known."""


def list_tags(reference: Reference, registry: Registry) -> tuple[TagEntry, ...]:
    """The tags of the repository of `reference`: versions first, the newest above, then moving tags, then others.

    What is broken or refused is listed with its problem. Raises NotThere when there is no such repository, LoginNeeded,
    UnreachableError where nothing is given at all; a tag that vanishes meanwhile is left out.
    """
    session = registry.target(reference)
    named: dict[str, Found] = {}
    broken: dict[str, Content] = {}

    def find(tag: str) -> None:
        try:
            named[tag] = manifest(session, tag)
        except (IntegrityError, UnreachableError, RegistryError) as error:
            # docker-registry answers 500 for a manifest that is cut on its disk, and 404 for one that is gone there.
            broken[tag] = Content("", (), None, 0, problem=error)

    threads = registry.settings.connections
    there = tags(session, required=True)
    in_parallel((t for t in there if not is_lease(t) and t != HISTORY_TAG), find, registry.run, threads=threads)
    if gone := [tag for tag, each in broken.items() if isinstance(each.problem, NotThere)]:
        still = tags(session)
        for tag in gone:
            if tag not in still:
                del broken[tag]
    lost = [each.problem for each in broken.values() if isinstance(each.problem, (UnreachableError, LoginNeeded))]
    if lost and not named:
        raise lost[0]
    contents: dict[str, Content] = {}
    distinct = {found.descriptor.digest: found for found in named.values()}

    def look(found: Found) -> None:
        digest = found.descriptor.digest
        try:
            contents[digest] = _content(session, found)
        except (IntegrityError, UnreachableError, RegistryError) as error:
            contents[digest] = Content(digest, (), None, 0, problem=error)

    in_parallel(distinct.values(), look, registry.run, threads=threads)
    moves = _moves(session, registry) if HISTORY_TAG in there else {}
    its = {tag: contents[found.descriptor.digest] for tag, found in named.items()} | broken
    return tuple(sorted(_entries(its, moves), key=_order))


def _entries(its: Mapping[str, Content], moves: Mapping[str, Sequence[Move]]) -> list[TagEntry]:
    """The tags with `its` content, in any order."""
    says = {tag: _other(tag, content.said) for tag, content in its.items()}
    # A version's tag that was written over speaks for no content.
    own = {t: each.digest for t, each in its.items() if each.digest and says[t] is None and parse_version_tag(t)}
    return [
        TagEntry(
            tag,
            content,
            _version(tag, content.digest, own),
            says[tag],
            *_come_about(moves.get(tag, ()), content.digest),
        )
        for tag, content in its.items()
    ]


def _other(tag: str, said: Sequence[str]) -> str | None:
    """See TagEntry.says."""
    version = parse_version_tag(tag)
    if version is None:
        return None
    stated = next((found for text in said if (found := parse_version_tag(text, version.variant))), version)
    return None if stated.text == tag else stated.text


def _moves(session: Session, registry: Registry) -> dict[str, list[Move]]:
    """What is noted of each tag. Without what a stranger has written there, the tags are still those that they are."""
    found: dict[str, list[Move]] = {}
    try:
        for move in read_history(session):
            found.setdefault(move.tag, []).append(move)
    except FormationError as error:
        registry.progress.note(f"when tags moved is not known: {error.message}")
    return found


def _come_about(moves: Sequence[Move], digest: str) -> tuple[tuple[Move, ...], Move | None]:
    """`moves` of a tag that stands for `digest`, and the one that brought it there.

    Where it stands for what it did before the last of them, a publication was cut, or somebody moved it back.
    """
    if moves and moves[-1].before == digest != moves[-1].after:
        return tuple(moves[:-1]), None
    return tuple(moves), moves[-1] if moves and moves[-1].after == digest else None


def _version(tag: str, digest: str, versions: Mapping[str, str]) -> str | None:
    if parse_version_tag(tag) is not None:
        return tag
    return min((version for version, its in versions.items() if its == digest), default=None)


def _order(entry: TagEntry) -> tuple[int, tuple[int, int, int], bool, str]:
    found = parse_version_tag(entry.tag)
    if found is None:
        return (1 if entry.version else 2, (0, 0, 0), False, entry.tag)
    release = found.release
    return (0, (-release.major, -release.minor, -release.patch), bool(found.prerelease), entry.tag)


def _content(session: Session, found: Found) -> Content:
    if not found.is_index:
        return _of_image(session, found)
    index = parse_index(found.data)
    shown = [entry for entry in index.manifests if not entry.is_attestation][:_MOST_IMAGES]
    images = [_of_image(session, manifest(session, entry.digest, size=entry.size)) for entry in shown]
    # A config may leave out what its index says: the variant of an ARM.
    named = [
        (str(entry.platform),) if entry.platform else image.platforms
        for entry, image in zip(shown, images, strict=True)
    ]
    return Content(
        found.descriptor.digest,
        tuple(platform for platforms in named for platform in platforms),
        images[0].created if images else None,
        found.descriptor.size + sum(image.size for image in images),
        (*_annotated(index.annotations), *(images[0].said if images else ())),
    )


def _annotated(texts: Mapping[str, str]) -> tuple[str, ...]:
    return (texts[VERSION],) if VERSION in texts else ()


def _of_image(session: Session, found: Found) -> Content:
    if found.is_index:
        return Content(found.descriptor.digest, (), None, found.descriptor.size)
    parsed = parse_manifest(found.data)
    blobs = {blob.digest: blob.size for blob in (parsed.config, *parsed.layers)}
    size = found.descriptor.size + sum(blobs.values())
    said = _annotated(parsed.annotations)
    if parsed.config.media_type not in CONFIGS:
        return Content(found.descriptor.digest, (), None, size, said)
    json = parse_object(small_blob(session, parsed.config), "image config")
    # Signatures have a config of this type too, with nothing in it.
    system, machine, variant = (json.optional_text(name) or None for name in ("os", "architecture", "variant"))
    platforms = (str(Platform(system, machine, variant)),) if system and machine else ()
    settings = json.optional_object("config")
    labelled = () if settings is None else _annotated(settings.text_map("Labels"))
    return Content(found.descriptor.digest, platforms, json.optional_text("created"), size, (*said, *labelled))
