"""`formation build` of a service: its lock, its plan with every check, and then its image."""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.dataclass import dataclass, replace

if TYPE_CHECKING:
    from formation.build.opened_base import Places
    from formation.build.origin import Origin
    from formation.build.package_layers import Tools
    from formation.build.recall import BuiltImage, Read
    from formation.build.service import ServicePlan
    from formation.definition.service_values import ServiceDefinition
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
    downloader: "Callable[[], Downloader]"
    """The one to use; it is there from the first call on."""
    progress: "Progress"


def built_service(arguments: Namespace, context: Context, progress: "Progress") -> "BuiltImage":
    """The image that the arguments ask for, under its tag: as it was, when nothing that it is of has changed."""
    from formation.build.origin import ask_origin

    path = context.path(arguments.directory)
    # Git works while the rest is imported.
    asked_origin = ask_origin(path if path.is_dir() else path.parent, context.environment)
    from formation.cli.build_steps import recalled_or_made

    origin = asked_origin()
    asked = (path, f"{arguments.variant} {origin.key}", arguments.arch)
    return recalled_or_made(asked, context, lambda: _make(origin, arguments, context, progress))


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
) -> "tuple[BuiltImage, Read | None]":
    """Builds the image. Gives it, and what was read besides definition and lock; None when nobody can tell whether that
    changes."""
    from formation.build.remembered import is_new_with_packages, remembered_service
    from formation.build.repair import repair_store
    from formation.store.locking import in_use

    path = context.path(arguments.directory)
    repair_store(context.store, progress)
    with in_use(context.store):
        early = is_new_with_packages(path, context.store)
    with _installers(early=early) as installer:
        from formation.build.watched import watch

        with in_use(context.store):
            service = remembered_service(path, context.store)
        watched = watch(service, context.store)
        built, plan = _build(service, origin, installer, arguments, context, progress)
    if watched is None or plan is None:
        return built, None
    return built, watched.read(plan)


def _build(
    service: "ServiceDefinition",
    origin: "Origin",
    installer: "Callable[[], Installer]",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
) -> "tuple[BuiltImage, ServicePlan | None]":
    """Builds the image of `service`. Gives it, and what it is of; None when that is not the lock that is there."""
    from formation.build.service_build import build_service
    from formation.cli.build_steps import require_relock
    from formation.errors import UnreachableError
    from formation.lock.lockfile import lock_text

    with _opened(service, arguments, context, progress) as run:
        lock, text = _lock(run)
        tools = _tools(run, installer)
        try:
            plan = _plan(run, lock, text)
            return build_service(plan, context.store, tools, origin), plan
        except UnreachableError as error:
            require_relock(error, arguments, context, progress)
        fresh = _fresh_lock(run, lock)
        built = build_service(_plan(run, fresh, lock_text(fresh)), context.store, tools, origin)
        return replace(built, relocked=True), None


@contextmanager
def planned(
    service: "ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[tuple[ServicePlan, Tools]]":
    """The plan by the lock that is there, every check passed, and what builds it while the block runs.

    Raises as a build, and UsageError for a lock that is missing or stale.
    """
    with _opened(service, arguments, context, progress) as run, _installers(early=False) as installer:
        yield _plan(run, *_lock(run)), _tools(run, installer)


def _tools(run: _Run, installer: "Callable[[], Installer]") -> "Tools":
    from formation.build.package_layers import Tools

    overlay = run.context.environment.get("FORMATION_OVERLAY") != "0"
    return Tools(installer, run.downloader, run.progress, run.context.workers, overlay)


@contextmanager
def _installers(*, early: bool) -> "Iterator[Callable[[], Installer]]":
    """What gives an installer that has had no job. The first is at its start from now on when it is wanted `early`:
    that takes as long as reading a definition and planning, and is for nothing when no package has to be installed."""

    def start() -> "Installer":
        from formation.install.installer import Installer

        return Installer()

    with ExitStack() as opened:
        begun = [opened.enter_context(start())] if early else []
        yield lambda: begun.pop() if begun else start()


@contextmanager
def _opened(
    service: "ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[_Run]":
    """The world for one build; the store is in use meanwhile."""
    from formation.cli.services import places
    from formation.store.locking import in_use

    _check(service, arguments)
    with in_use(context.store), ExitStack() as opened, places(arguments, context, progress) as where:

        @cache
        def downloader() -> "Downloader":
            return opened.enter_context(context.downloader(progress, offline=arguments.offline))

        if arguments.offline:
            where = replace(where, pull=lambda name, platform: _kept(service, name, platform, arguments, context))
        yield _Run(arguments, context, service, where, downloader, progress)


def _check(service: "ServiceDefinition", arguments: Namespace) -> None:
    """Raises UsageError for a variant or architecture that cannot be, before anything is done."""
    from formation.cli.build_steps import choose_architecture
    from formation.errors import UsageError

    if arguments.variant != "runtime":
        raise UsageError(f"{service.shown_path} is a service, and those have no variants", hint="leave --variant away")
    choose_architecture(service, arguments)


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
    from formation.cli.build_steps import lock_or_new

    return lock_or_new(run.service, run.arguments, run.progress, lambda: _fresh_lock(run, None))


def _fresh_lock(run: _Run, previous: "Lock | None") -> "Lock":
    from formation.cli.services import new_service_lock

    return new_service_lock(run.service, run.arguments, run.context, run.progress, run.downloader(), previous)


def _plan(run: _Run, lock: "Lock", text: str) -> "ServicePlan":
    """The plan, every check passed."""
    from formation.build.foreign import require_runnable
    from formation.build.service import StaleLockError, plan_service
    from formation.build.service_means import service_means
    from formation.errors import UsageError, quoted

    architecture = run.arguments.arch
    means = service_means(
        run.service,
        lock,
        architecture,
        places=run.places,
        downloader=run.downloader,
        now=run.context.now,
        progress=run.progress,
        workers=run.context.workers,
    )
    try:
        plan = plan_service(run.service, lock, text, architecture, means)
    except StaleLockError as error:
        raise UsageError(error.message, hint=f"formation lock {quoted(run.arguments.directory)}") from None
    for note in plan.notes:
        run.progress.note(note)
    if plan.packages:
        require_runnable(architecture, os.uname().machine)
    return plan
