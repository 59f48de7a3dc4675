"""Whether the entries of one layer fit together. Engines unpack what does not, each in its own way."""

from collections.abc import Iterator

from formation.contents.layer import ProblemKind
from formation.entry import DEEPEST, WHITEOUT, Entry

OPAQUE = ".wh..wh..opq"
"""The whiteout that empties the directory that it lies in. Source: OCI's layer.md."""
_RESERVED = ".wh..wh."
"""Names of AUFS's own files, which old layers carry, begin so."""


class Structure:
    """The paths of a layer so far."""

    __slots__ = ("_types",)

    def __init__(self) -> None:
        self._types: dict[str, str] = {}

    def judge(self, entry: Entry) -> Iterator[tuple[ProblemKind, str]]:
        """What is wrong with the next entry, beside those before it."""
        path, types = entry.path, self._types
        parent, _, name = path.rpartition("/")
        before = types.get(path)
        if before is not None and not (before == entry.type == "directory"):
            yield "duplicate", f"is there twice, as {before} and as {entry.type}"
        if entry.type == "hardlink" and types.get(entry.target) not in ("file", "hardlink"):
            # Engines look for it in the layers below, where another image may have something else.
            yield "hard-link", f"is a hard link to {entry.target!r}, which is no earlier file of the layer"
        for _ in range(DEEPEST):
            if not parent or parent in types:
                break
            parent = parent.rpartition("/")[0]
        if types.get(parent, "directory") != "directory":
            yield "below-file", f"lies below {parent[:200]!r}, which is a {types[parent]} in the same layer"
        if name.startswith(WHITEOUT):
            yield from _judge_whiteout(name, entry)
        types[path] = entry.type


def _judge_whiteout(name: str, entry: Entry) -> Iterator[tuple[ProblemKind, str]]:
    hidden = name.removeprefix(WHITEOUT)
    if hidden in ("", ".", ".."):
        yield "whiteout", "is a whiteout of nothing that can be"
    elif name.startswith(_RESERVED) and name != OPAQUE:
        yield "whiteout", "has a name that is reserved"
    elif entry.type not in ("file", "hardlink") or entry.size:
        yield "whiteout", f"is a whiteout, and a {entry.type} of {entry.size} bytes"
