"""A finished layer, as images are put together from it."""

from formation.dataclass import dataclass
from formation.oci.media_types import Compression


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A layer that is in the store's blobs."""

    kind: str
    """`packages`, `effects` or `application`."""
    packages: tuple[tuple[str, str], ...]
    """Name and version of the packages in it, sorted."""
    digest: str
    size: int
    """Compressed, in bytes."""
    diff_id: str
    compression: Compression
