"""What the tags of a repository stand for: which version holds a moving one, and whether a version's is still its own.

What is broken or gone is nobody's, for nobody can pull it: the list of versions alone then says whose the tag is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial

from formation.errors import IntegrityError, UnreachableError
from formation.oci.config import parse_config
from formation.oci.manifest import Manifest, parse_index, parse_manifest
from formation.oci.media_types import CONFIGS
from formation.registry.image_version import stated_version
from formation.registry.lease import Lease
from formation.registry.refusal import InternalError, NotThere, RegistryError
from formation.registry.registry import manifest, small_blob, tag_digest, tags
from formation.registry.session import Session
from formation.registry.tag_plan import VersionTag, holder, parse_version_tag
from formation.registry.tree import DEEPEST, Found


class TagReader:
    """What tags stand for, for one plan: what takes five tries to fail is asked for once."""

    def __init__(self, session: Session, published: Collection[str], lease: Lease | None) -> None:
        """`published` is the list of tags; `lease` is the publisher's own; None before it has one."""
        self.session = session
        self._published = published
        self._lease = lease
        self._versions: dict[str, str | UnreachableError | None] = {}
        self._others: dict[str, VersionTag | None] = {}
        self.broken: dict[str, str] = {}
        """Why the moving tags cannot be read that are there, and were taken for broken."""

    def version(self, tag: VersionTag) -> str | None:
        """What the version tag stands for; None: there is none, or it is broken. Raises UnreachableError."""
        found = self._version(tag)
        if isinstance(found, InternalError):
            return None
        if isinstance(found, UnreachableError):
            raise found
        return found

    def other(self, tag: VersionTag) -> VersionTag | None:
        """As `other_version`, of what the version tag stands for."""
        if tag.text not in self._others:
            digest = self.version(tag)
            self._others[tag.text] = None if digest is None else other_version(self.session, tag, digest)
        return self._others[tag.text]

    def lists(self, index: str, image: str) -> bool:
        """Whether what has the digest `index` is an index of the `image`. False also where that cannot be known."""
        try:
            found = manifest(self.session, index)
            return found.is_index and any(each.digest == image for each in parse_index(found.data).manifests)
        except (IntegrityError, UnreachableError, RegistryError):
            return False

    def moving(self, name: str) -> str | None:
        """What the moving tag `name` stands for; None: there is no such tag, or its manifest is broken.

        docker-registry answers 500 for a manifest that is cut on its disk, and many do so for what passes. The tag is
        therefore taken for broken only where other things can be read, and the tag of the greatest version of its line
        that is listed, for which it should stand, fails so as well: else it may stand for something newer. Raises
        UnreachableError then, and after any other failure.
        """
        best = holder(name, self._published)
        try:
            return tag_digest(self.session, name)
        except IntegrityError as error:
            self.broken[name] = error.message
            return None
        except InternalError as error:
            self._read_anything()
            if best is not None and isinstance(self._version(best), InternalError):
                self.broken[name] = error.message
                return None
            raise UnreachableError(error.message, hint=self._remedy(name, best)) from error

    def held_by(self, name: str, digest: str, variant: str) -> VersionTag | None:
        """As the function `held_by`. What is given to nobody is the listed version whose tag stands for it too.

        Harbor does so with images that have known vulnerabilities, and only the next version mends them.
        """
        try:
            return held_by(self.session, name, digest, variant)
        except RegistryError:
            best = holder(name, self._published)
            if best is not None and self.version(best) == digest:
                return best
            raise

    def _version(self, tag: VersionTag) -> str | UnreachableError | None:
        if tag.text not in self._versions:
            try:
                self._versions[tag.text] = tag_digest(self.session, tag.text)
            except IntegrityError:
                self._versions[tag.text] = None
            except UnreachableError as error:
                self._versions[tag.text] = error
        return self._versions[tag.text]

    def _read_anything(self) -> None:
        """Raises UnreachableError when the registry fails as a whole. The lease is a manifest that is surely whole."""
        if self._lease is None:
            tags(self.session)
        else:
            tag_digest(self.session, self._lease.tag)

    def _remedy(self, name: str, best: VersionTag | None) -> str:
        where = f"docker://{self.session.repository}"
        again = "run it again later, for what it stands for may be newer"
        return again if best is None else f"{again}; or put it right: formation copy {where}:{best.text} {where}:{name}"


def held_by(session: Session, name: str, digest: str, variant: str) -> VersionTag | None:
    """The version that the content of `digest` says it is, where it is one of the line of the moving tag `name`."""
    try:
        found = manifest(session, digest)
        said = _stated(session, found, *dict.fromkeys((variant, "")))
        if said is not None and said.variant != variant:
            said = _by_option(session, found, said, variant)
    except (IntegrityError, NotThere):
        return None
    return said if said is not None and name in said.moving else None


def _by_option(session: Session, found: Found, plain: VersionTag, variant: str) -> VersionTag | None:
    """The version of an image that is of `variant` because `publish --variant` said so: its own, `plain`, lacks the
    suffix.

    None where the runtime variant has it under that version: then it was put here by mistake. Where that is broken
    nobody knows, and the tag only moves forward.
    """
    with suppress(InternalError, IntegrityError):
        if tag_digest(session, plain.text) == found.descriptor.digest:
            return None
    return parse_version_tag(f"{plain.text}-{variant}", variant)


def other_version(session: Session, tag: VersionTag, digest: str) -> VersionTag | None:
    """The version that the content of `digest`, for which the version tag stands, says it is, where it is another.

    Then something that knows no versions wrote over the tag. None also where that cannot be known.
    """
    try:
        said = _stated(session, manifest(session, digest), tag.variant)
    except (IntegrityError, UnreachableError, RegistryError):
        return None
    return said if said is not None and said.text != tag.text else None


def _stated(session: Session, found: Found, *variants: str) -> VersionTag | None:
    """What `found` states, or else the first image of it, as a version of the first of `variants` that it can be.

    The config is asked for once. Raises IntegrityError, NotThere and as `manifest`.
    """
    for _ in range(DEEPEST):
        if not found.is_index:
            image = parse_manifest(found.data)
            return _first(image.annotations, cache(partial(_labels, session, image)), variants)
        index = parse_index(found.data)
        said = _first(index.annotations, dict, variants)
        first = next((entry for entry in index.manifests if not entry.is_attestation), None)
        if said is not None or first is None:
            return said
        found = manifest(session, first.digest, size=first.size)
    return None


def _first(
    annotations: Mapping[str, str], labels: Callable[[], Mapping[str, str]], variants: Sequence[str]
) -> VersionTag | None:
    found = (stated_version(annotations, labels, variant) for variant in variants)
    return next((said for said in found if said is not None), None)


def _labels(session: Session, image: Manifest) -> Mapping[str, str]:
    if image.config.media_type not in CONFIGS:
        return {}
    return parse_config(small_blob(session, image.config)).execution.labels
