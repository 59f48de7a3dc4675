"""Opening an image by its name, wherever it is kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from formation.errors import UsageError, quoted
from formation.oci.descriptor import Platform
from formation.oci.image import Image
from formation.oci.name import ImageName, Transport
from formation.store.images import open_stored
from formation.store.locking import in_use
from formation.store.store import Store


@contextmanager
def open_image(
    name: ImageName, store: Store, *, directory: Path, environment: Mapping[str, str], platform: Platform | None = None
) -> Iterator[Image]:
    """The image that `name` names, usable while the block runs; paths in `name` are below `directory`.

    `platform` chooses where a name stands for several images. A `docker-daemon:` image is saved into a file of the
    store for so long, by the docker client, which runs in `environment`. Raises FormationError when it is not there,
    IntegrityError and MalformedError when it is broken, UsageError for a registry: `registry.open_image` opens those.
    """
    if name.transport is Transport.REGISTRY:
        raise UsageError(
            f"{name} is in a registry, and has to be here first",
            hint=f"formation pull {quoted(name)}, and then without docker://: {name.reference}",
        )
    if name.transport is Transport.STORE:
        assert name.reference is not None
        with in_use(store):
            yield open_stored(store, name.reference, platform)
        return
    # Not at the top: the readers of archives and what runs engines take longer to import than a stored image to open.
    from formation.store.open_outside import open_outside

    with open_outside(name, store, directory=directory, environment=environment, platform=platform) as image:
        yield image
