"""`formation build` of a service: its lock, its plan with every check, and then its image."""

import os
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.context import Context

if TYPE_CHECKING:
    from formation.build.opened_base import Places
    from formation.build.origin import Origin
    from formation.build.recall import BuiltImage
    from formation.build.service import ServicePlan
    from formation.definition.service_values import ServiceDefinition
    from formation.errors import UnreachableError
    from formation.install.installer import Installer
    from formation.lock.model import Lock
    from formation.network import Downloader
    from formation.oci.descriptor import Platform
    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.progress import Progress


@dataclass(frozen=True, slots=True)
class _Run:
    """What every step needs."""

    arguments: Namespace
    context: Context
    service: "ServiceDefinition"
    places: "Places"
    downloader: "Downloader"
    progress: "Progress"


def built_service(arguments: Namespace, context: Context, progress: "Progress") -> "BuiltImage":
    """The image that the arguments ask for, under its tag: as it was, when nothing that it is of has changed."""
    from formation.build.origin import origin_of
    from formation.build.recall import ask, recall, remember
    from formation.store.locking import in_use

    path = context.path(arguments.directory)
    origin = origin_of(path if path.is_dir() else path.parent, context.environment)
    asked = (path, f"{arguments.variant} {origin.key}", arguments.arch)
    question = ask(*asked)
    if question is not None:
        with in_use(context.store):
            built = recall(context.store, question)
        if built is not None:
            return built
    built, watched = _make(origin, arguments, context, progress)
    # Not when somebody edited the definition meanwhile: nobody knows whether before it was read, or after.
    if question is not None and watched is not None and question == ask(*asked):
        remember(context.store, question, built, *watched)
    return built


def dry_run(arguments: Namespace, context: Context) -> int:
    """Says what would be built, after every check; without a lock, it is resolved, and not written."""
    from formation.cli.build_output import say_service_plan
    from formation.definition.load import load_service

    with context.progress() as progress:
        service = load_service(context.path(arguments.directory))
        with _opened(service, arguments, context, progress) as run:
            plan = _plan(run, *_lock(run))
    say_service_plan(arguments, context, plan)
    return 0


def _make(
    origin: "Origin", arguments: Namespace, context: Context, progress: "Progress"
) -> "tuple[BuiltImage, tuple[dict[Path, str], Mapping[Path, str]] | None]":
    """Builds the image. Gives it, and what was read besides definition and lock: digests and shapes, by path; None when
    nobody can tell whether that changes."""
    from formation.build.remembered import remembered_service
    from formation.build.watched import watch
    from formation.store.locking import in_use
    from formation.store.unsynced import boot_id, forget_damaged

    if damaged := forget_damaged(context.store, boot_id(), time.time()):
        from formation.install.installer import remove_trees

        remove_trees(damaged, progress)
    with in_use(context.store):
        service = remembered_service(context.path(arguments.directory), context.store)
    watched = watch(service, context.store)
    built, plan = _build(service, origin, arguments, context, progress)
    if watched is None or plan is None:
        return built, None
    return built, (watched.inputs(plan), watched.shapes)


def _build(
    service: "ServiceDefinition", origin: "Origin", arguments: Namespace, context: Context, progress: "Progress"
) -> "tuple[BuiltImage, ServicePlan | None]":
    """Builds the image of `service`. Gives it, and what it is of; None when that is not the lock that is there."""
    from formation.build.package_layers import Tools
    from formation.build.service_build import build_service
    from formation.errors import UnreachableError
    from formation.lock.lockfile import lock_text

    with _opened(service, arguments, context, progress) as run:
        lock, text = _lock(run)
        overlay = context.environment.get("FORMATION_OVERLAY") != "0"
        tools = Tools(_installer, run.downloader, progress, workers(), overlay)
        try:
            plan = _plan(run, lock, text)
            return build_service(plan, context.store, tools, origin), plan
        except UnreachableError as error:
            _require_gone(error, arguments)
            progress.note(f"{error.message}; locking afresh for this build, the lock file stays as it is")
        fresh = _fresh_lock(run, lock)
        return build_service(_plan(run, fresh, lock_text(fresh)), context.store, tools, origin), None


def _installer() -> "Installer":
    from formation.install.installer import Installer

    return Installer()


def _require_gone(error: "UnreachableError", arguments: Namespace) -> None:
    """Raises `error` unless packages are nowhere to be had and --relock-when-gone was given."""
    from formation.build.fetch import PackageGoneError

    if not isinstance(error, PackageGoneError):
        raise error
    if not arguments.relock_when_gone:
        raise PackageGoneError(error.message, hint=f"formation lock {arguments.directory}") from None


def workers() -> int:
    """How many processes may work at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _opened(
    service: "ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[_Run]":
    """The world for one build; the store is in use meanwhile."""
    from formation.cli.services import places
    from formation.network import Downloader, Proxies
    from formation.store.locking import in_use

    _check(service, arguments)
    proxies = Proxies.of(context.environment)
    with (
        in_use(context.store),
        Downloader(progress=progress, proxies=proxies, offline=arguments.offline) as downloader,
        places(arguments, context, progress) as where,
    ):
        if arguments.offline:
            where = replace(where, pull=lambda name, platform: _kept(service, name, platform, arguments, context))
        yield _Run(arguments, context, service, where, downloader, progress)


def _check(service: "ServiceDefinition", arguments: Namespace) -> None:
    """Raises UsageError for a variant or architecture that cannot be, before anything is done."""
    from formation.errors import UsageError

    if arguments.variant != "runtime":
        raise UsageError(f"{service.shown_path} is a service, and those have no variants", hint="leave --variant away")
    if arguments.arch is None:
        arguments.arch = service.architectures[0]
    if arguments.arch not in service.architectures:
        raise UsageError(
            f"{service.shown_path} is not for the architecture {arguments.arch!r}",
            hint=f"it is for: {', '.join(service.architectures)}",
        )


def _kept(
    service: "ServiceDefinition", name: "ImageName", platform: "Platform", arguments: Namespace, context: Context
) -> "Image":
    """The base as the lock has it, when an earlier build or lock brought it into the store."""
    from formation.errors import UnreachableError
    from formation.lock.lockfile import lock_path, read_lock
    from formation.oci.image import image_of
    from formation.store.blobs import StoreBlobs

    path = lock_path(service.path)
    locked = read_lock(path).base if path.exists() else ()
    digest = next((base.digest for base in locked if base.architecture == arguments.arch), None)
    file = None if digest is None else context.store.blob(digest)
    if file is None or not file.exists():
        raise UnreachableError(f"the store does not have {name} for {platform}", hint="build without --offline once")
    return image_of(StoreBlobs(context.store), file.read_bytes())


def _lock(run: _Run) -> "tuple[Lock, str]":
    """The lock to build from, and its text. Raises UsageError when it is missing under --locked."""
    from formation.errors import UsageError
    from formation.files import write_bytes
    from formation.lock.lockfile import lock_path, lock_text, read_lock

    arguments, path = run.arguments, lock_path(run.service.path)
    if path.exists():
        lock = read_lock(path)
        return lock, lock_text(lock)
    if arguments.locked or arguments.offline:
        raise UsageError(f"there is no lock {path}", hint=f"formation lock {arguments.directory}")
    lock = _fresh_lock(run, None)
    text = lock_text(lock)
    if not arguments.dry_run:
        write_bytes(path, text.encode())
        run.progress.note(f"wrote {path}, since there was none; commit it")
    return lock, text


def _fresh_lock(run: _Run, previous: "Lock | None") -> "Lock":
    from formation.cli.services import base_facts
    from formation.lock.service import make_service_lock

    return make_service_lock(
        run.service,
        base_facts(run.service, run.arguments, run.context, run.progress),
        downloader=run.downloader,
        store=run.context.store,
        now=run.context.now,
        progress=run.progress,
        previous=previous,
    )


def _plan(run: _Run, lock: "Lock", text: str) -> "ServicePlan":
    """The plan, every check passed."""
    from formation.build.foreign import require_runnable
    from formation.build.service import plan_service
    from formation.build.service_means import service_means

    architecture = run.arguments.arch
    means = service_means(
        run.service,
        lock,
        architecture,
        places=run.places,
        downloader=run.downloader,
        now=run.context.now,
        progress=run.progress,
        workers=workers(),
    )
    plan = plan_service(run.service, lock, text, architecture, means)
    if plan.packages:
        require_runnable(architecture, os.uname().machine)
    return plan
