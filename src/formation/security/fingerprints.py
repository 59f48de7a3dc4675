"""The fingerprints of the keys in an OpenPGP keyring, armoured or not, read without trusting it. Source: RFC 9580.

Only the packets' frames are read: checking who may sign is apt's work. An OpenPGP library would take longer to load
than an audit of a known image takes.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Final

from formation.errors import MalformedError

_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END = b"-----END PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY: Final = 6
_MOST_KEYS = 500


def fingerprints(data: bytes) -> tuple[str, ...]:
    """Of each primary key in `data`, in upper case and its order. Raises MalformedError when it is no keyring."""
    if data.lstrip()[:5] == b"-----":
        blocks = [_dearmoured(block.partition(_END)[0]) for block in data.split(_BEGIN)[1:_MOST_KEYS]]
    else:
        blocks = [data]
    found = [
        fingerprint
        for block in blocks
        for tag, body in _packets(block)
        if tag == _PUBLIC_KEY and (fingerprint := _fingerprint(body)) is not None
    ]
    if not found:
        raise MalformedError("it has no public key")
    return tuple(found[:_MOST_KEYS])


def _dearmoured(text: bytes) -> bytes:
    """The packets of an armoured block: the lines after the headers and the empty line, without the checksum."""
    lines = [line.strip() for line in text.split(b"\n")]
    body = [line for line in lines if line and b":" not in line and not line.startswith(b"=")]
    try:
        return base64.b64decode(b"".join(body), validate=True)
    except binascii.Error as error:
        raise MalformedError(f"its armour is damaged: {error}") from None


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and body of each packet. Raises MalformedError."""
    position = 0
    while position < len(data):
        first = data[position]
        if not first & 0x80:
            raise MalformedError("it is no OpenPGP data")
        if first & 0x40:
            tag, start, size = first & 0x3F, *_new_length(data, position + 1)
        else:
            tag, start, size = (first >> 2) & 0x0F, *_old_length(data, position + 1, first & 3)
        if start + size > len(data):
            raise MalformedError("it is cut off")
        yield tag, data[start : start + size]
        position = start + size


def _new_length(data: bytes, position: int) -> tuple[int, int]:
    """Where the body starts, and its length. Partial lengths are for data, never for keys."""
    head = data[position : position + 5]
    if not head or 224 <= head[0] < 255 or len(head) < (1 if head[0] < 192 else 2 if head[0] < 224 else 5):
        raise MalformedError("a packet has no length")
    if head[0] < 192:
        return position + 1, head[0]
    if head[0] < 224:
        return position + 2, ((head[0] - 192) << 8) + head[1] + 192
    return position + 5, int.from_bytes(head[1:5])


def _old_length(data: bytes, position: int, kind: int) -> tuple[int, int]:
    if kind == 3:
        return position, len(data) - position
    width = 1 << kind
    if position + width > len(data):
        raise MalformedError("a packet has no length")
    return position + width, int.from_bytes(data[position : position + width])


def _fingerprint(body: bytes) -> str | None:
    version = body[:1]
    if version == b"\4" and len(body) < 1 << 16:
        return hashlib.sha1(b"\x99" + len(body).to_bytes(2) + body, usedforsecurity=False).hexdigest().upper()
    if version == b"\6":
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4) + body).hexdigest().upper()
    return None
