"""The layers that hold what a service's packages bring: made once for the same packages on the same base."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from formation.build.opened_base import created
from formation.build.service import ServicePlan
from formation.dataclass import dataclass
from formation.errors import FormationError
from formation.files import json_bytes, write_bytes
from formation.install.built_layer import BuiltLayer
from formation.progress import Progress
from formation.store.blobs import has_blob
from formation.store.store import Store

if TYPE_CHECKING:
    from formation.install.installer import Installer
    from formation.network import Downloader


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
    downloader: "Callable[[], Downloader]"
    """The one to use, which a build without new packages does not ask for."""
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
        with tools.installer() as installer:
            # Not at the top: a new program brings no packages, and importing this takes longer than all of its layer.
            # The installer's process starts meanwhile.
            from formation.build.package_install import install_packages

            built = install_packages(plan, installer, store, tools)
        known = PackageLayers(built.layers, built.epoch)
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
