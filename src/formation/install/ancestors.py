"""The directories above what a layer brings: every layer names them too."""

from formation.entry import Entry
from formation.install.additions import parents
from formation.install.layer import Source
from formation.install.view import View


def add_parents(merged: dict[str, Source], view: View, epoch: int) -> None:
    """A layer names every directory above its entries, with the owner and mode that it has in the image."""
    for path in list(merged):
        for parent in parents(path):
            if parent not in merged:
                merged[parent] = Source(directory_of(parent, view, epoch))


def directory_of(path: str, view: View, epoch: int) -> Entry:
    """The entry of the directory `path` as it is in the image; root's where that has none."""
    there = view.find(path)
    if there is None:
        return Entry(path, "directory", 0o755, mtime=epoch)
    return Entry(path, "directory", there.mode, there.uid, there.gid, epoch)
