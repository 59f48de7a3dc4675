"""Opening an image by its name, wherever it is kept."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from formation.engines.engine import Engine
from formation.engines.save import save
from formation.errors import UsageError
from formation.oci.archive_reader import read_docker_archive, read_oci_archive
from formation.oci.descriptor import Platform
from formation.oci.image import Image
from formation.oci.layout import open_layout
from formation.oci.name import ImageName, Transport
from formation.store.images import open_stored
from formation.store.locking import in_use, work_directory
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
    path = None if name.path is None else directory / name.path
    if name.transport is Transport.LAYOUT and path is not None:
        yield open_layout(path).image(name.tag, platform)
    elif name.transport is Transport.LAYOUT_ARCHIVE and path is not None:
        yield read_oci_archive(path, name.tag, platform)
    elif name.transport is Transport.DOCKER_ARCHIVE and path is not None:
        yield read_docker_archive(path, name.reference)
    elif name.transport is Transport.DOCKER_DAEMON and name.reference is not None:
        with work_directory(store) as work:
            archive = work / "image.tar"
            save(Engine("docker", environment), name.reference, archive)
            yield read_docker_archive(archive)
    elif name.transport is Transport.REGISTRY:
        raise UsageError(f"{name} is in a registry, and has to be here first", hint=f"formation pull {name}")
    else:
        assert name.reference is not None
        with in_use(store):
            yield open_stored(store, name.reference, platform)
