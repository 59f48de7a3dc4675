"""Whether the images of one version are all that its lock is for: a version gets no platform later."""

from collections.abc import Sequence

from formation.build.image import platform_of
from formation.oci.image import Image
from formation.registry.platforms import is_for
from formation.release.snapshot import lock_of
from formation.store.store import Store


def missing_architectures(images: Sequence[Image], store: Store) -> tuple[str, ...]:
    """The architectures, by Debian's names, that the locks of `images` name and none of them is for, sorted.

    A lock is looked for beside its image, and in the `store`; empty where there is none.
    """
    named: set[str] = set()
    for image in images:
        lock = lock_of(image, store)
        if lock is not None:
            named |= {*lock.packages, *(base.architecture for base in lock.base)}
    return tuple(sorted(name for name in named if not any(is_for(image, platform_of(name)) for image in images)))
