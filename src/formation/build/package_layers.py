"""The layers that hold what a service's packages bring: made once for the same packages on the same base."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from formation.build.opened_base import created
from formation.build.service import ServicePlan
from formation.build.service_image import COMPRESSION
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.install.additions import Additions
from formation.install.job import Base, BuiltLayer, Job, PackageJob, VariantJob
from formation.install.placement import SegmentSpec
from formation.progress import Progress
from formation.store.blobs import has_blob
from formation.store.store import Store
from formation.store.unsynced import boot_id, sync_behind

if TYPE_CHECKING:
    from formation.install.installer import Installer
    from formation.network import Downloader

_PACKAGES = "packages"


@dataclass(frozen=True, slots=True)
class PackageLayers:
    """What the packages come to."""

    layers: tuple[BuiltLayer, ...]
    """Their files, and above those what their scripts did and dpkg's database; none when there are no packages."""
    epoch: int
    """The latest time of a file in them and in the base, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What installing packages uses of the world."""

    installer: "Callable[[], AbstractContextManager[Installer]]"
    """Starts an installer that has had no job."""
    downloader: "Downloader"
    progress: Progress
    workers: int
    overlay: bool


def package_layers(plan: ServicePlan, store: Store, tools: Tools) -> PackageLayers:
    """The package layers of `plan`, all in the store: known ones, or made now. The caller uses the store.

    Raises FormationError and its kinds; the store keeps what was made until then.
    """
    if not plan.packages:
        return PackageLayers((), created(plan.base))
    record = store.builds / f"packages-{plan.packages_key}.json"
    known = _known(record, store)
    if known is None:
        known = _install(plan, store, tools)
        write_bytes(record, json_bytes({"layers": [asdict(layer) for layer in known.layers], "epoch": known.epoch}))
    return known


def _known(record: Path, store: Store) -> PackageLayers | None:
    """The layers that `record` tells of, when the store has them all."""
    try:
        value = json.loads(record.read_bytes())
        packages = [tuple((name, version) for name, version in each.pop("packages")) for each in value["layers"]]
        layers = tuple(BuiltLayer(packages=p, **each) for p, each in zip(packages, value["layers"], strict=True))
        complete = all(has_blob(store, layer.digest, layer.size) for layer in layers)
        return PackageLayers(layers, int(value["epoch"])) if complete else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FormationError):
        return None


def _install(plan: ServicePlan, store: Store, tools: Tools) -> PackageLayers:
    from formation.build.fetch import Fetching
    from formation.build.service_packages import service_archives
    from formation.definition.service_packages import package_definition

    sync_behind(store, boot_id(), time.time())
    definition = package_definition(plan.service, service_archives(plan.service, plan.lock))
    with tools.installer() as installer:
        arrived, stop = installer.arrived, installer.stop
        fetching = Fetching(definition, plan.lock, plan.packages, store, tools.downloader, arrived, stop)
        try:
            (built,) = installer.run(_job(plan, store, tools), tools.progress, fetching.start)
        except FormationError:
            if fetching.error is not None:
                raise fetching.error from None
            raise
        fetching.join()
    return PackageLayers(built.layers, built.epoch)


def _job(plan: ServicePlan, store: Store, tools: Tools) -> Job:
    packages = tuple(
        PackageJob(each.name, each.version, each.architecture, each.sha256, False, each.size) for each in plan.packages
    )
    excludes, includes = plan.path_filters
    spec = SegmentSpec(plan.lock.epoch, COMPRESSION, excludes, includes)
    variant = VariantJob(_PACKAGES, packages, (tuple(package.digest for package in packages),), Additions())
    base = Base(plan.base, created(plan.base))
    return Job(store.root, (variant,), spec, plan.lock.epoch, tools.workers, tools.overlay, base)
