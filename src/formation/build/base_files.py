"""What a service's checks and its lock read in the base."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from formation.build.opened_base import created, lock_of
from formation.build.service_tree import Node, Tree
from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.image import problems, scan_image
from formation.contents.layer import LayerContents
from formation.debian.archive import Archive
from formation.debian.installed import installed_packages
from formation.definition.service_values import ServiceDefinition
from formation.errors import IntegrityError
from formation.lock.base_facts import BaseFacts
from formation.oci.image import Image
from formation.progress import Progress
from formation.store.store import Store

if TYPE_CHECKING:
    from formation.build.base_archives import AptFiles

APT = "etc/apt"
_STATUS = "var/lib/dpkg/status"
_LOADER = "etc/ld.so.conf"
_DPKG = ("etc/dpkg/dpkg.cfg", "etc/dpkg/dpkg.cfg.d/")
_KEYRINGS = (f"{APT}/trusted.gpg", f"{APT}/keyrings/", "usr/share/keyrings/")


_FILES = ("etc/passwd", "etc/group", _LOADER, _DPKG[0], f"{APT}/sources.list", f"{APT}/trusted.gpg", _STATUS)
_DIRECTORIES = (
    f"{_LOADER}.d",
    "etc/dpkg/dpkg.cfg.d",
    f"{APT}/sources.list.d",
    f"{APT}/trusted.gpg.d",
    f"{APT}/keyrings",
    "usr/share/keyrings",
)
_BROKEN = frozenset({"digest", "size", "diff-id", "compression", "tar", "limit", "unread"})
"""Problems of a layer after which nobody knows what is in it."""


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
    layers: tuple[LayerContents, ...] = ()
    """What is in each layer, base layer first."""

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
        return _STATUS in self.texts

    @property
    def library_directories(self) -> tuple[str, ...]:
        """Those that ldconfig reads libraries from besides the standard ones, in its order."""
        files = [_LOADER, *sorted(path for path in self.texts if path.startswith(f"{_LOADER}.d/"))]
        lines = (line.partition(b"#")[0].strip() for path in files for line in self.texts.get(path, b"").splitlines())
        return tuple(dict.fromkeys(line.decode("utf-8", "surrogateescape") for line in lines if line.startswith(b"/")))

    @property
    def path_filters(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The patterns of paths that its dpkg leaves out, and of those that it keeps all the same (dpkg(1))."""
        files = sorted(path for path in self.texts if path == _DPKG[0] or path.startswith(_DPKG[1]))
        lines = [
            line.strip().decode("utf-8", "surrogateescape") for path in files for line in self.texts[path].splitlines()
        ]
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
    broken = next((problem for _, problem in problems(contents) if problem.kind in _BROKEN), None)
    if broken is not None:
        raise IntegrityError(
            f"{name} has a layer that cannot be relied on: {broken.text}", hint="build or pull it again"
        )
    merged = filesystem(contents.layers)
    below = (path for directory in _DIRECTORIES for path in merged.kept_below(directory))
    texts = {path: data for path in (*_FILES, *below) if (data := merged.content(path)) is not None}
    return BaseFiles(_Merged(merged), texts, contents.layers)


def facts_for_lock(
    service: ServiceDefinition, architecture: str, image: Image, files: BaseFiles | None, store: Store
) -> BaseFacts:
    """What the lock of `service` needs of its base.

    `files` may be None when the service asks for no packages. Raises MalformedError for a damaged database or sources.
    """
    if files is None:
        return BaseFacts(image.digest, created(image), (), ())
    installed = None
    if files.has_database:
        installed = installed_packages(files.texts[_STATUS], architecture, service.base)
    archives: tuple[Archive, ...] = ()
    if service.archives is None:
        archives = archives_of_base(image, files, store, service.base)
    return BaseFacts(image.digest, created(image), installed, archives)


def archives_of_base(image: Image, files: BaseFiles, store: Store, name: str) -> tuple[Archive, ...]:
    """The archives that `image`, which is called `name` in messages, was made from; empty when nothing in it says."""
    # Not at the top: a build asks for them only when something is wrong, and should be quick when nothing is.
    from formation.build.base_archives import base_archives

    return base_archives(lock_of(image, store), _apt_files(files.texts), store, name)


def needs_files(service: ServiceDefinition) -> bool:
    """Whether the lock of `service` depends on what is in its base."""
    return bool(service.packages or service.without)


def _apt_files(texts: Mapping[str, bytes]) -> "AptFiles":
    from formation.build.base_archives import AptFiles

    sources = {path: data for path, data in texts.items() if path.startswith(f"{APT}/sources.list")}
    return AptFiles(sources, {path: data for path, data in texts.items() if path.startswith(_KEYRINGS)})


def _names(accounts: bytes) -> frozenset[str]:
    """The names in a passwd or group file."""
    lines = accounts.decode("utf-8", "surrogateescape").splitlines()
    return frozenset(line.partition(":")[0] for line in lines if ":" in line and line[:1] not in ("#", "+", "-"))
