"""What the installer process is asked to do, and what it answers: values that travel through a pipe."""

from pathlib import Path

from formation.dataclass import dataclass
from formation.install.additions import Additions
from formation.install.built_layer import BuiltLayer
from formation.install.placement import SegmentSpec
from formation.oci.image import Image

OUT_OF_MEMORY_HINT = "if nobody did that on purpose, the machine ran out of memory: dmesg tells"


@dataclass(frozen=True, slots=True)
class PackageJob:
    """A package to install."""

    name: str
    version: str
    architecture: str
    digest: str
    """Of the .deb, `sha256:…`."""
    essential: bool
    size: int
    """Of the .deb in bytes: the large ones are unpacked first."""


@dataclass(frozen=True, slots=True)
class VariantJob:
    """One variant, on top of the variants before it."""

    name: str
    packages: tuple[PackageJob, ...]
    """Sorted by name."""
    layers: tuple[tuple[str, ...], ...]
    """Digests of the .debs of each package layer, base layer first."""
    additions: Additions
    only: tuple[str, ...] | None = None
    """It has layers of its own, with these packages of the variants before it and the libraries that they need; None
    for a variant that adds to those before it. No variant comes after such a one."""


@dataclass(frozen=True, slots=True)
class Base:
    """An image that a job's packages are added to."""

    image: Image
    """Its blobs are in the job's store."""
    epoch: int
    """When it was made, in seconds since 1970: the earliest clock of a script."""


@dataclass(frozen=True, slots=True)
class Job:
    """A whole installation."""

    store: Path
    variants: tuple[VariantJob, ...]
    """What extends comes after what it extends."""
    spec: SegmentSpec
    epoch: int
    """No file is younger; seconds since 1970."""
    workers: int
    overlay: bool
    """Whether overlayfs may be used where it works."""
    base: Base | None = None
    """None: the first variant's essential packages are the ground to stand on."""


@dataclass(frozen=True, slots=True)
class BuiltVariant:
    """The layers that a variant adds."""

    name: str
    layers: tuple[BuiltLayer, ...]
    """Base layer first; the effects layer last."""
    epoch: int
    """The latest file time in the image so far, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """To the installer: the .deb with this digest is in the store."""

    digest: str
    checked: bool
    """Whether it was verified just now, while it came."""


@dataclass(frozen=True, slots=True)
class Stop:
    """To the installer: end without finishing, the other side has failed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """From the installer: these .debs are needed, most urgent first. It may need others later."""

    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """From the installer: progress. `total` begins the stage, `amount` advances it, `result` ends it."""

    stage: str
    total: int | None = None
    amount: int = 0
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """From the installer: everything is in the store."""

    variants: tuple[BuiltVariant, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """From the installer: a FormationError, to be raised again by the other side."""

    kind: str
    """Name of its class in formation.errors."""
    message: str
    hint: str | None
    trace: str
    """The traceback when it was no FormationError but a mistake of the program; empty otherwise."""


@dataclass(frozen=True, slots=True)
class Remove:
    """To the installer, instead of a Job: remove these trees, which may belong to subordinate user ids."""

    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class MapMe:
    """From the installer: it is in a new user namespace and needs its ids mapped."""

    process: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """To the installer: the ids are mapped."""
