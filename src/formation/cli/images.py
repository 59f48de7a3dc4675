"""`formation images`: what the local store holds."""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.text import size_text, table

if TYPE_CHECKING:
    from formation.oci.descriptor import Descriptor
    from formation.store.images import StoredImage
    from formation.store.store import Store


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "images",
        "list the images in the local store, or forget some",
        """
        Lists the images in the local store: reference, digest, platform, size as stored (compressed), number of layers
        and time of creation.

        The time of creation of an image that Formation built is that of the newest file in its packages, since the hour
        of the build must not change the image.
        """,
        """
        formation images
        formation images --json | jq -r '.images[].digest'
        formation images --remove formation/base:1.0.0-dev
        """,
    )
    parser.add_argument(
        "--remove",
        metavar="REFERENCE",
        action="append",
        default=[],
        help="forget this image; `formation cache prune` frees its space",
    )
    parser.add_argument("--dry-run", action="store_true", help="with --remove: only say what would be forgotten")
    parser.add_argument("--json", action="store_true", help="print the images as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.store.images import list_images

    if arguments.remove:
        return _remove(arguments, context)
    rows = [_describe(context.store, image) for image in list_images(context.store)]
    if arguments.json:
        context.write_json({"images": rows})
    elif not rows:
        context.write(f"no images in {context.store.root}\n")
    else:
        context.write(_table(rows))
    return 0


def _remove(arguments: Namespace, context: Context) -> int:
    from formation.oci.reference import parse_reference
    from formation.store.images import find_image, remove_image

    references = [parse_reference(text) for text in arguments.remove]
    # All are looked up before the first goes: a mistyped name leaves everything as it is.
    found = [find_image(context.store, reference).reference for reference in references]
    for reference in found if not arguments.dry_run else []:
        remove_image(context.store, reference)
    if arguments.json:
        context.write_json({"removed": [str(reference) for reference in found], "dry_run": arguments.dry_run})
    else:
        verb = "would remove" if arguments.dry_run else "removed"
        context.write("".join(f"{verb} {reference}\n" for reference in found))
    return 0


def _describe(store: "Store", stored: "StoredImage") -> dict[str, Any]:
    """One image as data. An image whose blobs are damaged is listed with what is wrong, not hidden."""
    from formation.errors import FormationError
    from formation.oci.image import read_image, read_verified
    from formation.oci.manifest import parse_index
    from formation.oci.media_types import INDEXES
    from formation.store.blobs import StoreBlobs

    # An index of what came of another one is this store's alone: by the digest of that one registries know it.
    in_part = stored.index is not None and stored.descriptor.media_type in INDEXES
    row: dict[str, Any] = {
        "reference": str(stored.reference),
        "digest": stored.index if in_part else stored.descriptor.digest,
    }
    source = StoreBlobs(store)
    entries: tuple[Descriptor, ...] = (stored.descriptor,)
    try:
        if stored.descriptor.media_type in INDEXES:
            index = parse_index(read_verified(source, stored.descriptor, "image index"))
            entries = tuple(entry for entry in index.manifests if not entry.is_attestation)
        images = [read_image(source, entry) for entry in entries]
    except FormationError as error:
        return row | {"error": error.message}
    # An index of several platforms is one row; layers that they share are counted once.
    layers = {layer.digest: layer.size for image in images for layer in image.manifest.layers}
    rest = sum(image.size - sum(layer.size for layer in image.manifest.layers) for image in images)
    return row | {
        "platform": " ".join(
            str(entry.platform or image.config.platform) for entry, image in zip(entries, images, strict=True)
        ),
        "size": sum(layers.values()) + rest,
        "layers": len(layers),
        "created": max((image.config.created or "" for image in images), default="") or None,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [
        (
            row["reference"],
            row["digest"].removeprefix("sha256:")[:12],
            row.get("platform", ""),
            size_text(row["size"]) if "size" in row else "",
            str(row.get("layers", "")),
            row.get("created") or row.get("error", ""),
        )
        for row in rows
    ]
    return table(("REFERENCE", "DIGEST", "PLATFORM", "SIZE", "LAYERS", "CREATED"), cells, right=frozenset({3, 4}))
