"""A base image's layers as one tree on this machine: what the scripts of a service's packages stand on.

The merged view of the layers (`contents.filesystem`) says beforehand which entry of which layer is left at each path.
So a layer is read once, nothing is written that a later layer would remove, and no path of a layer is ever followed.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from formation.contents.filesystem import Filesystem
from formation.contents.layer import LayerContents, LayerEntry
from formation.dataclass import replace
from formation.entry import Entry, encode_path
from formation.errors import FormationError
from formation.install.facts import CAPABILITY, capabilities, is_as
from formation.install.tree_writer import TreeWriter
from formation.oci.image import Layer
from formation.oci.verified import CHUNK
from formation.store.prune import mark_used
from formation.store.store import Store
from formation.tarstream import read_tar

_FORMAT = 2
"""Part of every tree's name: a change of what is unpacked must raise it."""
_LAYERS_AT_ONCE = 2
_LATEST = 2**33 - 1


def base_tree(
    store: Store, layers: Sequence[Layer], contents: Sequence[LayerContents], merged: Filesystem, work: Path
) -> Path:
    """The tree of `layers`, base layer first, in the store; made below `work`, on its file system, when it is missing.

    So it is when it has lost owners, modes or times, as in a copy of a store. Devices are left out: no script of a
    package needs those of an image. Raises IntegrityError and MalformedError for a layer that is not what its digest
    promises, FormationError when it cannot be unpacked.
    """
    tree = store.trees / f"base-{chain_key(layers)}"
    if tree.is_dir():
        if _is_intact(tree, merged):
            mark_used(tree)
            return tree
        # Other builds know it by its name, and the work directory goes with this one.
        tree.rename(work / "damaged-base")
    size = sum(node.entry.size for _, node in merged)
    free = shutil.disk_usage(work).free
    if size > free:
        raise FormationError(
            f"the base takes {size} bytes, and {work} has {free} left", hint="formation cache prune --all"
        )
    scratch = work / "base"
    scratch.mkdir()
    writer = TreeWriter(scratch, 0)
    try:
        for path, node in merged:
            if node.entry.type == "directory":
                writer.directory(_plain(path, node.entry))
        # With all directories there, layers have nothing to do with each other. The interpreter's lock is free while
        # they are decompressed, hashed and written.
        with ThreadPoolExecutor(_LAYERS_AT_ONCE) as threads:
            for _ in threads.map(_unpack, layers, _wanted(contents, merged), repeat(writer), repeat(scratch)):
                pass
        writer.finish()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FormationError(f"the base cannot be unpacked: {reason}") from error
    finally:
        writer.close()
    with contextlib.suppress(OSError):
        # Another build may have been first; both have the same.
        scratch.rename(tree)
    return tree


def _is_intact(tree: Path, merged: Filesystem) -> bool:
    """Whether everything in `tree` has the type, owner, mode, time and capabilities that it was given."""
    inodes: dict[tuple[int, str], int] = {}
    for path, node in merged:
        entry = _plain(path, node.entry)
        if not path or entry.type in ("character", "block"):
            continue
        place = f"{tree}/{os.fsdecode(encode_path(path))}"
        try:
            status = os.lstat(place)
        except OSError:
            return False
        # Names of one file are that.
        inode = inodes.setdefault(node.origin, status.st_ino) if entry.type == "file" else status.st_ino
        if inode != status.st_ino or not is_as(status, entry):
            return False
        if node.entry.xattrs and capabilities(place) != _capabilities(node.entry):
            return False
    return True


def chain_key(layers: Sequence[Layer]) -> str:
    """The name of what `layers` hold: a function of their diffIDs."""
    text = " ".join((f"base {_FORMAT}", *(layer.diff_id for layer in layers)))
    return hashlib.sha256(text.encode()).hexdigest()


_Wanted = Mapping[int, tuple[str, ...]]
"""Number of an entry in its layer, from 0 → the paths at which its content is left."""


def _wanted(contents: Sequence[LayerContents], merged: Filesystem) -> Sequence[_Wanted]:
    """What is left of each layer."""
    # Where a path occurs twice in a layer, the last counts.
    last = [{entry.path: index for index, entry in enumerate(layer.entries)} for layer in contents]
    wanted: list[dict[int, tuple[str, ...]]] = [{} for _ in contents]
    for path, node in merged:
        number, origin = node.origin
        index = last[number].get(origin)
        if index is not None and node.entry.type in ("file", "symlink", "fifo"):
            wanted[number][index] = (*wanted[number].get(index, ()), path)
    return wanted


def _unpack(layer: Layer, wanted: _Wanted, writer: TreeWriter, tree: Path) -> None:
    """Writes what is wanted of a layer, which is verified to its end."""
    with layer.uncompressed() as stream:
        chunks = iter(lambda: stream.read(CHUNK), b"")
        # What is odd was judged when the layer was scanned; paths must come out as they did then.
        for index, (entry, content) in enumerate(read_tar(chunks, "the base", lambda _: None)):
            paths = wanted.get(index, ())
            if not paths:
                continue
            first = _plain(paths[0], entry)
            if entry.type != "file":
                write = writer.symlink if entry.type == "symlink" else writer.fifo
                for path in paths:
                    write(replace(first, path=path))
                continue
            writer.file(first, content)
            for name, value in _capabilities(entry):
                os.setxattr(tree / os.fsdecode(encode_path(first.path)), name, value, follow_symlinks=False)
            for path in paths[1:]:
                writer.hard_link(replace(first, path=path, target=first.path))
        for _ in chunks:
            pass


def _capabilities(entry: Entry | LayerEntry) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in entry.xattrs if name == CAPABILITY)


def _plain(path: str, entry: Entry | LayerEntry) -> Entry:
    """`entry` at `path`, with a time that every file system takes."""
    time = min(max(entry.mtime, 0), _LATEST)
    return Entry(path, entry.type, entry.mode, entry.uid, entry.gid, time, entry.size, entry.target)
