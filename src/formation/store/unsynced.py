"""Which trees, segments, effects and downloads a power cut may have damaged.

They are many files, and syncing each would cost a build more than unpacking does; the archives have what they are made
from. So the store notes since when they are not synced, and in which boot of the machine. As long as that boot goes on,
the kernel's view of them is right. A build that finds another boot removes what was not synced, and makes it again. Of
the downloads, whose names are their digests, it removes only the damaged: without a network there are no others.

    unsynced.json     {"boot": ID, "since": SECONDS}; synced itself, and there before the first entry is
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from formation.dataclass import dataclass
from formation.digest import sha256_file
from formation.files import json_bytes, write_bytes
from formation.store.locking import alone
from formation.store.store import GONE, Store

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SETTLED = 60
"""Seconds after which the kernel has long begun to write by itself (30, by default): then a sync has little to do."""


@dataclass(frozen=True, slots=True)
class _Note:
    boot: str
    since: float
    """Seconds since 1970: what was made before is synced."""


def boot_id() -> str:
    """What tells this boot of the machine from every other: random(4). Empty where the kernel does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def forget_damaged(store: Store, boot: str, now: float) -> list[Path]:
    """Before a build: takes what was not synced when the machine went down out of the store.

    Gives what is left of it, below names that nobody looks for, to be removed. Waits while somebody uses the store, so
    the caller must not. `boot` is `boot_id()`, and `now` in seconds since 1970.
    """
    note = _read(store)
    if note is not None and note.boot == boot:
        return []
    with alone(store, wait=True):
        note = _read(store)
        # A store that has no note has nothing yet, or was made by a formation that knew of none.
        damaged = [] if note is None or note.boot == boot else list(_made_since(store, note.since))
        gone = [path.replace(path.with_name(f"{GONE}{path.name}")) for path in damaged]
        # Coarser than the clock of any file system.
        _write(store, _Note(boot, now - 2))
    return gone


def sync_behind(store: Store, boot: str, now: float) -> threading.Thread | None:
    """Syncs what earlier builds made, in the background; None when there is nothing to sync, or it is too recent.

    A build that ends earlier does not wait for it.
    """
    note = _read(store)
    if note is None or note.boot != boot or note.since > now - _SETTLED:
        return None
    thread = threading.Thread(target=_sync, args=(store, _Note(boot, now - 2)), daemon=True)
    thread.start()
    return thread


def _sync(store: Store, after: _Note) -> None:
    """Has the kernel write all of the store's file system, then notes that."""
    import ctypes

    try:
        directory = os.open(store.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # syncfs(2) tells of failed writes since Linux 5.8.
            if ctypes.CDLL(None, use_errno=True).syncfs(directory) == 0:
                _write(store, after)
        finally:
            os.close(directory)
    except (OSError, AttributeError):
        # Not synced, so the note stays as it is.
        pass


def _made_since(store: Store, since: float) -> Iterator[Path]:
    """The entries that were made then or later, the record of each before what it describes.

    Of the downloads, only those that are damaged.
    """
    records = store.segments.glob("*.json") if store.segments.is_dir() else ()
    segments = {path.stem for path in records if not path.name.startswith(".") and path.stat().st_mtime < since}
    for directory in (store.segments, store.trees):
        for path in sorted(_entries(directory), key=lambda path: path.suffix != ".json"):
            if path.name.partition(".")[0] not in segments:
                yield path
    for path in _entries(store.effects):
        try:
            whole = (path / "effects.json").stat().st_mtime < since
        except OSError:
            whole = False
        if not whole:
            yield path
    for path in store.downloads.glob("*/*.deb"):
        if (
            not path.name.startswith(".")
            and path.stat().st_mtime >= since
            and sha256_file(path) != f"sha256:{path.stem}"
        ):
            yield path


def _entries(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []


def _path(store: Store) -> Path:
    return store.root / "unsynced.json"


def _read(store: Store) -> _Note | None:
    """None when there is none. One that cannot be read stands for a boot that nobody knows, in which all was made."""
    try:
        fields = json.loads(_path(store).read_bytes())
        return _Note(str(fields["boot"]), float(fields["since"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return _Note("", 0.0)


def _write(store: Store, note: _Note) -> None:
    write_bytes(_path(store), json_bytes({"boot": note.boot, "since": note.since}))
