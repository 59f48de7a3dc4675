"""What a comparison tells of everything that is no package: one value for each thing that is not as before."""

from collections.abc import Iterator
from typing import Literal, get_args

from formation.dataclass import dataclass

Topic = Literal[
    "platform",
    "suite",
    "archive",
    "base",
    "user",
    "group",
    "directory",
    "file",
    "environment",
    "volume",
    "port",
    "label",
    "configuration",
    "command",
    "library",
    "symbol version",
    "content",
]
"""What a change is about."""

TOPICS: tuple[Topic, ...] = get_args(Topic)
"""In the order in which people read them."""

BUILD_LABELS = frozenset(f"org.opencontainers.image.{name}" for name in ("version", "created", "revision", "ref.name"))
"""Labels and annotations that differ between any two releases."""

ChangeKind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of the contract that is not as before."""

    topic: Topic
    kind: ChangeKind
    name: str
    """Of the user, variable, command, …; a path with its leading slash; a symbol version as `SONAME VERSION`."""
    attribute: str = ""
    """What of it changed: `uid`, `mode`, `owner`; empty when it came or went as a whole, or is one value."""
    old: str = ""
    """The value before, as people write it: `0750`; empty when there was none, or it is the name alone."""
    new: str = ""

    def __str__(self) -> str:
        """`user formation: uid 999 → 1000`."""
        what = f"{self.topic} {self.name}"
        if self.kind != "changed":
            return f"{what} {self.kind}"
        attribute = f"{self.attribute} " if self.attribute else ""
        return f"{what}: {attribute}{self.old or 'nothing'} → {self.new or 'nothing'}"


def configured(name: str, old: str, new: str) -> Iterator[Change]:
    """What became of one value of the configuration; empty: there is none."""
    if old != new:
        kind: ChangeKind = "added" if not old else "removed" if not new else "changed"
        yield Change("configuration", kind, name, "", old, new)


@dataclass(frozen=True, slots=True)
class FileState:
    """A path on one side."""

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    target: str
    """Of a symlink."""
    sha256: str
    """Of a file, 64 hexadecimal digits."""
    capabilities: str = ""
    """What a program may do beside what its owner may, as the kernel keeps it (capabilities(7)), hexadecimal."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path that is not as before."""

    kind: ChangeKind
    path: str
    """With its leading slash."""
    what: tuple[str, ...]
    """What changed: `type`, `content`, `target`, `mode`, `owner`, `group`, `attributes`; empty when it came or went."""
    old: FileState | None
    new: FileState | None
    package: str
    """That has it, on the new side when it is there; empty when none does."""


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer that one side has, or both."""

    kind: Literal["added", "removed", "kept"]
    digest: str
    size: int
    """Bytes, compressed."""
    holds: str
    """`openssl, libssl3t64`, or the layer's kind; empty when nothing says."""
