"""The last layer of a service: its own files, made in this very process without unpacking anything below it."""

from formation.entry import encode_path
from formation.install.additions import Additions, realise
from formation.install.ancestors import add_parents
from formation.install.built_layer import BuiltLayer
from formation.install.layer import LayerStore, Source, tree_layer
from formation.install.view import View


def application_layer(layers: LayerStore, additions: Additions, below: View, epoch: int) -> BuiltLayer:
    """Makes the layer of `additions` on the image that `below` shows; every time in it is `epoch`, in seconds since
    1970.

    It holds nothing else but the directories above them, as they are. Raises FormationError as `realise` does, and when
    a file changed since it was pinned; then nothing is kept.
    """
    entries = {item.entry.path: Source(item.entry, item.read) for item in realise(additions, below, epoch)}
    add_parents(entries, below, epoch)
    layer = tree_layer([entries[path] for path in sorted(entries, key=encode_path)], layers)
    return BuiltLayer("application", (), layer.digest, layer.size, layer.diff_id, layers.compression)
