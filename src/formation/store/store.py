"""The content-addressed cache of one user: downloads, segments, unpacked trees, blobs, images.

Layout, below `$XDG_CACHE_HOME/formation` (or `FORMATION_STORE`):

    downloads/HH/HEX.deb        a .deb, named by its sha256; checked whenever it enters
    metadata/                   InRelease files and parsed indexes
    segments/KEY.*              a package as part of a layer, and what is in it
    trees/KEY/                  the files of a package, or a base, for the sandbox; read only
    effects/KEY/                what the maintainer scripts of a stage changed
    layers/KEY.json             which blob the layer of some segments is
    builds/KEY.json             which image came of a lock and a definition
    contents/KEY.*              what is in a layer, and in which files its digest was found right
    blobs/sha256/HEX            layers, configs and manifests, named by their digest
    images/HEX.json             reference → manifest digest, named by the reference's sha256 (see images.py)
    sent/HEX.json               which blobs a repository of a registry was sent (see sent.py)
    work/NAME/, work/NAME.lock  of a running build, removed when its owner is gone (see locking.py)
    unsynced.json               since when, and in which boot, downloads, segments, trees and effects are not synced
    lock                        held shared by those who use the store, exclusively by those who prune it
    images.lock                 held by who adds to what an image's record says

A name appears only when its content is complete, so a killed run leaves nothing that a later run could mistake: what
it leaves begins with a dot or is below work/. Prune removes it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from formation.dataclass import dataclass
from formation.errors import UsageError

GONE = ".gone-"
"""How an entry's name begins while it is removed."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where things are. It holds no open files; two processes may use one store at once."""

    root: Path
    """Absolute. It need not exist yet."""

    @classmethod
    def open(cls, environment: Mapping[str, str], directory: Path | None = None) -> Self:
        """The store that `environment` names: FORMATION_STORE, $XDG_CACHE_HOME/formation or ~/.cache/formation.

        A relative FORMATION_STORE is below `directory`; None makes it an error. An XDG_CACHE_HOME that is relative
        does not count, as the XDG base directory specification demands. Raises UsageError when nothing says where.
        """
        chosen = environment.get("FORMATION_STORE")
        if chosen:
            root = Path(chosen) if directory is None else directory / chosen
            if not root.is_absolute():
                raise UsageError(f"FORMATION_STORE is not an absolute path: {chosen}")
            return cls(root)
        cache, home = environment.get("XDG_CACHE_HOME", ""), environment.get("HOME", "")
        if cache.startswith("/"):
            return cls(Path(cache) / "formation")
        if home.startswith("/"):
            return cls(Path(home) / ".cache" / "formation")
        raise UsageError("no place for the store: HOME is not set", hint="name one: --store DIR or FORMATION_STORE=DIR")

    def refuse_as_output(self, path: Path) -> None:
        """Raises UsageError when `path`, where a person wants something written, is in the store: prunes remove it."""
        # Not Path.resolve, which has an error of its own for a link that leads to itself.
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise UsageError(f"{path} is in the store, which keeps nothing but its own", hint="name another place")

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
    def layers(self) -> Path:
        return self.root / "layers"

    @property
    def builds(self) -> Path:
        return self.root / "builds"

    @property
    def contents(self) -> Path:
        return self.root / "contents"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs" / "sha256"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def sent(self) -> Path:
        return self.root / "sent"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def images_lock(self) -> Path:
        return self.root / "images.lock"

    def download(self, digest: str) -> Path:
        """Where the .deb with this sha256 digest is, or would be."""
        hexadecimal = digest.removeprefix("sha256:")
        return self.downloads / hexadecimal[:2] / f"{hexadecimal}.deb"

    def blob(self, digest: str) -> Path:
        """Where the blob with this sha256 digest is, or would be."""
        return self.blobs / digest.removeprefix("sha256:")
