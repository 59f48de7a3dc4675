"""A lock: every byte that a build reads, pinned."""

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LockedSuite:
    """One InRelease file that was verified when the lock was made."""

    archive: str
    """Name of the archive in the definition."""
    uri: str
    suite: str
    components: tuple[str, ...]
    sha256: str
    """Digest of the InRelease file's bytes, `sha256:…`."""
    date: int
    """Its Date, in seconds since 1970."""
    valid_until: int | None
    signed_by: str
    """Fingerprint of the key that made the signature: 40 upper-case hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class LockedBase:
    """The image that a service stands on, for one architecture."""

    name: str
    """As the definition has it: formation/base:1.0.0"""
    architecture: str
    digest: str
    """Of its manifest, `sha256:…`."""


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One .deb."""

    name: str
    version: str
    architecture: str
    """amd64, arm64, … or all."""
    source: str
    source_version: str
    sha256: str
    """Digest of the .deb, `sha256:…`."""
    size: int
    """Of the .deb, in bytes."""
    installed_size: int
    """The Installed-Size field, in KiB; 0 when missing."""
    archive: str
    suite: str
    path: str
    """Relative to the archive's uri: pool/main/b/bash/bash_5.2.37-2+b10_amd64.deb"""
    variants: tuple[str, ...]
    """Variants of the definition that add it; one that extends such a variant has it too. Sorted."""
    because: str
    """Why it is here: `requested`, `essential`, or `NAME DEPENDENCY-FIELD` of the package that pulled it in,
    such as `curl Depends`. Where several variants add it, why the first of them in the definition's order does."""
    essential: bool
    """Essential, or needed by an essential package: unpacked and configured before all others."""
    requested_as: tuple[str, ...] = ()
    """Virtual packages that requests name, and this one stands for; sorted. Nothing else in a lock tells of them."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of formation.lock."""

    definition: str
    """`Definition.digest` or `ServiceDefinition.digest` of the definition that it was made from."""
    epoch: int
    """Seconds since 1970: the newest date of its suites and of its base. No file in the image is younger."""
    suites: tuple[LockedSuite, ...]
    """In the definition's order; none when a service adds no package to its base."""
    packages: dict[str, tuple[LockedPackage, ...]]
    """Per architecture of the definition, in its order; sorted by name. A service has what it adds to its base."""
    base: tuple[LockedBase, ...] = ()
    """Of a service, one for each architecture, in the definition's order; empty for a base."""

    def of(self, architecture: str, variants: frozenset[str]) -> tuple[LockedPackage, ...]:
        """The packages that any of `variants` adds on `architecture`, sorted by name."""
        return tuple(p for p in self.packages[architecture] if not variants.isdisjoint(p.variants))
