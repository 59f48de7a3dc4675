"""Having the packages of a service installed on its base."""

import time

from formation.build.fetch import install_fetching
from formation.build.opened_base import created
from formation.build.package_layers import Tools
from formation.build.service import ServicePlan
from formation.build.service_image import COMPRESSION
from formation.definition.service_packages import package_definition
from formation.install.additions import Additions
from formation.install.installer import Installer
from formation.install.job import Base, BuiltVariant, Job, PackageJob, VariantJob
from formation.install.placement import SegmentSpec
from formation.lock.service_check import service_archives
from formation.store.store import Store
from formation.store.unsynced import boot_id, sync_behind

_PACKAGES = "packages"


def install_packages(plan: ServicePlan, installer: Installer, store: Store, tools: Tools) -> BuiltVariant:
    """The layers of `plan`'s packages, in the store, as `installer`, which has had no job, makes them.

    Raises FormationError and its kinds.
    """
    sync_behind(store, boot_id(), time.time())
    (built,) = install_fetching(
        installer,
        _job(plan, store, tools),
        package_definition(plan.service, service_archives(plan.service, plan.lock)),
        plan.lock,
        plan.packages,
        store=store,
        downloader=tools.downloader(),
        progress=tools.progress,
    )
    return built


def _job(plan: ServicePlan, store: Store, tools: Tools) -> Job:
    packages = tuple(
        PackageJob(each.name, each.version, each.architecture, each.sha256, False, each.size) for each in plan.packages
    )
    excludes, includes = plan.path_filters
    spec = SegmentSpec(plan.lock.epoch, COMPRESSION, excludes, includes)
    variant = VariantJob(_PACKAGES, packages, (tuple(package.digest for package in packages),), Additions())
    base = Base(plan.base, created(plan.base))
    return Job(store.root, (variant,), spec, plan.lock.epoch, tools.workers, tools.overlay, base)
