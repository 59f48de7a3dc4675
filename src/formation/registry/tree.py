"""A manifest, or an index and everything below it, as values: what is pulled, pushed and copied as one."""

from collections.abc import Callable, Iterator

from formation.dataclass import dataclass, field
from formation.errors import MalformedError
from formation.oci.descriptor import Descriptor
from formation.oci.image import BlobSource, Image, read_verified
from formation.oci.manifest import parse_index, parse_manifest
from formation.oci.media_types import INDEXES

_MOST_MANIFESTS = 1000
DEEPEST = 4
"""Indexes may hold indexes; nobody nests them deeper than twice."""


@dataclass(frozen=True, slots=True)
class Found:
    """The bytes of a manifest or index, verified."""

    descriptor: Descriptor
    data: bytes = field(repr=False)

    @property
    def is_index(self) -> bool:
        """Whether it names manifests."""
        return self.descriptor.media_type in INDEXES


@dataclass(frozen=True, slots=True)
class Tree:
    """Manifests that belong together."""

    root: Found
    manifests: tuple[Found, ...]
    """All of them, the root last: each comes after those that it names."""

    @property
    def documents(self) -> dict[str, bytes]:
        """Digest → bytes of every manifest and index."""
        return {each.descriptor.digest: each.data for each in self.manifests}

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every config and layer once, the largest first, so that none of them keeps the others waiting at the end."""
        found: dict[str, Descriptor] = {}
        for each in self.manifests:
            if not each.is_index:
                parsed = parse_manifest(each.data)
                found |= {blob.digest: blob for blob in (parsed.config, *parsed.layers)}
        return tuple(sorted(found.values(), key=lambda blob: -blob.size))


def tree_of_image(image: Image) -> Tree:
    """The tree that one image is."""
    found = Found(image.descriptor, image.manifest_bytes)
    return Tree(found, (found,))


def tree_at(source: BlobSource, descriptor: Descriptor) -> Tree:
    """The tree at `descriptor` in `source`. Raises IntegrityError and MalformedError."""

    def read(child: Descriptor) -> Found:
        return Found(child, read_verified(source, child, "manifest"))

    return read_tree(read(descriptor), read)


def read_tree(root: Found, read: Callable[[Descriptor], Found]) -> Tree:
    """The tree below `root`, whose manifests `read` brings. Raises MalformedError when it is unreasonably large."""
    seen: set[str] = set()

    def visit(each: Found, depth: int) -> Iterator[Found]:
        if len(seen) >= _MOST_MANIFESTS or depth > DEEPEST:
            reason = f"more than {_MOST_MANIFESTS} manifests, or {DEEPEST} levels of indexes"
            raise MalformedError(f"{root.descriptor.digest} holds {reason}")
        seen.add(each.descriptor.digest)
        if each.is_index:
            for child in parse_index(each.data).manifests:
                if child.digest not in seen:
                    yield from visit(read(child), depth + 1)
        yield each

    return Tree(root, tuple(visit(root, 0)))
