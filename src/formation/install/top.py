"""The top layer of a variant: what its scripts did, stage by stage, and then what its definition adds."""

import hashlib
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from formation.dataclass import dataclass, replace
from formation.definition.hardening import Hardening
from formation.entry import WHITEOUT, Entry, encode_path
from formation.install.additions import Added, Additions, parents, realise
from formation.install.ancestors import add_parents, directory_of
from formation.install.built_layer import BuiltLayer
from formation.install.effects_record import Effects
from formation.install.hardening import is_backup, privileged
from formation.install.layer import LayerStore, Source, tree_layer
from formation.install.tree_writer import TreeWriter
from formation.install.view import TreesView, View
from formation.oci.tar import header


@dataclass(frozen=True, slots=True)
class Top:
    """The top layer, and what is in it."""

    layer: BuiltLayer
    entries: tuple[Entry, ...]
    """Sorted by path; whiteouts included."""
    digest: str
    """Of the additions: what comes above them depends on it."""


def build_top(
    layers: LayerStore,
    effects: Sequence[Effects],
    additions: Additions,
    lowers: Sequence[Path],
    below: frozenset[str],
    epoch: int,
    tree: Path,
    lists: Mapping[str, bytes],
    renewed: Sequence[tuple[str, str]] = (),
) -> Top:
    """Makes the layer of `effects`, in the order of the stages, and `additions`, which also go to the new `tree`.

    So do `lists`, files of dpkg's database by their path. `renewed` are names and versions of packages that are in the
    effects as a whole.

    `lowers` is the whole tree with these effects, top first. `below` are the paths, directories included, that lower
    layers of the image bring: only of those does a removal need a whiteout. Raises FormationError as `realise` does.
    """
    view = TreesView(lowers)
    added = realise(additions, view, epoch)
    added += (Added(Entry(path, "file", 0o644, 0, 0, epoch, len(data)), data) for path, data in sorted(lists.items()))
    made = {item.entry.path: item.entry.type for item in added}
    merged = _changed(effects, view, additions.hardening)
    merged.update(_whiteouts(effects, made, view, below, epoch))
    # A source is read once, into the tree: what the layer has cannot be something else.
    merged.update(
        (item.entry.path, Source(item.entry, tree / item.entry.path if item.source else item.content)) for item in added
    )
    add_parents(merged, view, epoch)
    _write_tree(tree, added, view, epoch)
    ordered = _with_links(merged[path] for path in sorted(merged, key=encode_path))
    layer = tree_layer(ordered, layers)
    built = BuiltLayer("effects", tuple(renewed), layer.digest, layer.size, layer.diff_id, layers.compression)
    return Top(built, tuple(source.entry for source in ordered), _digest(added))


def _changed(effects: Sequence[Effects], view: TreesView, hardening: Hardening) -> dict[str, Source]:
    """What the scripts changed and is still so: later stages may remove it, and their packages may bring it again."""
    merged: dict[str, Source] = {}
    for effect in effects:
        plain = {each.path: each.mode for each in privileged(effect.changed, hardening)}
        for entry in effect.changed:
            if hardening.traces and is_backup(entry.path):
                continue
            place = view.place(entry.path)
            if entry.type == "directory":
                # A package of a later stage that ships the directory too leaves it as it is.
                if place is not None and stat.S_ISDIR(place.lstat().st_mode):
                    merged[entry.path] = Source(entry)
            elif place == effect.tree / entry.path:
                shown = replace(entry, mode=plain.get(entry.path, entry.mode))
                merged[entry.path] = Source(shown, place if entry.type == "file" else None)
    return merged


def _with_links(sources: Iterable[Source]) -> list[Source]:
    """`sources`, in which the further names of a file that has several in the effects are hard links to the first."""
    first: dict[tuple[int, int], str] = {}
    found = []
    for source in sources:
        entry = source.entry
        if isinstance(source.content, Path) and (status := source.content.lstat()).st_nlink > 1:
            target = first.setdefault((status.st_dev, status.st_ino), entry.path)
            if target != entry.path:
                link = replace(entry, type="hardlink", size=0, target=target, xattrs=())
                found.append(Source(link))
                continue
        found.append(source)
    return found


def _whiteouts(
    effects: Sequence[Effects], made: Mapping[str, str], view: TreesView, below: frozenset[str], epoch: int
) -> Iterable[tuple[str, Source]]:
    """A whiteout for every path of `below` that scripts removed, or for the directory that went with it.

    `made` are the types of what the definition makes: no whiteout may stand for that.
    """
    gone = set()
    for path in {path for effect in effects for path in effect.removed}:
        place = view.place(path)
        if place is None and path not in made:
            gone.add(path)
        elif made.get(path) == "directory" or (place is not None and stat.S_ISDIR(place.lstat().st_mode)):
            # Removed and made anew: what the old directory held is gone.
            gone.update(old for old in below if old.startswith(path + "/") and view.place(old) is None)
    for path in gone:
        if path in below and gone.isdisjoint(parents(path)):
            yield _whiteout(path), Source(Entry(_whiteout(path), "file", 0o644, mtime=epoch))


def _whiteout(path: str) -> str:
    """The name of the entry that removes `path`."""
    parent, _, name = path.rpartition("/")
    return f"{parent}/{WHITEOUT}{name}" if parent else f"{WHITEOUT}{name}"


def _write_tree(tree: Path, added: Sequence[Added], view: View, epoch: int) -> None:
    """The additions as files below `tree`, for the scripts of a variant that extends this one."""
    tree.mkdir()
    entries = {item.entry.path: item for item in added}
    for path in list(entries):
        for parent in parents(path):
            entries.setdefault(parent, Added(directory_of(parent, view, epoch)))
    writer = TreeWriter(tree, epoch)
    try:
        for path in sorted(entries, key=encode_path):
            item = entries[path]
            if item.entry.type == "directory":
                writer.directory(item.entry)
            else:
                writer.file(item.entry, item.read())
        writer.finish()
    finally:
        writer.close()
    tree.chmod(0o755)


def _digest(added: Iterable[Added]) -> str:
    digest = hashlib.sha256()
    for item in added:
        digest.update(header(item.entry) + item.fingerprint)
    return digest.hexdigest()
