"""Blobs of a few bytes that are made here: the configs of artifacts."""

import io
from typing import BinaryIO

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.oci.descriptor import Descriptor
from formation.registry.session import Session
from formation.registry.upload import upload_blob


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A BlobSource of one blob."""

    data: bytes

    def open_blob(self, digest: str) -> BinaryIO:
        return io.BytesIO(self.data)


def upload_bytes(session: Session, data: bytes) -> str:
    """Makes the repository have `data` as a blob, and gives its digest. Idempotent. Raises as `upload_blob`."""
    descriptor = Descriptor("application/octet-stream", sha256(data), len(data))
    upload_blob(session, descriptor, _Bytes(data), lambda amount: None)
    return descriptor.digest
