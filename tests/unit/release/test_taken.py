"""Whether an image that has a version is what the definition makes."""

from dataclasses import replace

from formation.oci.descriptor import Platform
from formation.oci.image import Image
from formation.release.snapshot import Snapshot, snapshot_of_image
from formation.release.taken import is_other
from sound_image import EXECUTION, facts, sound_image

LOCK = {"dev.formation.lock.digest": "sha256:" + "1" * 64}
OTHER_LOCK = {"dev.formation.lock.digest": "sha256:" + "2" * 64}
OTHER_USER = replace(EXECUTION, user="root")
ARM = Platform("linux", "arm64", "v8")


def made(**options: object) -> Snapshot:
    return snapshot_of_image(facts(**options), "formation.yaml")


def elsewhere(image: Image) -> Image:
    """The same for another platform."""
    return replace(image, config=replace(image.config, platform=ARM))


def test_an_image_for_the_same_platform_is_known_by_its_digest():
    assert not is_other(sound_image(annotations=LOCK), made(annotations=LOCK), same_version=True)
    changed = sound_image(annotations=LOCK, execution=OTHER_USER)
    assert is_other(changed, made(annotations=LOCK), same_version=True)
    # Its version is part of what it is.
    assert not is_other(changed, made(annotations=LOCK), same_version=False)


def test_an_image_for_another_platform_is_known_by_its_lock():
    assert not is_other(elsewhere(sound_image(annotations=LOCK)), made(annotations=LOCK), same_version=True)
    assert is_other(elsewhere(sound_image(annotations=OTHER_LOCK)), made(annotations=LOCK), same_version=True)


def test_what_is_not_built_is_known_by_its_lock():
    lock = replace(made(), facts=None, digest=LOCK["dev.formation.lock.digest"])
    assert not is_other(sound_image(annotations=LOCK), lock, same_version=True)
    assert is_other(sound_image(annotations=OTHER_LOCK), lock, same_version=True)
    assert is_other(sound_image(), lock, same_version=True)
