"""An image as the checks of an audit look at it. What several of them need is derived once, and only when one asks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property

from formation.contents.filesystem import Filesystem
from formation.contents.layer import LayerEntry
from formation.contents.merge import Node
from formation.contract.base_layers import base_of
from formation.contract.facts import Facts
from formation.dataclass import dataclass
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.image import Image
from formation.security.findings import Kind, Profile
from formation.security.traces import Traces, find_traces

_ODD_MODE = 0o7022
"""Setuid, setgid, sticky, and writable by the group or everyone: what no plain file or directory has."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the definitions of an image say."""

    packages: frozenset[tuple[str, str]] | str
    """Name and version of every package of their locks and of the base; or what it needs to know them all."""
    hosts: frozenset[str]
    """Of their archives."""
    keys: frozenset[str]
    """Fingerprints of the key files of their archives."""
    base: str | None
    """The image that a service stands on, as its definition names it; None for a base."""


def kind_of(image: Image) -> Kind:
    """What `image` is for, as far as it tells.

    Only one that Formation built from a lock, on nothing, is taken for a base: what nobody knows is held to more.
    """
    base = base_of(image)
    own = LOCK_DIGEST in image.manifest.annotations and base.name is None and base.digest is None
    return "base" if own else "service"


class Subject:
    """The image, the profile, and what nobody can see in the image itself."""

    def __init__(
        self,
        facts: Facts,
        kind: Kind,
        profile: Profile,
        *,
        now: int,
        name: str = "",
        declared: Declared | None = None,
        referrers: tuple[str, ...] | None = None,
    ) -> None:
        self.facts = facts
        self.kind = kind
        self.profile = profile
        self.now = now
        """Seconds since 1970."""
        self.name = name
        """How the image was named."""
        self.declared = declared
        """None: no definition was given."""
        self.referrers = referrers
        """Types of the artifacts that a registry has about the image; None: nobody asked one."""

    @property
    def strict(self) -> bool:
        """Whether nothing is allowed because distributions have it by default."""
        return self.profile == "strict"

    @property
    def files(self) -> Filesystem:
        """The merged file system."""
        return self.facts.files

    @cached_property
    def created(self) -> int | None:
        """When the image says that it was made, in seconds since 1970; None when it says no time."""
        try:
            moment = datetime.fromisoformat(self.facts.image.config.created or "")
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

    @cached_property
    def installed(self) -> Mapping[str, str]:
        """Name → version of each installed package."""
        return {package.name: package.version for package in self.facts.packages if package.installed}

    @cached_property
    def odd(self) -> tuple[tuple[str, Node], ...]:
        """Path and node, by path, of all that is not a plain file or directory of root's which only root may change.

        A large image has ten thousands of paths and some dozens of these; checks of modes and owners look at them only.
        """
        found = []
        for path, node in self.files:
            entry = node.entry
            kind = entry.type
            if kind == "symlink":
                if entry.uid or entry.gid:
                    found.append((path, node))
            elif (
                entry.mode & _ODD_MODE
                or entry.uid
                or entry.gid
                or entry.xattrs
                or (kind != "file" and kind != "directory")
            ):
                found.append((path, node))
        return tuple(found)

    @cached_property
    def traces(self) -> Traces:
        """The entries of all layers whose names tell something."""
        return find_traces(self.facts.contents.layers)

    @cached_property
    def packaged(self) -> Mapping[str, str]:
        """Path → MD5, as its package has it, of each file that a package brings; empty for one that has no MD5."""
        found: dict[str, str] = {}
        for package, listing in zip(self.facts.packages, self.facts.listings, strict=True):
            found.update(dict.fromkeys(listing.paths or (), ""))
            found.update(listing.md5sums or ())
            found.update(package.conffiles)
        return found

    def is_owned(self, path: str) -> bool:
        """Whether a package brings `path`. Those of Debian 12 still list as /bin/su what is in /usr/bin."""
        return path in self.packaged or path.removeprefix("usr/") in self.packaged

    def is_packaged(self, entry: LayerEntry) -> bool:
        """Whether `entry` is a file just as a package, which anybody can download, has it."""
        return bool(entry.md5) and entry.md5 in (
            self.packaged.get(entry.path),
            self.packaged.get(entry.path.removeprefix("usr/")),
        )

    def fate(self, layer: int, path: str) -> str:
        """What became of the entry `path` of `layer`, as the end of a sentence; empty when it is in the image."""
        node = self.files.get(path)
        if node is None:
            return "; a later layer removes it, and it is pulled all the same"
        if node.layer != layer:
            return "; a later layer replaces it, and it is pulled all the same"
        return ""
