"""What the builds of bases and services have in common: the image that is there already, the architecture, the lock."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from formation.build.recall import ask, recall, remember
from formation.cli.context import Context
from formation.store.locking import in_use

if TYPE_CHECKING:
    from formation.build.recall import BuiltImage, Read
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.errors import FormationError
    from formation.lock.model import Lock
    from formation.progress import Progress

_DEBIANS_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf", "i686": "i386", "ppc64le": "ppc64el"}
"""What Debian calls a machine, by what uname(2) calls it."""


def recalled_or_made(
    asked: tuple[Path, str, str | None], context: Context, make: "Callable[[], tuple[BuiltImage, Read | None]]"
) -> "BuiltImage":
    """The image as it was, when nothing that it is of has changed; else what `make` gives, remembered.

    `asked` is what `build.recall.ask` takes. What was read is None where nobody can tell whether it changes.
    """
    question = ask(*asked)
    if question is not None:
        with in_use(context.store):
            built = recall(context.store, question)
        if built is not None:
            return built
    built, read = make()
    # Not when somebody edited the definition meanwhile: nobody knows whether before it was read, or after.
    if question is not None and read is not None and question == ask(*asked):
        remember(context.store, question, built, read)
    return built


def choose_architecture(definition: "Definition | ServiceDefinition", arguments: Namespace) -> None:
    """Makes `arguments.arch` the definition's first when it is None. Raises UsageError for one that it is not for."""
    if arguments.arch is None:
        arguments.arch = definition.architectures[0]
    require_architecture(definition, arguments.arch)


def require_architecture(definition: "Definition | ServiceDefinition", architecture: str) -> None:
    """Raises UsageError for an architecture that the definition is not for."""
    from formation.errors import UsageError

    known = definition.architectures
    if architecture not in known:
        debians = _DEBIANS_NAMES.get(architecture)
        raise UsageError(
            f"{definition.shown_path} is not for the architecture {architecture!r}",
            hint=f"did you mean {debians}?" if debians in known else f"it is for: {', '.join(known)}",
        )


def lock_or_new(
    definition: "Definition | ServiceDefinition",
    arguments: Namespace,
    progress: "Progress",
    make: "Callable[[], Lock]",
) -> "tuple[Lock, str]":
    """The lock to build from, and its text in images: the one that is there, else what `make` gives, which is written.

    It is not written for a --dry-run. Raises UsageError when there is none under --locked or --offline.
    """
    from formation.errors import UsageError, quoted
    from formation.lock.lockfile import lock_path, lock_text, read_lock, write_lock

    path = lock_path(definition.path)
    if path.exists():
        lock = read_lock(path)
        return lock, lock_text(lock)
    if arguments.locked or arguments.offline:
        raise UsageError(f"there is no lock {path}", hint=f"formation lock {quoted(arguments.directory)}")
    lock = make()
    if not arguments.dry_run:
        write_lock(path, lock)
        progress.note(f"wrote {path}, since there was none; commit it")
    return lock, lock_text(lock)


def require_relock(error: "FormationError", arguments: Namespace, context: Context, progress: "Progress") -> None:
    """Says that another lock than the one that is there will be used, also to those who want to hear of nothing else.

    Raises `error` unless packages are nowhere to be had and --relock-when-gone was given.
    """
    from formation.errors import quoted
    from formation.lock.vendor import PackageGoneError

    if not isinstance(error, PackageGoneError):
        raise error
    if not arguments.relock_when_gone:
        directory = quoted(arguments.directory)
        hint = f"formation lock {directory}"
        if not arguments.locked:
            hint += f", or for this build alone: formation build {directory} --relock-when-gone"
        raise PackageGoneError(error.message, hint=hint) from None
    told = f"{error.message}; locking afresh for this build, the lock file stays as it is"
    if context.quiet:
        context.stderr.write(f"warning: {told}\n")
    else:
        progress.note(told)
