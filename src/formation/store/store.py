"""The content-addressed cache of one user: downloads, segments, unpacked trees, blobs, images.

Layout, below `$XDG_CACHE_HOME/formation` (or `FORMATION_STORE`):

    downloads/HH/HEX.deb        a .deb, named by its sha256; checked whenever it enters
    metadata/                   InRelease files and parsed indexes
    segments/KEY.*              a package as part of a layer, and what is in it
    trees/KEY/                  a package unpacked, for the sandbox; read only
    effects/KEY.*               what the maintainer scripts of a stage changed
    blobs/sha256/HEX            layers, configs and manifests, named by their digest
    images/                     reference → manifest digest
    work/                       of running builds; each holds a lock file, and is removed when its owner is gone

A name appears only when its content is complete, so a killed run leaves nothing that a later run could mistake.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Store:
    """Where things are. It holds no open files; two processes may use one store at once."""

    root: Path

    @property
    def downloads(self) -> Path:
        return self.root / "downloads"

    @property
    def metadata(self) -> Path:
        return self.root / "metadata"

    @property
    def segments(self) -> Path:
        return self.root / "segments"

    @property
    def trees(self) -> Path:
        return self.root / "trees"

    @property
    def effects(self) -> Path:
        return self.root / "effects"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def download(self, digest: str) -> Path:
        """Where the .deb with this sha256 digest is, or would be."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.downloads / hexadecimal[:2] / f"{hexadecimal}.deb"

    def blob(self, digest: str) -> Path:
        """Where the blob with this sha256 digest is, or would be."""
        return self.blobs / digest.removeprefix("sha256:")
