"""The platforms of the index that a name stands for: a comparison looks at one image of it, and tells of the others."""

from argparse import Namespace
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.registry_options import open_registry

if TYPE_CHECKING:
    from formation.oci.descriptor import Descriptor
    from formation.oci.name import ImageName
    from formation.progress import Progress


def platforms_of(name: "ImageName", arguments: Namespace, context: Context, progress: "Progress") -> tuple[str, ...]:
    """By Debian's names, or as OCI writes those that Debian does not have; empty where `name` is one image.

    Raises as the readers of indexes.
    """
    from formation.contract.facts import debian_name

    images = [each for each in _entries(name, arguments, context, progress) if not each.is_attestation]
    platforms = dict.fromkeys(each.platform for each in images if each.platform is not None)
    return tuple(debian_name(each) or str(each) for each in platforms)


def _entries(
    name: "ImageName", arguments: Namespace, context: Context, progress: "Progress"
) -> "tuple[Descriptor, ...]":
    from formation.oci.descriptor import REFERENCE_NAME, Descriptor
    from formation.oci.image import BlobSource, read_verified
    from formation.oci.layout import open_layout
    from formation.oci.manifest import parse_index
    from formation.oci.media_types import INDEXES
    from formation.oci.name import Transport
    from formation.oci.regular_file import read_regular
    from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
    from formation.store.blobs import StoreBlobs
    from formation.store.images import find_image

    source: BlobSource
    entries: tuple[Descriptor, ...]
    if name.transport is Transport.REGISTRY and name.reference is not None:
        if name.reference.digest is not None:
            # The pull of it has left its bytes there, and may have done without the network.
            data = read_regular(context.store.blob(name.reference.digest), "manifest", MAXIMUM_SIZE)
            return parse_index(data).manifests if "manifests" in parse_object(data, "manifest").value else ()
        with open_registry(arguments, context, progress) as registry:
            _, found = registry.find(name.reference)
        return parse_index(found.data).manifests if found.is_index else ()
    if name.transport is Transport.STORE and name.reference is not None:
        source, entries = StoreBlobs(context.store), (find_image(context.store, name.reference).descriptor,)
    elif name.transport is Transport.LAYOUT and name.path is not None:
        source = layout = open_layout(context.directory / name.path)
        entries = tuple(each for each in layout.index.manifests if each.annotations.get(REFERENCE_NAME) == name.tag)
    else:
        return ()
    if len(entries) != 1:
        return entries
    (entry,) = entries
    return parse_index(read_verified(source, entry, "image index")).manifests if entry.media_type in INDEXES else ()
