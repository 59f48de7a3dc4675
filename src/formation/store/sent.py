"""Which blobs a repository of a registry was sent: a later push to the same registry has them mounted from there.

Hints, and no images: a repository may have lost what it was sent, and the registry then takes the bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from formation.dataclass import dataclass
from formation.digest import hexadecimal, sha256
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.oci.regular_file import read_regular
from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
from formation.store.store import Store

_MOST = 1000
"""Digests that are kept of one repository, the newest first: 75 kB."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one repository was sent."""

    repository: str
    """With its host: `registry.example.com/formation/base`."""
    blobs: tuple[str, ...]
    """Digests."""


def note_sent(store: Store, repository: str, blobs: Sequence[str]) -> None:
    """Notes down that `repository` has `blobs`. Idempotent; of two at the same moment one may be lost.

    Raises OSError where the store cannot be written.
    """
    path = store.sent / f"{hexadecimal(sha256(repository.encode()))}.json"
    try:
        before = _read(path).blobs
    except (OSError, FormationError):
        before = ()
    kept = list(dict.fromkeys((*blobs, *before)))[:_MOST]
    if kept != list(before):
        write_bytes(path, json_bytes({"repository": repository, "blobs": kept}))


def list_sent(store: Store) -> Iterator[Sent]:
    """What is noted down of each repository. What cannot be read is left out: it is a hint."""
    for path in sorted(store.sent.glob("*.json")):
        if not path.name.startswith("."):
            try:
                yield _read(path)
            except (OSError, FormationError):
                continue


def _read(path: Path) -> Sent:
    json = parse_object(read_regular(path, "the record of a push", MAXIMUM_SIZE), f"record of a push {path}")
    return Sent(json.text("repository"), tuple(json.texts("blobs")))
