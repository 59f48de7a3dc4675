"""Whether a version is there already with other content: it is written once, so the content needs another version."""

from formation.dataclass import dataclass
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.image import Image
from formation.release.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Taken:
    """A version that cannot be given any more."""

    name: str
    """Of an image that has it: `formation/base:2.0.0-rc.1`."""
    following: str
    """The next version for the same change, which no image there has."""


def is_other(image: Image, made: Snapshot, *, same_version: bool) -> bool:
    """Whether `image` has other content than `made`, which is what the definition makes for one platform, or its lock.

    All images of a version are of one lock, so one for another platform, which `made` cannot be, is known by that; and
    so is any where the definition has another version than `image` yet, which is part of the content.
    """
    if same_version and made.facts is not None and made.facts.image.config.platform == image.config.platform:
        return image.digest != made.digest
    lock = made.digest if made.facts is None else made.facts.image.manifest.annotations.get(LOCK_DIGEST)
    return image.manifest.annotations.get(LOCK_DIGEST) != lock
