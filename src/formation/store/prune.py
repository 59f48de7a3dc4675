"""What the store holds, and removing what nothing needs any more."""

import os
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from formation.dataclass import dataclass
from formation.errors import FormationError, quoted
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.descriptor import Descriptor
from formation.oci.image import read_verified
from formation.oci.manifest import parse_index, parse_manifest
from formation.oci.media_types import INDEXES
from formation.store.blobs import StoreBlobs, has_blob
from formation.store.images import list_images
from formation.store.locking import RemoveTree, alone
from formation.store.store import GONE, Store

KINDS = (
    "downloads",
    "metadata",
    "segments",
    "trees",
    "effects",
    "layers",
    "builds",
    "contents",
    "blobs",
    "images",
    "sent",
    "work",
)
"""The kinds of entries, in the order in which a build makes them."""

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Usage:
    """What one kind of entries takes."""

    kind: str
    """One of KINDS."""
    entries: int
    size: int
    """Bytes on disk."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept or removed as one: a segment and its list of files share a key."""

    kind: str
    paths: tuple[Path, ...]
    size: int
    used: float
    """Seconds since 1970 of the last use that the file system knows of."""


def usage(store: Store) -> tuple[Usage, ...]:
    """What each kind takes now. Reads no content; entries that vanish meanwhile count as they were seen."""
    return _sum(_entries(store))


def unreadable(store: Store) -> tuple[Path, ...]:
    """What `usage` takes for empty because this user may not look into it: the store itself, or all of a kind."""
    return tuple(path for path in (store.root, *(store.root / kind for kind in KINDS)) if _is_closed(path))


def _is_closed(directory: Path) -> bool:
    try:
        os.listdir(directory)
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def prune(
    store: Store,
    *,
    before: float | None,
    remove: RemoveTree,
    keep_images: bool = True,
    dry_run: bool = False,
    wait: bool = False,
    note: Callable[[str], None] = lambda message: None,
) -> tuple[Usage, ...]:
    """Removes what was last used before `before`, in seconds since 1970 (None: whenever), and gives what went, by kind.

    Always removed: blobs of no image, and what killed runs left. Never, while `keep_images`: images and the blobs that
    they need, however old. A killed prune leaves every entry whole or gone. `remove` is called for every path, and
    `note` told of each image that lacks a manifest. While another process uses the store it waits, or raises
    FormationError; it raises that when something could not be removed, too, after the rest was.
    """
    with alone(store, wait=wait, note=note):
        needed = _needed_blobs(store, note) if keep_images else frozenset()
        going = [entry for entry in _entries(store) if _goes(entry, needed, before, keep_images)]
        if not dry_run:
            # What a killed prune left goes first, since it has the names that this one uses; then images before
            # their blobs, since no reference may outlive what it stands for.
            going.sort(key=lambda entry: (not entry.paths[0].name.startswith("."), entry.kind != "images"))
            _remove(going, remove)
        return _sum(going)


def mark_used(path: Path) -> None:
    """Tells a later prune that the tree or file `path` was used now, to the day: more often, only `path` is looked at.

    Does nothing where that cannot be written.
    """
    try:
        state = path.stat()
        if _used(state) < time.time() - _DAY:
            os.utime(path, ns=(time.time_ns(), state.st_mtime_ns))
    except OSError:
        pass


def _goes(entry: _Entry, needed: frozenset[str], before: float | None, keep_images: bool) -> bool:
    if entry.kind == "work" or entry.paths[0].name.startswith("."):
        return True
    if entry.kind == "images":
        return not keep_images
    if entry.kind == "blobs":
        return entry.paths[0].name not in needed
    return before is None or entry.used < before


def _needed_blobs(store: Store, note: Callable[[str], None]) -> frozenset[str]:
    """Hexadecimal digests of all blobs that an image of the store needs. Raises when an image is damaged.

    One whose manifest is not there at all needs nothing any more, and `note` is told how it can be had again.
    """
    needed: set[str] = set()
    source = StoreBlobs(store)
    for image in list_images(store):
        needed |= {digest.removeprefix("sha256:") for digest in image.digests}
        todo = [image.descriptor]
        while todo:
            descriptor = todo.pop()
            needed.add(descriptor.digest.removeprefix("sha256:"))
            if has_blob(store, descriptor.digest):
                todo += _children(source, descriptor, needed)
            else:
                remedy = f"pull or build it again, or forget it: formation images --remove {quoted(image.reference)}"
                note(f"the store lacks {descriptor.digest} of {image.reference}: {remedy}")
    return frozenset(needed)


def _children(source: StoreBlobs, descriptor: Descriptor, needed: set[str]) -> tuple[Descriptor, ...]:
    """Adds the blobs that the manifest names to `needed`; gives the manifests that an index names."""
    data = read_verified(source, descriptor, "image manifest")
    if descriptor.media_type in INDEXES:
        return parse_index(data).manifests
    manifest = parse_manifest(data)
    needed |= {blob.digest.removeprefix("sha256:") for blob in (manifest.config, *manifest.layers)}
    needed.add(manifest.annotations.get(LOCK_DIGEST, "").removeprefix("sha256:"))
    return ()


def _entries(store: Store) -> Iterator[_Entry]:
    """Everything in the store, kind by kind. Directories that cannot be read count as empty."""
    for directory in (
        store.downloads,
        store.metadata,
        store.layers,
        store.builds,
        store.blobs,
        store.images,
        store.sent,
    ):
        for path in _files(directory):
            yield _entry(directory, (path,))
    for directory in (store.segments, store.effects, store.trees, store.contents, store.work):
        keys: dict[str, list[Path]] = defaultdict(list)
        for path in _children_of(directory):
            keys[path.name if path.name.startswith(".") else path.name.partition(".")[0]].append(path)
        for paths in keys.values():
            yield _entry(directory, tuple(paths))


def _entry(directory: Path, paths: tuple[Path, ...]) -> _Entry:
    kind = directory.parent.name if directory.name == "sha256" else directory.name
    states = [state for path in paths for state in _states(path)]
    used = max((_used(state) for path in paths if (state := _state(path)) is not None), default=0.0)
    return _Entry(kind, paths, sum(state.st_blocks * 512 for state in states), used)


def _used(state: os.stat_result) -> float:
    # A tree's mtime is that of the package, and its atime moves whenever somebody lists it; ctime is when it came here,
    # or was marked as used. For files, most systems mount with relatime: atime is a day wrong at most.
    return state.st_ctime if stat.S_ISDIR(state.st_mode) else max(state.st_atime, state.st_mtime)


def _states(path: Path) -> Iterator[os.stat_result]:
    pending = [path]
    while pending:
        path = pending.pop()
        state = _state(path)
        if state is not None:
            yield state
            if stat.S_ISDIR(state.st_mode):
                pending += _children_of(path)


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _files(directory: Path) -> Iterator[Path]:
    for path in _children_of(directory):
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _children_of(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _sum(entries: Iterable[_Entry]) -> tuple[Usage, ...]:
    """The entries of each kind added up; every kind is there, in a fixed order."""
    counts = dict.fromkeys(KINDS, 0)
    sizes = dict.fromkeys(KINDS, 0)
    for entry in entries:
        counts[entry.kind] += 1
        sizes[entry.kind] += entry.size
    return tuple(Usage(kind, counts[kind], sizes[kind]) for kind in KINDS)


def _remove(entries: list[_Entry], remove: RemoveTree) -> None:
    failed = []
    for path in [path for entry in entries for path in entry.paths]:
        # Renamed within its directory first, for a half-removed tree must not be taken for a whole one. Another
        # directory would not do: moving a directory that belongs to a subordinate user id rewrites its `..`, for
        # which the kernel wants write permission on it.
        gone = path if path.name.startswith(".") else path.with_name(f"{GONE}{path.name[:200]}")
        try:
            path.rename(gone)
            remove(gone)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append(f"{path} ({error.strerror})")
    if failed:
        raise FormationError(f"{len(failed)} entries could not be removed, the first: {failed[0]}")
