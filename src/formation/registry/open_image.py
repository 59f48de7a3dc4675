"""Opening what a name names, wherever it is: registries too."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from formation.dataclass import dataclass
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import BlobSource, Image, image_of, read_image
from formation.oci.layout import open_layout, select
from formation.oci.manifest import parse_manifest
from formation.oci.media_types import CONFIGS
from formation.oci.name import ImageName, Transport
from formation.registry.pull import find_one, find_tree
from formation.registry.registry import Registry
from formation.registry.session import Session
from formation.registry.source import RegistryBlobs
from formation.registry.tree import Found, Tree, tree_at, tree_of_image
from formation.store import open_image as elsewhere
from formation.store.blobs import StoreBlobs
from formation.store.images import find_image
from formation.store.locking import in_use, work_directory
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class Opened:
    """Manifests and their blobs."""

    tree: Tree
    source: BlobSource
    sessions: tuple[Session, ...] = ()
    """Of a registry, in the order to ask; empty for all else."""

    def image(self, platform: Platform | None) -> Image:
        """The image for `platform`, or the only one. Raises FormationError."""
        return read_image(self.source, self.tree.root.descriptor, platform)

    def images(self) -> tuple[Image, ...]:
        """Every image in the tree, without attestations and the like. Raises FormationError."""
        manifests = (each for each in self.tree.manifests if not each.is_index)
        found = (image_of(self.source, each.data) for each in manifests if _is_image(each))
        return tuple(found)


@contextmanager
def open_image(
    name: ImageName,
    store: Store,
    registry: Registry,
    *,
    directory: Path,
    environment: Mapping[str, str],
    platform: Platform | None = None,
) -> Iterator[Image]:
    """As `store.open_image`, for names in registries too: of those, a layer is fetched when it is first read."""
    if name.transport is not Transport.REGISTRY:
        with elsewhere.open_image(
            name, store, directory=directory, environment=environment, platform=platform
        ) as image:
            yield image
        return
    with open_tree(
        name, store, registry, directory=directory, environment=environment, platform=platform, whole=False
    ) as opened:
        yield opened.image(platform)


@contextmanager
def open_tree(
    name: ImageName,
    store: Store,
    registry: Registry,
    *,
    directory: Path,
    environment: Mapping[str, str],
    platform: Platform | None = None,
    whole: bool = True,
) -> Iterator[Opened]:
    """What `name` names, whole: an index with everything below it, unless `platform` chooses, or `whole` is False.

    Usable while the block runs. Archives and engines give one image. Raises as `store.open_image` and `pull_image`.
    """
    if name.transport is Transport.REGISTRY and name.reference is not None:
        if whole and platform is None:
            sessions, tree = find_tree(registry, name.reference)
        else:
            sessions, path = find_one(registry, name.reference, platform)
            tree = Tree(path[-1], path[-1:])
        with work_directory(store) as work:
            yield Opened(tree, RegistryBlobs(sessions, tree, work), sessions)
    elif name.transport is Transport.STORE and name.reference is not None:
        with in_use(store):
            yield _opened(StoreBlobs(store), find_image(store, name.reference).descriptor, platform)
    elif name.transport is Transport.LAYOUT and name.path is not None:
        layout = open_layout(directory / name.path)
        where = str(directory / name.path)
        yield _opened(layout, select(layout.index, name.tag, platform, where), platform)
    else:
        with elsewhere.open_image(
            name, store, directory=directory, environment=environment, platform=platform
        ) as image:
            yield Opened(tree_of_image(image), image.source)


def _is_image(found: Found) -> bool:
    return not found.descriptor.is_attestation and parse_manifest(found.data).config.media_type in CONFIGS


def _opened(source: BlobSource, descriptor: Descriptor, platform: Platform | None) -> Opened:
    if platform is not None:
        image = read_image(source, descriptor, platform)
        return Opened(tree_of_image(image), image.source)
    return Opened(tree_at(source, descriptor), source)
