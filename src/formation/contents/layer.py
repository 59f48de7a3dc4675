"""What one layer holds: the facts that every check, comparison and plan reads, and nothing that they conclude.

Entries, matches and ELF facts are named tuples where the rest of Formation has frozen dataclasses: an image has ten
thousands of them, and they come back from the cache at every start.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from formation.contents.elf import Elf
from formation.dataclass import dataclass
from formation.entry import EntryType

ProblemKind = Literal[
    "digest",
    "size",
    "diff-id",
    "compression",
    "tar",
    "odd-tar",
    "duplicate",
    "hard-link",
    "below-file",
    "whiteout",
    "limit",
    "unread",
    "whiteout-of-nothing",
    "missing-parent",
    "below-symlink",
]
"""Of a blob that is not what was promised, of a tar that is not well formed or odd, of entries that do not fit
together, of limits that were reached, and of layers that do not fit on each other."""


class LayerEntry(NamedTuple):
    """One entry of a layer's tar, whiteouts among them. The first fields are those of `formation.entry.Entry`."""

    path: str
    """Relative, without a leading or trailing slash; empty for the root. Bytes that are not UTF-8 are escaped."""
    type: EntryType
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    """Of the content in bytes; 0 for all but files."""
    target: str
    xattrs: tuple[tuple[str, bytes], ...]
    device: tuple[int, int]
    md5: str
    """32 hexadecimal digits, as dpkg writes them; empty for all but files."""
    sha256: str
    """64 hexadecimal digits; empty for all but files."""


class Match(NamedTuple):
    """A place where a content detector found something. What it found is not kept: it may be a secret."""

    path: str
    detector: str
    """Its name."""
    line: int
    """From 1; 0 in a file that is not text."""


class Problem(NamedTuple):
    """Something about a layer, or about how layers fit together, that no well-made image has."""

    kind: ProblemKind
    path: str
    """Empty for the layer as a whole."""
    text: str
    """One sentence."""


@dataclass(frozen=True, slots=True)
class LayerContents:
    """Everything that one pass over a layer has found."""

    digest: str
    """Of the layer as its descriptor names it; `problems` tells when the bytes have another."""
    diff_id: str
    stored_size: int
    """Bytes of the blob."""
    size: int
    """Bytes of the tar, uncompressed, as far as it was read."""
    entries: tuple[LayerEntry, ...]
    """In the order of the tar; a path may occur twice, and a whiteout is an entry like any other."""
    elf: Mapping[str, Elf]
    """Path → facts of each ELF file. Where a path occurs twice, of the last."""
    kept: Mapping[str, bytes]
    """Path → content of the small files that say how a system is set up: see `contents.kept`."""
    matches: tuple[Match, ...]
    problems: tuple[Problem, ...]
    weight: int
    """Bytes of memory that all this takes, roughly."""
