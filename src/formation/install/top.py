"""The top layer of a variant: what its scripts did, stage by stage, and then what its definition adds."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from formation.entry import Entry, encode_path
from formation.install.additions import Additions, Look, parents, realise
from formation.install.effects import Effects, lower_path
from formation.install.job import BuiltLayer
from formation.install.layer import LayerStore, Source, tree_layer


@dataclass(frozen=True, slots=True)
class Top:
    """The top layer, and what is in it."""

    layer: BuiltLayer
    entries: tuple[Entry, ...]
    """Sorted by path; whiteouts included."""


def build_top(
    layers: LayerStore,
    effects: Sequence[Effects],
    additions: Additions,
    lowers: Sequence[Path],
    below: frozenset[str],
    epoch: int,
) -> Top:
    """Makes the layer of `effects`, in the order of the stages, and `additions`.

    `lowers` is the whole tree with these effects, top first. `below` are the paths that lower layers of the image
    bring: only of those does a removal need a whiteout. Raises FormationError as `realise` does.
    """

    def look(path: str) -> Path | None:
        return lower_path(path, lowers)

    merged, removed = _merge(effects)
    for added in realise(additions, look, epoch):
        merged[added.entry.path] = Source(added.entry, added.content)
        removed.discard(added.entry.path)
    for path in removed & below:
        parent, _, name = path.rpartition("/")
        whiteout = f"{parent}/.wh.{name}" if parent else f".wh.{name}"
        merged[whiteout] = Source(Entry(whiteout, "file", 0o644, mtime=epoch))
    _add_parents(merged, look, epoch)
    ordered = [merged[path] for path in sorted(merged, key=encode_path)]
    layer = tree_layer(ordered, layers)
    built = BuiltLayer("effects", (), layer.digest, layer.size, layer.diff_id, layers.compression)
    return Top(built, tuple(source.entry for source in ordered))


def _merge(effects: Sequence[Effects]) -> tuple[dict[str, Source], set[str]]:
    """What is there after all of `effects`, and what is gone."""
    merged: dict[str, Source] = {}
    removed: set[str] = set()
    for effect in effects:
        for path in effect.removed:
            for gone in [known for known in merged if known == path or known.startswith(path + "/")]:
                del merged[gone]
            removed.add(path)
        for entry in effect.changed:
            merged[entry.path] = Source(entry, effect.tree / entry.path if entry.type == "file" else None)
            removed.discard(entry.path)
    return merged, removed


def _add_parents(merged: dict[str, Source], look: Look, epoch: int) -> None:
    """A layer names every directory above its entries, with the owner and mode that it has in the image."""
    for path in list(merged):
        for parent in parents(path):
            if parent in merged:
                continue
            place = look(parent)
            if place is None:
                merged[parent] = Source(Entry(parent, "directory", 0o755, mtime=epoch))
            else:
                status = place.lstat()
                mode = stat.S_IMODE(status.st_mode)
                merged[parent] = Source(Entry(parent, "directory", mode, status.st_uid, status.st_gid, epoch))
