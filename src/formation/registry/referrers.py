"""What a registry has beside an image that vouches for it: signatures, SBOMs, provenance.

Three ways are in use. An artifact names the image as its subject: distribution-spec 1.1, "Listing Referrers", and its
tag for registries that cannot list. cosign wrote tags before that: sha256-HEX.sig, .att and .sbom. BuildKit lists
attestations in the index of the image.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from formation.oci.descriptor import Descriptor
from formation.oci.manifest import parse_index, parse_manifest
from formation.oci.reference import Reference
from formation.registry.refusal import NotThere, RegistryError, WebPage
from formation.registry.registry import Registry, manifest
from formation.registry.session import Session
from formation.registry.tree import Found

_MOST: Final = 50
"""Artifacts of one image that are looked at."""
_COSIGN: Final = {"sig": "signature", "sbom": "sbom", "att": "attestation"}
"""End of the tag → what it holds."""
_PREDICATES: Final = ("in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType")
"""Annotations that say what an attestation states."""
_SUBJECT: Final = "vnd.docker.reference.digest"
"""Of BuildKit: the image that an attestation in the same index is about."""


def artifact_types(reference: Reference, digest: str, registry: Registry) -> tuple[str, ...]:
    """What the artifacts are that the registry of `reference` has about its image with `digest`: sorted, each once.

    A type is what an attestation states, such as https://slsa.dev/provenance/v1, else a media type. What is about the
    index that `reference` stands for is about its images. None of them is verified: that takes the signer's key.

    Raises as `Registry.find`, and MalformedError for a manifest that is none.
    """
    sessions, named = registry.find(reference)
    session, found = sessions[0], set(_in_index(sessions[0], named, digest))
    for about in sorted({digest, named.descriptor.digest}):
        found |= {*_listed(session, about), *_tagged(session, about)}
    return tuple(sorted(found))


def _listed(session: Session, digest: str) -> Iterator[str]:
    """Of those that name `digest` as their subject."""
    what = f"the referrers of {session.repository}@{digest}"
    try:
        data, _ = session.read(f"{session.repository.path}/referrers/{digest}", what, session.scope("pull"))
    except (RegistryError, WebPage):
        # Who does not know the question answers 404, 405, 403, or with a page of its own. Whoever wants a login says so
        # for the tag, too.
        listed = _found(session, digest.replace(":", "-"))
        if listed is None or not listed.is_index:
            return
        data = listed.data
    for entry in parse_index(data).manifests[:_MOST]:
        yield from _stated((entry,)) or [entry.artifact_type or entry.media_type]


def _tagged(session: Session, digest: str) -> Iterator[str]:
    """Of those under cosign's tags."""
    for suffix, kind in _COSIGN.items():
        found = _found(session, f"{digest.replace(':', '-')}.{suffix}")
        if found is not None and not found.is_index:
            yield from _stated(parse_manifest(found.data).layers) or [kind]


def _in_index(session: Session, named: Found, digest: str) -> Iterator[str]:
    """Of BuildKit's attestations for the image."""
    if not named.is_index:
        return
    entries = parse_index(named.data).manifests
    about = [entry for entry in entries if entry.is_attestation and entry.annotations.get(_SUBJECT) == digest]
    for entry in about[:_MOST]:
        yield from _stated(parse_manifest(manifest(session, entry.digest, size=entry.size).data).layers)


def _stated(descriptors: Iterable[Descriptor]) -> list[str]:
    return [each.annotations[name] for each in descriptors for name in _PREDICATES if name in each.annotations]


def _found(session: Session, tag: str) -> Found | None:
    try:
        return manifest(session, tag)
    except NotThere:
        return None
