"""From a definition and its lock to the installer's job, and the name under which the store remembers the result."""

import hashlib
from pathlib import Path

from formation import __version__
from formation.build.automatic import automatic_packages
from formation.build.layers import PLAN_FORMAT, plan_layers
from formation.build.recall import IMAGE_FORMAT
from formation.build.system_files import system_files
from formation.dataclass import dataclass
from formation.definition.values import RUNTIME, Definition, Keyring, Variant
from formation.digest import hexadecimal, sha256
from formation.install.additions import Additions, pin
from formation.install.job import Job, PackageJob, VariantJob
from formation.install.placement import SegmentSpec
from formation.lock.model import Lock, LockedPackage
from formation.oci.compression import FORMAT
from formation.oci.media_types import Compression


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides an image."""

    definition: Definition
    variant: str
    architecture: str
    lock: Lock
    lock_text: str
    packages: tuple[LockedPackage, ...]
    """Of the whole lineage, sorted by name."""
    additions: tuple[Additions, ...]
    """For each variant of the lineage."""

    @property
    def lineage(self) -> tuple[Variant, ...]:
        """The variant and those it extends, `runtime` first."""
        return self.definition.lineage(self.variant)

    @property
    def compression(self) -> Compression:
        """Of the layers."""
        return "zstd" if self.definition.compression == "zstd" else "gzip"


def make_plan(definition: Definition, lock: Lock, lock_text: str, variant: str, architecture: str) -> Plan:
    """The plan for one image. The lock must be fresh; variant and architecture must exist.

    Reads the files that the definition adds: the build is of what they hold now. Raises FormationError when one cannot
    be read.
    """
    lineage = definition.lineage(variant)
    packages = lock.of(architecture, frozenset(v.name for v in lineage))
    additions = tuple(_additions(definition, lineage[: count + 1], lock, architecture) for count in range(len(lineage)))
    return Plan(definition, variant, architecture, lock, lock_text, packages, additions)


def _additions(definition: Definition, lineage: tuple[Variant, ...], lock: Lock, architecture: str) -> Additions:
    """What the last variant of `lineage` adds, besides packages, to those before it."""
    variant = lineage[-1]
    packages = lock.of(architecture, frozenset(v.name for v in lineage))
    system = system_files(definition) if variant.name == RUNTIME else ()
    # Without apt there is nothing to tell it.
    states = automatic_packages(packages, lineage, architecture) if variant.only is None else ()
    files = (*system, *states, *map(pin, variant.files))
    return Additions(
        variant.groups,
        variant.users,
        variant.directories,
        files,
        hardening=definition.hardening,
        # A minimal variant lacks most files of what it stands on.
        run_directories=variant.config.run_directories if variant.only is None else (),
        keyrings=_keyrings(definition) if variant.name == RUNTIME else (),
    )


def _keyrings(definition: Definition) -> tuple[Keyring, ...]:
    """Those that the definition says are in the image."""
    return tuple(
        Keyring(each.name, each.signed_by, f"{definition.shown_path}:{definition.archive_lines[each.name]}")
        for each in definition.archives
        if each.signed_by is not None
    )


def plan_key(plan: Plan) -> str:
    """The name of a build: equal keys, equal images."""
    digest = hashlib.sha256()
    facts = (
        __version__,
        str((IMAGE_FORMAT, PLAN_FORMAT)),
        FORMAT[plan.compression],
        plan.lock_text,
        plan.architecture,
        plan.variant,
        repr((plan.definition.name, plan.definition.version, plan.definition.description)),
        repr((plan.definition.path_excludes, plan.definition.path_includes, plan.definition.layer_budget)),
        repr([(v.name, v.only, v.config) for v in plan.lineage]),
        repr(plan.definition.hardening),
    )
    for fact in facts:
        digest.update(f"{len(fact)} {fact}".encode())
    for additions in plan.additions:
        digest.update(repr((additions.groups, additions.users, additions.directories)).encode())
        for file in additions.files:
            content = file.pinned.digest if file.pinned is not None else sha256(file.content or b"")
            digest.update(repr((file.path, file.owner, file.group, file.mode, hexadecimal(content))).encode())
    return digest.hexdigest()


def sibling_keys(plan: Plan) -> tuple[str, ...]:
    """The names of the builds of the same definition and lock for its other architectures."""
    others = (name for name in plan.definition.architectures if name != plan.architecture)
    same = (plan.definition, plan.lock, plan.lock_text, plan.variant)
    return tuple(plan_key(make_plan(*same, name)) for name in others)


def make_job(plan: Plan, store: Path, *, workers: int, overlay: bool) -> Job:
    """The installer's job for a plan."""
    variants = []
    seen: set[str] = set()
    for variant, additions in zip(plan.lineage, plan.additions, strict=True):
        packages = [p for p in plan.lock.of(plan.architecture, frozenset({variant.name})) if p.sha256 not in seen]
        seen.update(package.sha256 for package in packages)
        layers = plan_layers(packages, plan.definition.layer_budget)
        variants.append(
            VariantJob(
                variant.name,
                tuple(_package_job(package) for package in packages),
                tuple(tuple(package.sha256 for package in group) for group in layers),
                additions,
                variant.only,
            )
        )
    spec = SegmentSpec(
        epoch=plan.lock.epoch,
        compression=plan.compression,
        path_excludes=plan.definition.path_excludes,
        path_includes=plan.definition.path_includes,
    )
    return Job(store, tuple(variants), spec, plan.lock.epoch, workers, overlay)


def _package_job(package: LockedPackage) -> PackageJob:
    return PackageJob(
        package.name, package.version, package.architecture, package.sha256, package.essential, package.size
    )
