"""Opening images that are kept outside the store: in layouts, archives and Docker's daemon."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from formation.engines.engine import Engine
from formation.engines.save import save
from formation.oci.archive_reader import read_docker_archive, read_oci_archive
from formation.oci.descriptor import Platform
from formation.oci.image import Image
from formation.oci.layout import open_layout
from formation.oci.name import ImageName, Transport
from formation.store.locking import work_directory
from formation.store.store import Store


@contextmanager
def open_outside(
    name: ImageName, store: Store, *, directory: Path, environment: Mapping[str, str], platform: Platform | None
) -> Iterator[Image]:
    """The image that `name`, of none but these transports, stands for; otherwise as `open_image.open_image`."""
    path = None if name.path is None else directory / name.path
    if name.transport is Transport.LAYOUT and path is not None:
        yield open_layout(path).image(name.tag, platform)
    elif name.transport is Transport.LAYOUT_ARCHIVE and path is not None:
        yield read_oci_archive(path, name.tag, platform)
    elif name.transport is Transport.DOCKER_ARCHIVE and path is not None:
        yield read_docker_archive(path, name.reference)
    else:
        assert name.transport is Transport.DOCKER_DAEMON and name.reference is not None
        with work_directory(store) as work:
            archive = work / "image.tar"
            save(Engine("docker", environment), name.reference, archive)
            yield read_docker_archive(archive)
