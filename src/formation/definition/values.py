"""What a formation.yaml says, as frozen values. Every path in the image is absolute and normalised."""

from collections.abc import Mapping
from pathlib import Path

from formation.dataclass import dataclass, field
from formation.debian.archive import Archive
from formation.debian.request import PackageRequest
from formation.definition.audit_exceptions import AuditException
from formation.definition.hardening import Hardening
from formation.definition.image_checks import Checks

RUNTIME = "runtime"
"""The name of the variant that the top level of a definition describes; its image tag has no suffix."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group to create."""

    name: str
    gid: int | None
    """None: allocated as `groupadd` does (system: the highest free id from 999 down; else from 1000 up)."""
    system: bool
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` that says so; empty for what no definition says."""


@dataclass(frozen=True, slots=True)
class User:
    """A user to create. The password is locked."""

    name: str
    uid: int | None
    """None: allocated as `useradd` does."""
    group: str
    """Primary group."""
    groups: tuple[str, ...]
    """Supplementary groups."""
    home: str
    shell: str
    system: bool
    comment: str
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` that says so; empty for what no definition says."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that exists in the image with this owner and mode."""

    path: str
    owner: str
    """User name or decimal uid."""
    group: str
    mode: int
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` that says so; empty for what no definition says."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a file held when it was looked at."""

    digest: str
    """`sha256:…`"""
    size: int


@dataclass(frozen=True, slots=True)
class File:
    """A file that exists in the image. Exactly one of `content` and `source` is set."""

    path: str
    owner: str
    group: str
    mode: int
    content: bytes | None
    source: Path | None
    """An absolute path on this machine, inside the definition's directory."""
    pinned: Pinned | None = None
    """What `source` held when the build was planned: anything else must not get into the image under that plan's name.
    None: whatever it holds."""
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` that says so; empty for what no definition says."""
    written: str = field(default="", compare=False, repr=False)
    """`source` as the definition says it, relative to its directory, perhaps through symlinks; empty for none."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A volume or working directory: engines make it where nothing is, and start no container where a file is."""

    what: str
    """`volume` or `working directory`."""
    path: str
    place: str
    """`FILE:LINE` that says so."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keyring that an archive's `signed_by` names: apt in the image looks for it there."""

    archive: str
    path: str
    place: str
    """`FILE:LINE` that says so."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The OCI image config that a definition asks for."""

    environment: tuple[tuple[str, str], ...] = ()
    """In the order written."""
    volumes: tuple[str, ...] = ()
    working_directory: str | None = None
    user: str | None = None
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    stop_signal: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    run_directories: tuple[RunDirectory, ...] = field(default=(), compare=False, repr=False)
    """Its volumes and its working directory, and where the definition says so."""


@dataclass(frozen=True, slots=True)
class Variant:
    """What one variant adds to the one it extends."""

    name: str
    extends: str | None
    """None for `runtime` only."""
    description: str
    packages: tuple[PackageRequest, ...]
    without: tuple[str, ...]
    """Package names that must not be installed, although something recommends or provides them."""
    groups: tuple[Group, ...]
    users: tuple[User, ...]
    directories: tuple[Directory, ...]
    files: tuple[File, ...]
    config: ImageConfig
    """Complete: merged with what it extends (volumes, environment and labels added, the rest replaced)."""
    only: tuple[str, ...] | None = None
    """Names of the packages of what it extends that it takes; None: all, and it shares their layers."""
    only_places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Name in `only` → `FILE:LINE` that says so first."""
    checks: Checks = field(default_factory=Checks)
    """Its own; those of what it extends hold as well."""
    exceptions: tuple[AuditException, ...] = ()
    """What `formation audit` accepts in it; what is accepted in what it extends is accepted here as well."""


def variant_tag(tag: str, variant: str) -> str:
    """How `tag` is written for a variant: `1.0.0`, or `1.0.0-dev`."""
    return tag if variant == RUNTIME else f"{tag}-{variant}"


@dataclass(frozen=True, slots=True)
class Definition:
    """A checked formation.yaml of kind `base`."""

    path: Path
    """The YAML file, absolute."""
    name: str
    """Repository name, such as formation/base."""
    version: str
    """Semantic version, such as 1.0.0."""
    description: str
    architectures: tuple[str, ...]
    """Debian names: amd64, arm64."""
    archives: tuple[Archive, ...]
    recommends: bool
    essential: bool
    """Install every essential package (the default)."""
    path_excludes: tuple[str, ...]
    """dpkg path-exclude patterns, from `leave_out:`; the image's /etc/dpkg/dpkg.cfg.d/formation records them."""
    path_includes: tuple[str, ...]
    """dpkg path-include patterns, which win over the excludes: /usr/share/doc/*/copyright."""
    layer_budget: int
    """How many package layers a variant may add."""
    compression: str
    """`gzip` or `zstd`."""
    variants: tuple[Variant, ...]
    """`runtime` first, then in an order in which each comes after the one it extends."""
    digest: str
    """sha256 of what decides the packages (`identity.lock_digest`): `formation lock --check` compares it."""
    hardening: Hardening = field(default_factory=Hardening)
    tags: tuple[str, ...] = ()
    """More tags of the runtime image in the local store, such as trixie-slim."""
    shown_path: str = field(default="formation.yaml", compare=False)
    """The YAML file as the person named it, for messages."""
    package_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Package name → the line, from 1, that first mentions it."""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Key of the top level → its line, from 1."""
    archive_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    """Name of an archive → the line, from 1, of its entry under `archives:`; without those of `distribution:`."""

    def lineage(self, name: str) -> tuple[Variant, ...]:
        """The variant `name` and all that it extends, `runtime` first. Raises KeyError for an unknown name."""
        by_name = {variant.name: variant for variant in self.variants}
        chain = [by_name[name]]
        while chain[0].extends is not None:
            chain.insert(0, by_name[chain[0].extends])
        return tuple(chain)

    def tag(self, variant: str) -> str:
        """The image tag of a variant: `1.0.0`, or `1.0.0-dev`."""
        return variant_tag(self.version, variant)

    def all_tags(self, variant: str) -> tuple[str, ...]:
        """`tag(variant)`, then `tags` in the form that they have for it: `trixie-slim`, or `trixie-slim-dev`."""
        more = (variant_tag(tag, variant) for tag in self.tags)
        return tuple(dict.fromkeys((self.tag(variant), *more)))

    def place(self, key: str) -> str:
        """`FILE:LINE` of a key of the top level; `FILE:1` when the definition does not say it."""
        return f"{self.shown_path}:{self.lines.get(key, 1)}"

    def place_of_archive(self, name: str) -> str:
        """`FILE:LINE` of the archive's entry, else of `distribution:`; only FILE for an archive of a service's base."""
        line = self.archive_lines.get(name, self.lines.get("distribution"))
        return self.shown_path if line is None else f"{self.shown_path}:{line}"

    def place_of_package(self, name: str) -> str:
        """`FILE:LINE` where the definition first mentions the package; `FILE:1` when it does not."""
        return f"{self.shown_path}:{self.package_lines.get(name, 1)}"
