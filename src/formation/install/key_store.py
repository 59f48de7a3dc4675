"""Java's store of certificates: each entry has the time at which it was put there, which is that of the build.

ca-certificates-java makes it, which every JRE of Debian needs. Source: OpenJDK's sun.security.provider.JavaKeyStore.
"""

import hashlib
import struct
from pathlib import Path

from formation.install.inside import inside, read_file, write_file
from formation.install.roots import Root
from formation.install.stacked import lower_path

PATH = "etc/ssl/certs/java/cacerts"

_MAGIC = b"\xfe\xed\xfe\xed\x00\x00\x00\x02"
_PASSWORD = "changeit"
"""Everybody's: there is nothing secret in it."""
_CERTIFICATE = 2
_SUM = 20


def settle_times(root: Root, epoch: int) -> None:
    """Gives what scripts have put into the store of `root` the time `epoch`, in seconds since 1970."""
    place = inside(root.path, PATH)
    data = read_file(place)
    if data is None or data == _before(root):
        return
    settled = with_time(data, epoch)
    if settled is not None:
        write_file(place, settled)


def _before(root: Root) -> bytes | None:
    place: Path | None = lower_path(PATH, root.lowers)
    return None if place is None else read_file(place)


def with_time(data: bytes, epoch: int) -> bytes | None:
    """The store `data` with all entries of `epoch`; None when it is of another kind, or has another password."""
    body = bytearray(data[:-_SUM])
    if not data.startswith(_MAGIC) or _sum(body) != data[-_SUM:]:
        return None
    try:
        (count,) = struct.unpack_from(">I", body, len(_MAGIC))
        offset = len(_MAGIC) + 4
        for _ in range(count):
            kind, name = struct.unpack_from(">IH", body, offset)
            if kind != _CERTIFICATE:
                return None
            offset += 6 + name
            struct.pack_into(">Q", body, offset, epoch * 1000)
            (type_,) = struct.unpack_from(">H", body, offset + 8)
            offset += 10 + type_
            (size,) = struct.unpack_from(">I", body, offset)
            offset += 4 + size
    except struct.error:
        return None
    return bytes(body) + _sum(body) if offset == len(body) else None


def _sum(body: bytes | bytearray) -> bytes:
    return hashlib.sha1(_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body, usedforsecurity=False).digest()
