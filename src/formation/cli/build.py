"""`formation build`: from a definition and its lock to an image."""

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.text import size_text

if TYPE_CHECKING:
    from formation.build.recall import BuiltImage
    from formation.definition.values import Definition
    from formation.install.installer import Installer
    from formation.lock.model import Lock
    from formation.network import Downloader
    from formation.progress import Progress


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
        """,
        """
        formation build docker/base
        formation build docker/base --variant dev --load docker
        formation build docker/base --output oci:build/base
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
    parser.add_argument("--arch", metavar="ARCH", help="which architecture (default: the definition's first)")
    parser.add_argument("--output", metavar="IMAGE", help="also write it to oci:DIR[:TAG] or docker-archive:FILE")
    parser.add_argument("--load", choices=("docker", "podman"), help="also give it to an engine on this machine")
    parser.add_argument("--locked", action="store_true", help="fail when there is no lock, instead of writing one")
    parser.add_argument("--offline", action="store_true", help="download nothing: everything must be in the store")
    parser.add_argument(
        "--relock-when-gone",
        action="store_true",
        help="when a locked package is nowhere to be had, build from a fresh lock, which is not written",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be built")
    parser.add_argument("--json", action="store_true", help="print what was built as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.build.recall import ask, recall
    from formation.store.locking import in_use

    began = time.monotonic()
    _check_output(arguments)
    question = ask(context.path(arguments.directory), arguments.variant, arguments.arch)
    built = None
    if question is not None and not arguments.dry_run:
        with in_use(context.store):
            built = recall(context.store, question)
    with context.progress() as progress:
        if built is None:
            built = _make(arguments, context, question, progress)
        if built is None:
            return 0
        places = _deliver(arguments, context, built, progress)
    seconds = time.monotonic() - began
    if arguments.json:
        context.write_json(_as_data(built, seconds))
    else:
        context.write(_told(built, seconds, context, places, arguments.directory))
    return 0


def _make(arguments: Namespace, context: Context, question: str | None, progress: "Progress") -> "BuiltImage | None":
    """Builds the image; None when a dry run has said what it would build."""
    from formation.install.installer import Installer
    from formation.network import Downloader, Proxies

    # It starts while the definition is read: both take a third of a second.
    with Installer() as installer:
        from formation.definition.load import load_definition

        definition = load_definition(context.path(arguments.directory))
        _check(arguments, definition)
        proxies = Proxies.of(context.environment)
        with Downloader(progress=progress, proxies=proxies, offline=arguments.offline) as downloader:
            lock, text = _lock(arguments, context, definition, downloader, progress)
            if arguments.dry_run:
                _say_plan(arguments, context, definition, lock)
                return None
            return _build(arguments, context, definition, lock, text, downloader, progress, installer, question)


def _check_output(arguments: Namespace) -> None:
    """Raises UsageError for an output that cannot be."""
    from formation.errors import UsageError
    from formation.oci.name import parse_name

    if arguments.output is not None:
        if not arguments.output.startswith(("oci:", "docker-archive:")):
            raise UsageError(
                f"--output: images cannot be written to {arguments.output!r}",
                hint="write oci:DIR[:TAG] or docker-archive:FILE",
            )
        parse_name(arguments.output)


def _check(arguments: Namespace, definition: "Definition") -> None:
    """Raises UsageError for a variant or architecture that cannot be, before anything is done."""
    from formation.errors import UsageError

    variants = [variant.name for variant in definition.variants]
    if arguments.variant not in variants:
        raise UsageError(
            f"{definition.shown_path} has no variant {arguments.variant!r}", hint=f"it has: {', '.join(variants)}"
        )
    if arguments.arch is None:
        arguments.arch = definition.architectures[0]
    if arguments.arch not in definition.architectures:
        raise UsageError(
            f"{definition.shown_path} is not for the architecture {arguments.arch!r}",
            hint=f"it is for: {', '.join(definition.architectures)}",
        )


def _lock(
    arguments: Namespace, context: Context, definition: "Definition", downloader: "Downloader", progress: "Progress"
) -> "tuple[Lock, str]":
    """The lock to build from, and its text. Raises UsageError when it is missing under --locked, or stale."""
    from formation.errors import UsageError
    from formation.files import write_bytes
    from formation.lock.check import staleness
    from formation.lock.lockfile import lock_path, lock_text, read_lock

    path = lock_path(definition.path)
    hint = f"formation lock {arguments.directory}"
    if not path.exists():
        if arguments.locked or arguments.offline:
            raise UsageError(f"there is no lock {path}", hint=hint)
        lock = _fresh_lock(context, definition, downloader, progress, None)
        text = lock_text(lock)
        if not arguments.dry_run:
            write_bytes(path, text.encode())
            progress.note(f"wrote {path}, since there was none; commit it")
        return lock, text
    lock = read_lock(path)
    reason = staleness(definition, lock)
    if reason is not None:
        raise UsageError(f"{path} is stale: {reason}", hint=hint)
    return lock, lock_text(lock)


def _fresh_lock(
    context: Context, definition: "Definition", downloader: "Downloader", progress: "Progress", previous: "Lock | None"
) -> "Lock":
    from formation.lock.resolve import make_lock

    return make_lock(
        definition,
        downloader=downloader,
        store=context.store,
        now=context.now,
        progress=progress,
        previous=previous,
    )


def _build(
    arguments: Namespace,
    context: Context,
    definition: "Definition",
    lock: "Lock",
    text: str,
    downloader: "Downloader",
    progress: "Progress",
    installer: "Installer",
    question: str | None,
) -> "BuiltImage":
    """Builds; with --relock-when-gone, once more from a fresh lock when packages of the lock are nowhere to be had."""
    from formation.build.base import build_base, inputs_of
    from formation.build.fetch import PackageGoneError
    from formation.build.plan import make_plan
    from formation.build.recall import remember
    from formation.install.installer import Installer
    from formation.lock.lockfile import lock_text

    overlay = context.environment.get("FORMATION_OVERLAY") != "0"
    plan = make_plan(definition, lock, text, arguments.variant, arguments.arch)
    try:
        built = build_base(plan, context.store, downloader, progress, installer, workers=_workers(), overlay=overlay)
    except PackageGoneError as error:
        if not arguments.relock_when_gone:
            raise PackageGoneError(error.message, hint=f"formation lock {arguments.directory}") from None
        progress.note(f"{error.message}; locking afresh for this build, the lock file stays as it is")
        fresh = _fresh_lock(context, definition, downloader, progress, lock)
        plan = make_plan(definition, fresh, lock_text(fresh), arguments.variant, arguments.arch)
        with Installer() as second:
            return build_base(plan, context.store, downloader, progress, second, workers=_workers(), overlay=overlay)
    if question is not None:
        remember(context.store, question, built, inputs_of(plan))
    return built


def _workers() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _deliver(arguments: Namespace, context: Context, built: "BuiltImage", progress: "Progress") -> list[str]:
    """Writes the image where --output and --load say; gives a line for each place."""
    from formation.oci.reference import parse_reference

    places = []
    if arguments.output is not None:
        progress.start("output", 0)
        _write(context, arguments.output, built)
        progress.finish("output", arguments.output)
        places.append(f"written to {arguments.output}")
    if arguments.load is not None:
        from formation.engines.engine import Engine
        from formation.engines.load import load

        progress.start("load", 0)
        for reference in built.references:
            load(built.image, parse_reference(reference), Engine(arguments.load, context.environment))
        progress.finish("load", arguments.load)
        places.append(f"loaded into {arguments.load}")
    return places


def _write(context: Context, name: str, built: "BuiltImage") -> None:
    from formation.oci.archive import save_archive
    from formation.oci.layout import write_layout
    from formation.oci.name import Transport, parse_name
    from formation.oci.reference import parse_reference

    wanted = parse_name(name)
    path = context.directory / (wanted.path or Path())
    own = parse_reference(built.references[0])
    if wanted.transport is Transport.LAYOUT:
        write_layout(path, built.image, wanted.tag or own.tag)
    else:
        save_archive(path, built.image, [wanted.reference or own])


def _say_plan(arguments: Namespace, context: Context, definition: "Definition", lock: "Lock") -> None:
    names = frozenset(variant.name for variant in definition.lineage(arguments.variant))
    packages = lock.of(arguments.arch, names)
    missing = [p for p in packages if not context.store.download(p.sha256).exists()]
    reference = f"{definition.name}:{definition.tag(arguments.variant)}"
    size = sum(package.size for package in missing)
    if arguments.json:
        context.write_json({"reference": reference, "packages": len(packages), "download": size})
    else:
        context.write(
            f"would build {reference} for {arguments.arch} from {len(packages)} packages, "
            f"{size_text(size)} to download\n"
        )


def _as_data(built: "BuiltImage", seconds: float) -> dict[str, Any]:
    return {
        "reference": built.references[0],
        "references": list(built.references),
        "digest": built.image.digest,
        "size": built.image.size,
        "layers": len(built.image.manifest.layers),
        "packages": built.packages,
        "seconds": round(seconds, 3),
        "reused": built.reused,
    }


def _told(built: "BuiltImage", seconds: float, context: Context, places: list[str], directory: str) -> str:
    """What was built, for people."""
    reference = built.references[0]
    rows = [
        ("image", ", ".join(built.references)),
        ("digest", built.image.digest),
        ("size", f"{size_text(built.image.size)} in {len(built.image.manifest.layers)} layers"),
        ("packages", str(built.packages)),
        ("time", f"{seconds:.1f} s{', nothing had changed' if built.reused else ''}"),
        ("store", str(context.store.root)),
        *(("also", place) for place in places),
        ("look", f"formation inspect {reference}"),
    ]
    rows.append(("run", f"formation build {directory} --load docker && docker run --rm {reference}"))
    return "".join(f"{name:<10}{text}\n" for name, text in rows)
