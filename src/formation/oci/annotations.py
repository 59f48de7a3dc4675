"""The annotations that Formation writes into the manifests of its images, and reads from those of others unharmed."""

from collections.abc import Iterable

from formation.oci.descriptor import Descriptor

LAYER_KIND = "dev.formation.layer.kind"
"""Of a layer's descriptor: `packages` or `effects`."""

LAYER_PACKAGES = "dev.formation.layer.packages"
"""Of a layer's descriptor: the packages whose files it holds."""

LOCK_DIGEST = "dev.formation.lock.digest"
"""Of a manifest: the digest of the lock that the image was built from, a blob of the store."""

COMPRESSOR = "dev.formation.compressor"
"""Of a manifest: what compressed its layers, as `oci.compression.FORMAT` names it."""

BASE_NAME = "org.opencontainers.image.base.name"
"""Of a manifest, and a label: the image that it stands on (annotations.md)."""

BASE_DIGEST = "org.opencontainers.image.base.digest"
"""Of a manifest, and a label: the digest of that image's manifest (annotations.md)."""


def packages_text(packages: Iterable[tuple[str, str]]) -> str:
    """Pairs of name and version as the value of LAYER_PACKAGES: `name=version`, separated by commas, sorted.

    Neither a name nor a version may contain `,` or `=` (Debian policy 5.6.1 and 5.6.12).
    """
    return ",".join(f"{name}={version}" for name, version in sorted(packages))


def layer_packages(descriptor: Descriptor) -> tuple[tuple[str, str], ...]:
    """Pairs of name and version of the packages in a layer, as annotated; empty when nothing says."""
    entries = descriptor.annotations.get(LAYER_PACKAGES, "").split(",")
    pairs = (entry.partition("=") for entry in entries if entry)
    return tuple((name, version) for name, _, version in pairs)
