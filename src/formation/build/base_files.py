"""The file system of a service's base, as the service's checks and its lock read it."""

from collections.abc import Mapping

from formation.build.service_tree import Node, Tree
from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.image import broken, scan_image
from formation.dataclass import dataclass, field
from formation.debian.administration import STATUS
from formation.entry import decode_lines
from formation.errors import IntegrityError
from formation.oci.image import Image
from formation.progress import Progress
from formation.store.store import Store

APT = "etc/apt"
_LOADER = "etc/ld.so.conf"
_DPKG = ("etc/dpkg/dpkg.cfg", "etc/dpkg/dpkg.cfg.d/")
KEYRINGS = (f"{APT}/trusted.gpg", f"{APT}/keyrings/", "usr/share/keyrings/")
_FILES = ("etc/passwd", "etc/group", _LOADER, _DPKG[0], f"{APT}/sources.list", f"{APT}/trusted.gpg", STATUS)
_DIRECTORIES = (
    f"{_LOADER}.d",
    "etc/dpkg/dpkg.cfg.d",
    f"{APT}/sources.list.d",
    f"{APT}/trusted.gpg.d",
    f"{APT}/keyrings",
    "usr/share/keyrings",
)


@dataclass(frozen=True, slots=True)
class _Merged:
    """The merged layers of an image as a Tree."""

    filesystem: Filesystem

    def node(self, path: str) -> Node | None:
        found = self.filesystem.get(path)
        if found is None:
            return None
        return Node(found.entry.type, found.entry.mode, found.entry.target, self.filesystem.elf(found))


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """The file system of a base."""

    tree: Tree
    texts: Mapping[str, bytes]
    """Path, relative to the root → content of the small files that say how the system is set up."""
    merged: Filesystem = field(default_factory=lambda: filesystem(()))
    """All that is in it."""

    @property
    def users(self) -> frozenset[str]:
        """Names of its users."""
        return _names(self.texts.get("etc/passwd", b""))

    @property
    def groups(self) -> frozenset[str]:
        """Names of its groups."""
        return _names(self.texts.get("etc/group", b""))

    @property
    def has_database(self) -> bool:
        """Whether dpkg can add packages to it."""
        return STATUS in self.texts

    @property
    def library_directories(self) -> tuple[str, ...]:
        """Those that ldconfig reads libraries from besides the standard ones, in its order."""
        files = [_LOADER, *sorted(path for path in self.texts if path.startswith(f"{_LOADER}.d/"))]
        lines = (line.partition("#")[0].strip() for path in files for line in decode_lines(self.texts.get(path, b"")))
        return tuple(dict.fromkeys(line for line in lines if line.startswith("/")))

    @property
    def path_filters(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The patterns of paths that its dpkg leaves out, and of those that it keeps all the same (dpkg(1))."""
        files = sorted(path for path in self.texts if path == _DPKG[0] or path.startswith(_DPKG[1]))
        lines = [line.strip() for path in files for line in decode_lines(self.texts[path])]
        words = [(name.strip(), value.strip()) for name, equals, value in (line.partition("=") for line in lines)]
        return (
            tuple(value for name, value in words if name == "path-exclude"),
            tuple(value for name, value in words if name == "path-include"),
        )


def read_base(image: Image, name: str, store: Store, *, workers: int, progress: Progress) -> BaseFiles:
    """The file system of `image`, which is called `name` in messages. A layer is read once; the store remembers it.

    Raises IntegrityError for a layer that is not what its digest promises, and MalformedError.
    """
    contents = scan_image(image, store, workers=workers, progress=progress)
    if (problem := broken(contents)) is not None:
        raise IntegrityError(
            f"{name} has a layer that cannot be relied on: {problem.text}", hint="build or pull it again"
        )
    merged = filesystem(contents.layers)
    below = (path for directory in _DIRECTORIES for path in merged.kept_below(directory))
    texts = {path: data for path in (*_FILES, *below) if (data := merged.content(path)) is not None}
    return BaseFiles(_Merged(merged), texts, merged)


def _names(accounts: bytes) -> frozenset[str]:
    """The names in a passwd or group file."""
    lines = decode_lines(accounts)
    return frozenset(line.partition(":")[0] for line in lines if ":" in line and line[:1] not in ("#", "+", "-"))
