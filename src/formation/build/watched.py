"""What decides the image of a service besides its definition and its lock: its base, and its own files."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from formation.build.recall import Read, shape
from formation.build.service import ServicePlan
from formation.dataclass import dataclass
from formation.definition.service_values import ServiceDefinition
from formation.digest import sha256_file
from formation.install.stacked import walk
from formation.oci.name import Transport, parse_name
from formation.store.images import record_path
from formation.store.store import Store

_LARGEST_ARCHIVE = 256 << 20
"""Bytes that are hashed at every build: opening an archive takes no longer than hashing more."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What was looked at before a build, so that a change meanwhile counts as one since."""

    files: Mapping[Path, str]
    """What says which image the base is, texts in which variables are substituted, and keys; their digests."""
    shapes: Mapping[Path, str]
    """The sources and the keys, as `recall.shape` sees them."""

    def read(self, plan: ServicePlan) -> Read:
        """All that `plan` is of."""
        pinned = {each.local: each.pinned.digest for each in plan.files if each.local and each.pinned}
        return Read({**self.files, **pinned}, shapes=self.shapes)


def watch(service: ServiceDefinition, store: Store) -> Watched | None:
    """What `service` is made of now; None when that cannot be told: a base of an engine or registry, a missing file."""
    directory = service.path.parent
    try:
        base = _base_file(service, store)
        if base is None:
            return None
        sources = [(directory / file.source, file.variables is not None) for file in service.files if file.source]
        texts = [text for path, has_variables in sources if has_variables for text in _files(path)]
        keys = _keys(service) if service.archives else []
        files = {path: sha256_file(path) for path in (base, *texts, *keys)}
        return Watched(files, {path: shape(path) for path in (*(path for path, _ in sources), *keys)})
    except OSError:
        return None


def _base_file(service: ServiceDefinition, store: Store) -> Path | None:
    """The file whose content says which image the base is; None when there is no such file on this machine."""
    name = parse_name(service.base)
    if name.transport is Transport.STORE and name.reference is not None:
        return record_path(store, name.reference)
    if name.path is None:
        return None
    path = service.path.parent / name.path
    if name.transport is Transport.LAYOUT:
        return path / "index.json"
    return path if path.stat().st_size <= _LARGEST_ARCHIVE else None


def _keys(service: ServiceDefinition) -> list[Path]:
    """The key files of a service with archives of its own: whether the lock is stale depends on them."""
    # Not at the top: it imports what reads definitions, which happened already for such a service, and for no other.
    from formation.definition.archives import is_key_file

    archives = service.archives or ()
    return [service.path.parent / key for archive in archives for key in archive.keys if is_key_file(key)]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        # Not rglob, which recurses.
        yield from (path / each for each, status in walk(path) if stat.S_ISREG(status.st_mode))
    else:
        yield path
