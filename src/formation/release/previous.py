"""The release that a new one follows."""

from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.definition.values import RUNTIME, variant_tag
from formation.errors import AnswerIsNo, UsageError
from formation.oci.descriptor import Descriptor
from formation.oci.image import read_verified
from formation.oci.manifest import parse_index
from formation.oci.media_types import INDEXES
from formation.oci.name import Transport
from formation.oci.reference import Reference
from formation.registry.refusal import NotThere
from formation.registry.registry import Registry, tags
from formation.registry.tag_plan import VersionTag, parse_version_tag
from formation.release.versions import highest, parse_version, same_line
from formation.store.blobs import StoreBlobs
from formation.store.images import list_images
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases of one repository, and which of them a new one follows."""

    transport: Transport
    """The store or a registry."""
    repository: str
    previous: str | None
    """The version that the new one follows; None: it is the first."""
    tags: frozenset[str]
    """All tags, without those of what the definition makes now."""
    chosen: bool = False
    """Whether somebody named the previous version, instead of having it found."""

    def named(self, version: str, variant: str) -> str | None:
        """The name of the image of `version` for a variant, `runtime` or another; None when there is none."""
        tag = variant_tag(version, variant)
        return f"{self.transport.value}{self.repository}:{tag}" if tag in self.tags else None

    def image(self, variant: str) -> str | None:
        """The name of the image that a variant follows; None when the variant is new."""
        version = self.version_of(variant)
        return None if version is None else self.named(version, variant)

    def version_of(self, variant: str) -> str | None:
        """The version that a variant follows: the previous one, or the newest before it that has the variant.

        None when there is none since the last version that was allowed to drop it: 2.0.0 owes nothing to 1.x.
        """
        if self.previous is None or self.named(self.previous, variant) is not None:
            return self.previous
        older = highest(self.tags, self.previous, "" if variant == RUNTIME else variant, below=True)
        return older if older is not None and same_line(older, self.previous) else None

    @property
    def variants(self) -> frozenset[str]:
        """All variants of the previous release."""
        found = (parse_version_tag(tag) for tag in self.tags)
        return frozenset(tag.variant or RUNTIME for tag in found if tag is not None and tag.version == self.previous)


def releases_in_store(store: Store, repository: str, version: str, not_digests: Iterable[str]) -> Releases:
    """Those of `repository` in the store; the previous one is the highest version that is not above `version`.

    Images of `version` itself with one of `not_digests` are no earlier release: they are the new one, built already.
    Raises AnswerIsNo as `highest_before`.
    """
    unwanted = frozenset(not_digests)
    found = _stored(store, repository)
    built = {tag for tag, digests in found.items() if tag_version(tag) == version and digests & unwanted}
    tags = found.keys() - built
    return Releases(
        Transport.STORE, repository, highest_before(tags, version, repository, known=found), frozenset(tags)
    )


def highest_before(tags: Iterable[str], version: str, repository: str, *, known: Iterable[str]) -> str | None:
    """The highest version among `tags` that is not above `version`; None when there is none, or `version` is `known`.

    Raises AnswerIsNo when all that is there is above: then `version` would be of no line.
    """
    known = frozenset(known)
    chosen = highest(tags, version)
    if chosen is None and not any(tag_version(tag) == version for tag in known):
        final = (tag for text in known if (tag := _final(text)) is not None)
        lowest = min(final, key=lambda tag: tag.release, default=None)
        if lowest is not None:
            raise AnswerIsNo(
                f"{version} is below every release of {repository}, the lowest of which is {lowest.version}",
                hint="a release of an older line follows one that is there; write a greater version",
            )
    return chosen


def tag_version(tag: str) -> str | None:
    """The version, without its variant, that `tag` is of; None when it is of none."""
    found = parse_version_tag(tag)
    return None if found is None else found.version


def _final(text: str) -> VersionTag | None:
    found = parse_version_tag(text)
    return None if found is None or found.prerelease else found


def release_in_store(store: Store, reference: Reference) -> Releases | None:
    """The releases, the previous one being that of the image `reference`.

    None when its tag is no version, or the store lacks it.
    """
    tag = None if reference.tag is None or reference.digest is not None else parse_version_tag(reference.tag)
    found = _stored(store, reference.repository)
    if tag is None or reference.tag not in found:
        return None
    return Releases(Transport.STORE, reference.repository, tag.version, frozenset(found))


def releases_in_registry(registry: Registry, reference: Reference, version: str) -> Releases:
    """Those of the registry's repository; the previous one is the highest version that is not above `version`.

    `reference` may name one version, which is then taken whatever there is besides. Raises UsageError for a tag that
    is no version or is not there, AnswerIsNo as `highest_before`, NotThere when there is no such repository, and as the
    registry's `tags` does.
    """
    if reference.digest is not None:
        raise UsageError(f"{reference} has a digest, and a release is known by its version")
    try:
        found = frozenset(tags(registry.target(reference), required=True))
    except NotThere as error:
        # Else a typing error would have any version pass for the first.
        hint = "look for a typing error; before the first release, leave --since out"
        raise NotThere(error.message, error.status, error.codes, hint=hint) from None
    if reference.tag is None:
        chosen = highest_before(found, version, reference.repository, known=found)
    elif reference.tag in found:
        # That of a variant is the release of all: its version is no pre-release.
        chosen = tag_version(reference.tag) or parse_version(reference.tag).text
    else:
        raise UsageError(
            f"{reference.repository} has no {parse_version(reference.tag).text}",
            hint=f"formation tags {reference.repository}",
        )
    return Releases(Transport.REGISTRY, reference.repository, chosen, found, chosen=reference.tag is not None)


def _stored(store: Store, repository: str) -> dict[str, frozenset[str]]:
    """Tag → digests of the images that it stands for in the store, one for each platform."""
    source = StoreBlobs(store)
    return {
        image.reference.tag: frozenset({image.descriptor.digest, *_children(source, image.descriptor)})
        for image in list_images(store)
        if image.reference.repository == repository and image.reference.tag is not None
    }


def _children(source: StoreBlobs, descriptor: Descriptor) -> tuple[str, ...]:
    if descriptor.media_type not in INDEXES:
        return ()
    return tuple(each.digest for each in parse_index(read_verified(source, descriptor, "image index")).manifests)
