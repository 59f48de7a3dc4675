"""The blobs of a registry as a BlobSource: each is fetched, verified, when it is first opened."""

import io
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from formation.errors import FormationError
from formation.network.partial import PartialFile
from formation.oci.descriptor import Descriptor
from formation.oci.regular_file import open_regular
from formation.registry.download import download_blob
from formation.registry.session import Session
from formation.registry.tree import Tree


class RegistryBlobs:
    """The blobs of a tree. Its files are in a directory that somebody else removes."""

    def __init__(self, sessions: Sequence[Session], tree: Tree, directory: Path) -> None:
        """`sessions` are asked in order."""
        self._sessions = sessions
        self._documents = tree.documents
        self._blobs: Mapping[str, Descriptor] = {blob.digest: blob for blob in tree.blobs}
        self._directory = directory
        self._locks = {digest: threading.Lock() for digest in self._blobs}

    def open_blob(self, digest: str) -> BinaryIO:
        """The blob. Raises RegistryError, UnreachableError, IntegrityError, and FormationError for one of no image."""
        if digest in self._documents:
            return io.BytesIO(self._documents[digest])
        if digest not in self._blobs:
            raise FormationError(f"blob {digest} belongs to none of the images that were asked for")
        path = self._directory / digest.removeprefix("sha256:")
        with self._locks[digest]:
            if not path.exists():
                with PartialFile(path, self._blobs[digest].size, lambda amount: None) as file:
                    download_blob(self._sessions, self._blobs[digest], file)
                    file.keep(synced=False)
        return open_regular(path, f"blob {digest}")
