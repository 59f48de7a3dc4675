"""The definition of a service, from its file or from what the store remembers of the very bytes in it."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from formation import __version__
from formation.definition.record import FORMAT, decode, encode
from formation.definition.service_values import ServiceDefinition
from formation.files import write_bytes
from formation.store.store import Store

_PACKAGES = re.compile(rb"^packages:", re.MULTILINE)


def is_new_with_packages(path: Path, store: Store) -> bool:
    """Whether the store does not know the definition, which seems to say something of packages: then some will likely
    be installed. A guess, for who can start early on what that takes; the caller uses the store."""
    record = _record(path, store)
    if record is None or record.exists():
        return False
    try:
        return _PACKAGES.search(_file(path).read_bytes()) is not None
    except OSError:
        return False


def remembered_service(path: Path, store: Store) -> ServiceDefinition:
    """What `definition.load.load_service` gives of `path`, and raises; the caller uses the store.

    A definition with archives of its own is always read: the keys of those are in files beside it.
    """
    before = _record(path, store)
    if before is not None:
        with suppress(OSError, ValueError):
            return decode(before.read_bytes())
    # Not at the top: importing it takes longer than all else together.
    from formation.definition.load import load_service

    service = load_service(path)
    # Not when somebody edited it meanwhile: nobody knows whether before it was read, or after.
    if before is not None and service.archives is None and before == _record(path, store):
        with suppress(TypeError):
            write_bytes(before, encode(service), synced=False)
    return service


def _record(path: Path, store: Store) -> Path | None:
    """Where the definition is remembered; None when it cannot be read, which loading it explains."""
    file = _file(path)
    try:
        data = file.read_bytes()
    except OSError:
        return None
    digest = hashlib.sha256(repr((__version__, FORMAT, str(file))).encode("utf-8", "surrogateescape") + data)
    return store.builds / f"definition-{digest.hexdigest()}.json"


def _file(path: Path) -> Path:
    return path / "formation.yaml" if path.is_dir() else path
