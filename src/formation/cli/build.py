"""`formation build`: from a definition and its lock to an image."""

import os
import re
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Parser, Subparsers, add_command
from formation.cli.registry_options import add_registry_options
from formation.dataclass import dataclass, replace

if TYPE_CHECKING:
    from formation.build.recall import BuiltImage, Read
    from formation.definition.values import Definition
    from formation.install.installer import Installer
    from formation.lock.model import Lock
    from formation.network import Downloader
    from formation.progress import Progress


_SERVICE = re.compile(rb"""^kind:[ ]*["']?service["']?[ ]*(?:#.*)?\r?$""", re.MULTILINE)
_HEAD = 64 << 10
"""Bytes of a definition in which its kind is looked for."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What every step of a build that has something to do needs."""

    arguments: Namespace
    context: Context
    definition: "Definition"
    downloader: "Downloader"
    progress: "Progress"


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "build",
        "build the image of a definition",
        """
        Builds the image that formation.yaml defines, from exactly the packages that formation.lock pins, into the local
        store. The same lock gives the same digest, whoever builds it and wherever. No daemon is needed: root builds as
        it is, an ordinary user in a user namespace.

        Without a lock, one is written first; a lock that does not fit the definition is refused. A package that
        its archive has dropped is taken from the store, from the directory `vendor`, or from the archive's snapshot.

        A service has the layers of its base as they are, then what its packages bring, and last its own files.
        Everything that can be wrong with those is told before anything is built.

        The tags stand for one image, or for an index of all that the store has of the same definition and lock, one for
        each architecture. The scripts of packages for another machine run under qemu-user-static.
        """,
        """
        formation build docker/base
        formation build docker/base --variant dev --load docker
        formation build services/form-dns --load podman
        formation build docker/base --output oci:build/base
        formation build docker/base --all-architectures
        formation build docker/base --locked --json | jq -r .digest     # in CI
        """,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help="directory of formation.yaml, or the file (default: the current directory)",
    )
    parser.add_argument("--variant", default="runtime", metavar="NAME", help="which variant (default: runtime)")
    architectures = parser.add_mutually_exclusive_group()
    architectures.add_argument(
        "--arch", metavar="ARCH", help="which architecture, or several: amd64,arm64 (default: the definition's first)"
    )
    architectures.add_argument("--all-architectures", action="store_true", help="all that the definition is for")
    _add_output_options(parser)
    _add_lock_options(parser)
    parser.add_argument("--offline", action="store_true", help="download nothing: everything must be in the store")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be built")
    add_registry_options(parser)
    parser.add_argument("--json", action="store_true", help="print what was built as JSON")


def _add_output_options(parser: Parser) -> None:
    parser.add_argument(
        "--output",
        metavar="IMAGE",
        action="append",
        default=[],
        help="also write it to oci:DIR[:TAG] or docker-archive:FILE; may be repeated",
    )
    parser.add_argument(
        "--load",
        choices=("docker", "podman"),
        action="append",
        default=[],
        help="also give it to an engine on this machine; may be repeated",
    )


def _add_lock_options(parser: Parser) -> None:
    locking = parser.add_mutually_exclusive_group()
    locking.add_argument("--locked", action="store_true", help="fail when there is no lock, instead of writing one")
    locking.add_argument(
        "--relock-when-gone",
        action="store_true",
        help="when a locked package is nowhere to be had, build from a fresh lock, which is not written",
    )


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.cli.build_architectures import chosen_architectures, plan_several, run_several
    from formation.cli.build_output import check_output, deliver, say_built

    began = time.monotonic()
    context = check_output(arguments, context)
    build, plan, service = _built, _dry_run, is_service(context.path(arguments.directory))
    if service:
        from formation.cli.build_service import built_service, dry_run

        build, plan = built_service, dry_run
    names = chosen_architectures(arguments, context, service=service)
    if len(names) > 1:
        if arguments.dry_run:
            return plan_several(names, arguments, context, plan)
        return run_several(names, arguments, context, build, service=service)
    arguments.arch = names[0]
    if arguments.dry_run:
        return plan(arguments, context)
    with context.progress() as progress:
        # Its own arguments: it fills in an architecture that nobody asked for.
        built = build(Namespace(**vars(arguments)), context, progress)
        places = deliver(arguments, context, built, progress)
    say_built(arguments, context, built, time.monotonic() - began, places)
    return 0


def _built(arguments: Namespace, context: Context, progress: "Progress") -> "BuiltImage":
    """The image that the arguments ask for, under its tags: as it was, when nothing that it is of has changed."""
    from formation.cli.build_steps import recalled_or_made

    asked = (context.path(arguments.directory), arguments.variant, arguments.arch)
    return recalled_or_made(asked, context, lambda: _make(arguments, context, progress))


def is_service(path: Path) -> bool:
    """Whether the definition says that it is of a service; loading it tells what is wrong with what it says."""
    file = path / "formation.yaml" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            return _SERVICE.search(opened.read(_HEAD)) is not None
    except OSError:
        return False


def _dry_run(arguments: Namespace, context: Context) -> int:
    """Says what would be built; without a lock, it is resolved, and not written."""
    from formation.cli.build_output import say_plan
    from formation.definition.load import load_definition

    definition = load_definition(context.path(arguments.directory))
    _check(arguments, definition)
    with context.progress() as progress, context.downloader(progress, offline=arguments.offline) as downloader:
        lock, _ = _lock(_Run(arguments, context, definition, downloader, progress))
    say_plan(arguments, context, definition, lock)
    return 0


def _make(arguments: Namespace, context: Context, progress: "Progress") -> "tuple[BuiltImage, Read | None]":
    """Builds the image. Gives it, and what was read besides definition and lock; None when the image is not of the lock
    that is there."""
    from formation.install.installer import Installer

    # It starts while the definition is read: both take a third of a second.
    with Installer() as installer:
        from formation.build.foreign import require_runnable
        from formation.definition.load import load_definition

        definition = load_definition(context.path(arguments.directory))
        _check(arguments, definition)
        require_runnable(arguments.arch, os.uname().machine)
        with context.downloader(progress, offline=arguments.offline) as downloader:
            run = _Run(arguments, context, definition, downloader, progress)
            return _build(run, *_lock(run), installer)


def _check(arguments: Namespace, definition: "Definition") -> None:
    """Raises UsageError for a variant or architecture that cannot be, before anything is done."""
    from formation.cli.build_steps import choose_architecture
    from formation.errors import UsageError

    variants = [variant.name for variant in definition.variants]
    if arguments.variant not in variants:
        raise UsageError(
            f"{definition.shown_path} has no variant {arguments.variant!r}", hint=f"it has: {', '.join(variants)}"
        )
    choose_architecture(definition, arguments)


def _lock(run: _Run) -> "tuple[Lock, str]":
    """The lock to build from, and its text. Raises UsageError when it is missing under --locked, or stale."""
    from formation.cli.build_steps import lock_or_new
    from formation.errors import UsageError, quoted
    from formation.lock.check import staleness
    from formation.lock.lockfile import lock_path

    definition, arguments = run.definition, run.arguments
    lock, text = lock_or_new(definition, arguments, run.progress, lambda: _fresh_lock(run, None))
    reason = staleness(definition, lock)
    if reason is not None:
        raise UsageError(
            f"{lock_path(definition.path)} is stale: {reason}", hint=f"formation lock {quoted(arguments.directory)}"
        )
    return lock, text


def _fresh_lock(run: _Run, previous: "Lock | None") -> "Lock":
    from formation.lock.closure import check_closure
    from formation.lock.resolve import make_lock

    lock = make_lock(
        run.definition,
        downloader=run.downloader,
        store=run.context.store,
        now=run.context.now,
        progress=run.progress,
        previous=previous,
    )
    check_closure(run.definition, lock)
    return lock


def _build(run: _Run, lock: "Lock", text: str, installer: "Installer") -> "tuple[BuiltImage, Read | None]":
    """As `_make`; with --relock-when-gone, once more from a fresh lock when packages are nowhere to be had."""
    from formation.build.base import build_base, inputs_of
    from formation.build.plan import Plan, make_plan
    from formation.cli.build_steps import require_relock
    from formation.install.installer import Installer
    from formation.lock.lockfile import lock_text
    from formation.lock.vendor import PackageGoneError

    arguments, context = run.arguments, run.context
    overlay = context.environment.get("FORMATION_OVERLAY") != "0"

    def build(plan: Plan, installer: Installer) -> "BuiltImage":
        return build_base(
            plan, context.store, run.downloader, run.progress, installer, workers=context.workers, overlay=overlay
        )

    plan = make_plan(run.definition, lock, text, arguments.variant, arguments.arch)
    read = inputs_of(plan)
    try:
        return build(plan, installer), read
    except PackageGoneError as error:
        require_relock(error, arguments, context, run.progress)
    fresh = _fresh_lock(run, lock)
    plan = make_plan(run.definition, fresh, lock_text(fresh), arguments.variant, arguments.arch)
    with Installer() as second:
        return replace(build(plan, second), relocked=True), None
