"""What a formation.yaml of kind `service` says, as frozen values."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from formation.dataclass import dataclass, field
from formation.debian.archive import Archive
from formation.debian.request import PackageRequest
from formation.definition.audit_exceptions import AuditException
from formation.definition.data_path import DataPath
from formation.definition.image_checks import Checks
from formation.definition.values import Directory, Group, ImageConfig, Pinned, User


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A file or directory of the image as described; `service_files.collect` finds what it stands for."""

    path: str
    owner: str
    """User name or decimal uid, as everywhere here."""
    group: str
    mode: int | None
    """Of files; None: 0755 where the source is executable, 0644 elsewhere. Always set with `content`."""
    content: bytes | None
    """Complete: variables are substituted. Exactly one of `content` and `source` is set."""
    source: str | None
    """Relative to the definition's directory, normalised; a directory has a slash behind it, and ./ is the whole."""
    ignore: tuple[str, ...]
    """Patterns of .dockerignore, relative to a source directory."""
    variables: Mapping[str, str] | None
    """For the text of `source`; None: it is copied byte for byte."""
    data_path: DataPath = field(compare=False)
    """Where it is in the document."""

    @property
    def is_directory(self) -> bool:
        """Whether it stands for a whole directory."""
        return self.source is not None and self.source.endswith("/")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How an engine finds out whether the service works; durations in nanoseconds, as Docker's image config."""

    command: tuple[str, ...]
    """Words; no shell."""
    interval: int
    timeout: int
    start_period: int
    retries: int


@dataclass(frozen=True, slots=True)
class ServiceBuild:
    """The builder stage of the Dockerfile."""

    command: str
    """A line of shell."""
    image: str | None
    """None: the base's variant `dev`."""
    results: tuple[str, ...]
    """Relative to the definition's directory; a directory has a slash behind it."""

    def makes(self, source: str) -> bool:
        """Whether the source of a file is one of the results."""
        return any(source == each or (each.endswith("/") and source.startswith(each)) for each in self.results)


@dataclass(frozen=True, slots=True)
class ServiceDefinition:
    """A checked formation.yaml of kind `service`."""

    path: Path
    """The YAML file, absolute; sources are relative to its directory."""
    name: str
    """Repository name, such as formation/form-dns."""
    version: str
    """Semantic version, the image's tag."""
    description: str
    base: str
    """The image below as `store.open_image` takes it, or docker://REFERENCE."""
    architectures: tuple[str, ...]
    """Debian names."""
    archives: tuple[Archive, ...] | None
    """None: those that the base was made from."""
    recommends: bool
    packages: tuple[PackageRequest, ...]
    without: tuple[str, ...]
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    directories: tuple[Directory, ...]
    files: tuple[ServiceFile, ...]
    config: ImageConfig
    """What it says itself; the base's environment, volumes and labels are below. The user is always set."""
    ports: tuple[str, ...]
    """`53/udp`, in the order written."""
    health_check: HealthCheck | None
    checks: Checks
    build: ServiceBuild | None
    digest: str
    """sha256 of what decides the packages (`identity.service_lock_digest`)."""
    exceptions: tuple[AuditException, ...] = ()
    """What `formation audit` accepts; that of the base is the base's to say."""
    shown_path: str = field(default="formation.yaml", compare=False)
    """The YAML file as the person named it, for messages."""
    lines: Mapping[DataPath, int] = field(default_factory=dict, compare=False, repr=False)
    """Where each value is in the document → its line, from 1."""
    package_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Package name → the line that first mentions it."""

    def place(self, path: DataPath) -> str:
        """`FILE:LINE` of the value at `path`, or of the nearest thing around it."""
        return f"{self.shown_path}:{self.line(path)}"

    def line(self, path: DataPath) -> int:
        """The line, from 1, of the value at `path`, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def place_of_package(self, name: str) -> str:
        """`FILE:LINE` where the definition first mentions the package; `FILE:1` when it does not."""
        return f"{self.shown_path}:{self.package_lines.get(name, 1)}"

    @property
    def short_name(self) -> str:
        """The last part of the name: form-dns."""
        return self.name.rpartition("/")[2]


class Kind(Enum):
    """What a collected file is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True)
class CollectedFile:
    """One entry of the application layer."""

    path: str
    """In the image."""
    kind: Kind
    mode: int
    """0777 for symbolic links."""
    owner: str
    group: str
    size: int
    """Bytes of a file; 0 for the rest."""
    local: Path | None = None
    """Where a file's bytes are on this machine: absolute, without symbolic links. None when `content` has them."""
    content: bytes | None = None
    target: str | None = None
    """Of a symbolic link: relative, and inside what was copied."""
    pinned: Pinned | None = None
    """What `local` held when the build was planned: anything else must not get into the image under that plan's name.
    None: the build is not planned yet, or `local` is None."""
