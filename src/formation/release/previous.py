"""The release that a new one follows."""

from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.definition.values import RUNTIME, variant_tag
from formation.errors import UsageError
from formation.oci.name import Transport
from formation.oci.reference import Reference
from formation.registry.registry import Registry, tags
from formation.registry.tag_plan import parse_version_tag
from formation.release.versions import highest, parse_version
from formation.store.images import list_images
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class PreviousRelease:
    """Where the images of a release are, one for each variant."""

    transport: Transport
    """The store or a registry."""
    repository: str
    version: str
    tags: frozenset[str]
    """All tags of the repository."""

    def image(self, variant: str) -> str | None:
        """The name of the image of a variant, `runtime` or another; None when it has none."""
        tag = variant_tag(self.version, variant)
        return f"{self.transport.value}{self.repository}:{tag}" if tag in self.tags else None

    @property
    def variants(self) -> frozenset[str]:
        """All variants of the release."""
        found = (parse_version_tag(tag) for tag in self.tags)
        return frozenset(tag.variant or RUNTIME for tag in found if tag is not None and tag.version == self.version)


def previous_in_store(
    store: Store, repository: str, version: str, not_digests: Iterable[str]
) -> PreviousRelease | None:
    """The highest version of `repository` in the store that is not above `version`; None when there is none.

    An image with one of `not_digests` is no earlier release: it is the new one, built under its own version.
    """
    unwanted = frozenset(not_digests)
    found = _stored(store, repository)
    chosen = highest((tag for tag, digest in found.items() if digest not in unwanted), version)
    return None if chosen is None else PreviousRelease(Transport.STORE, repository, chosen, frozenset(found))


def release_in_store(store: Store, reference: Reference) -> PreviousRelease | None:
    """The release of which `reference` is one image; None when its tag is no version, or the store lacks it."""
    tag = None if reference.tag is None or reference.digest is not None else parse_version_tag(reference.tag)
    found = _stored(store, reference.repository)
    if tag is None or reference.tag not in found:
        return None
    return PreviousRelease(Transport.STORE, reference.repository, tag.version, frozenset(found))


def previous_in_registry(registry: Registry, reference: Reference, version: str) -> PreviousRelease | None:
    """The highest version in the registry's repository that is not above `version`; None when there is none.

    `reference` may name one version, which is then taken whatever there is besides. Raises UsageError for a tag that
    is no version, and as the registry's `tags` does.
    """
    found = frozenset(tags(registry.target(reference)))
    chosen = highest(found, version) if reference.tag is None else parse_version(reference.tag).text
    if reference.digest is not None:
        raise UsageError(f"{reference} has a digest, and a release is known by its version")
    return None if chosen is None else PreviousRelease(Transport.REGISTRY, reference.repository, chosen, found)


def _stored(store: Store, repository: str) -> dict[str, str]:
    """Tag → digest of the images of `repository` in the store."""
    return {
        image.reference.tag: image.descriptor.digest
        for image in list_images(store)
        if image.reference.repository == repository and image.reference.tag is not None
    }
