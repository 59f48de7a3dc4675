"""What an image promises to those who stand on it: the one model that verifying, comparing and releasing share.

None, where a field allows it, means that nothing is promised about it.
"""

from formation.dataclass import dataclass, field


@dataclass(frozen=True, slots=True)
class PackagePromise:
    """A package that is installed."""

    name: str
    version: str | None
    """None: any."""
    architecture: str | None
    """Debian's name, or `all`; None: any."""
    place: str = field(default="", compare=False)
    """`FILE:LINE` that says so, here and below; empty for what no definition says."""


@dataclass(frozen=True, slots=True)
class UserPromise:
    """A user that is there."""

    name: str
    uid: int | None
    group: str | None
    """Name of the primary group."""
    groups: tuple[str, ...]
    """Groups of which it is a member as well, sorted."""
    home: str | None
    shell: str | None
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class GroupPromise:
    """A group that is there."""

    name: str
    gid: int | None
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DirectoryPromise:
    """A directory with this owner and mode."""

    path: str
    """With its leading slash."""
    owner: str
    """User name or decimal uid."""
    group: str
    mode: int
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FilePromise:
    """A regular file with this owner and mode."""

    path: str
    owner: str
    group: str
    mode: int | None
    sha256: str | None
    """64 hexadecimal digits; None: any content."""
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SonamePromise:
    """A shared library that programs find."""

    name: str
    versions: tuple[str, ...]
    """Symbol versions that it defines at least."""
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that one image promises."""

    source: str
    """Who says so, for messages: `docker/base/formation.yaml`, `formation/base:1.0.0`."""
    packages: tuple[PackagePromise, ...] = ()
    """Sorted by name."""
    forbidden: tuple[str, ...] = ()
    """Names of packages that are not installed."""
    users: tuple[UserPromise, ...] = ()
    groups: tuple[GroupPromise, ...] = ()
    directories: tuple[DirectoryPromise, ...] = ()
    files: tuple[FilePromise, ...] = ()
    trees: tuple[str, ...] = ()
    """Directories that are copied whole: nothing in them is promised, and all of it belongs to the definition."""
    environment: tuple[tuple[str, str], ...] = ()
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    """`53/udp`."""
    labels: tuple[tuple[str, str], ...] = ()
    user: str | None = None
    """As an engine takes it: USER or USER:GROUP."""
    working_directory: str | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    stop_signal: str | None = None
    commands: tuple[str, ...] = ()
    """Names that the image's PATH finds, sorted."""
    sonames: tuple[SonamePromise, ...] = ()
    """Sorted by name."""
    base_digest: str | None = None
    """Of the manifest of the image that it stands on, `sha256:…`."""
    config_place: str = field(default="", compare=False)
    """`FILE:LINE` of what promises the configuration."""
