"""`formation lock`: pins every package of a definition, or says whether the lock is still right."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.lock_data import lock_data
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options
from formation.cli.text import counted, size_text, table

if TYPE_CHECKING:
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.lock.changes import Change
    from formation.lock.model import Lock
    from formation.progress import Progress
    from formation.store.store import Store


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "lock",
        "pin every package of a definition in formation.lock",
        """
        Resolves the packages of every variant and architecture on the archives as they are now, as apt-get would, and
        writes formation.lock beside formation.yaml. The signature of each archive is verified against the definition's
        keys, and its indexes against that signature; the lock holds the sha256 of every package. Metadata that expired,
        or is older than what the lock was made from, is refused.

        The file is written only when a package, an archive or the definition changed, so that a pull request shows what
        changes in the image; --refresh writes the newer dates of unchanged archives as well.

        The lock of a service has the digest of its base and the packages that it adds; those of the base stay as they
        are. A service without packages is locked without any network.

        --check asks no archive: exit code 1 means that the definition was changed since the lock was written, that the
        lock has no package for a request any more, or that the base of a service moved.
        """,
        """
        formation lock docker/base
        formation lock docker/base --dry-run     # what would an update change?
        formation lock docker/base --check       # in CI
        formation lock services/form-dns
        formation lock --json | jq -r '.packages[] | [.name, .version] | @tsv'
        """,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIR",
        help="directory of formation.yaml, or the file (default: the current directory)",
    )
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--check", action="store_true", help="write nothing; exit 1 when the lock is stale")
    writing.add_argument("--dry-run", action="store_true", help="write nothing; say what would change")
    writing.add_argument("--refresh", action="store_true", help="write even when no package changed")
    add_registry_options(parser)
    parser.add_argument("--json", action="store_true", help="print the lock as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.definition.load import load_any
    from formation.lock.lockfile import lock_path

    definition = load_any(context.path(arguments.directory))
    path = lock_path(definition.path)
    if arguments.check:
        return _check(arguments, context, definition, path)
    return _lock(arguments, context, definition, path)


def _check(arguments: Namespace, context: Context, definition: "Definition | ServiceDefinition", path: Path) -> int:
    from formation.cli.services import lock_staleness
    from formation.errors import AnswerIsNo, quoted
    from formation.lock.lockfile import lock_digest, lock_text, read_lock

    if not path.exists():
        raise AnswerIsNo(f"there is no lock {path}", hint=f"formation lock {quoted(arguments.directory)}")
    lock = read_lock(path)
    with context.progress() as progress:
        reason = lock_staleness(definition, lock, definition.architectures, arguments, context, progress)
    if arguments.json:
        context.write_json({"lock": str(path), "stale": reason is not None, "reason": reason})
    if reason is not None:
        raise AnswerIsNo(f"{path} is stale: {reason}", hint=f"formation lock {quoted(arguments.directory)}")
    if not arguments.json:
        count = len({package for each in lock.packages.values() for package in each})
        context.write(f"{path} is up to date: {counted(count, 'package')}, {lock_digest(lock_text(lock))}\n")
    return 0


def _lock(arguments: Namespace, context: Context, definition: "Definition | ServiceDefinition", path: Path) -> int:
    from formation.lock.changes import is_same, lock_changes
    from formation.lock.lockfile import write_lock

    with context.progress() as progress:
        previous = _previous(path, progress)
        lock = _made(arguments, context, definition, previous, progress)
    keep = previous is not None and is_same(previous, lock) and not arguments.refresh
    if not keep and not arguments.dry_run:
        write_lock(path, lock)
    shown = previous if keep and previous is not None else lock
    if arguments.json:
        # As in the table: in a first lock everything is new.
        changes = () if previous is None else lock_changes(previous, lock)
        context.write_json({**lock_data(shown), "changes": [_change_data(change) for change in changes]})
    else:
        verb = "would write" if arguments.dry_run else "wrote"
        context.write(_moved_text(previous, lock))
        context.write(_changes_text(lock_changes(previous, lock), previous is None))
        context.write(f"{path} is up to date\n" if keep else f"{verb} {path}: {_summary(lock, context.store)}\n")
    return 0


def _made(
    arguments: Namespace,
    context: Context,
    definition: "Definition | ServiceDefinition",
    previous: "Lock | None",
    progress: "Progress",
) -> "Lock":
    """A new lock."""
    from formation.cli.services import new_service_lock
    from formation.definition.service_values import ServiceDefinition
    from formation.lock.closure import check_closure
    from formation.lock.resolve import make_lock
    from formation.store.locking import in_use

    store, now = context.store, context.now
    with context.downloader(progress) as downloader:
        if isinstance(definition, ServiceDefinition):
            with in_use(store):
                return new_service_lock(definition, arguments, context, progress, downloader, previous)
        lock = make_lock(definition, downloader=downloader, store=store, now=now, progress=progress, previous=previous)
        check_closure(definition, lock)
        return lock


def _previous(path: Path, progress: "Progress") -> "Lock | None":
    """The lock at `path`; None when there is none, or a merge left one that cannot be read."""
    from formation.errors import DefinitionError
    from formation.lock.lockfile import read_lock

    if not path.exists():
        return None
    try:
        return read_lock(path)
    except DefinitionError as error:
        progress.note(f"the lock is written anew, without looking at its archives' dates: {error.message}")
        return None


def _summary(lock: "Lock", store: "Store") -> str:
    """`233 packages, 190.3 MB to download`, as far as the store does not have them."""
    packages = {package.sha256: package.size for each in lock.packages.values() for package in each}
    where = f" on {lock.base[0].name}" if lock.base else ""
    total = sum(packages.values())
    missing = sum(size for digest, size in packages.items() if not _is_stored(store.download(digest), size))
    size = f"{size_text(total)}, {size_text(missing)} of it to download"
    if missing in (0, total):
        size = f"{size_text(total)} to download" if missing or not total else f"{size_text(total)}, all in the store"
    return f"{counted(len(packages), 'package')}{where}, {size}"


def _is_stored(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _moved_text(old: "Lock | None", new: "Lock") -> str:
    """A line for each base that has another name or stands for another image than before."""
    before = {} if old is None else {base.architecture: base for base in old.base}
    pairs = [(was, now) for now in new.base if (was := before.get(now.architecture)) and was != now]
    return "".join(
        f"{now.name} moved for {now.architecture}: {was.digest} → {now.digest}\n"
        if was.name == now.name
        else f"{now.name} replaces {was.name} for {now.architecture}: {was.digest} → {now.digest}\n"
        for was, now in pairs
    )


def _changes_text(changes: "tuple[Change, ...]", is_new: bool) -> str:
    """The changes as a table; nothing for a new lock, in which everything is one."""
    if is_new or not changes:
        return ""
    rows = [
        (
            change.name,
            change.old.version if change.old else "-",
            change.new.version if change.new else "-",
            change.kind if change.way is None else "{} from {} to {}".format(change.kind, *change.way),
            ", ".join(change.variants),
            ", ".join(change.architectures),
        )
        for change in changes
    ]
    return table(("PACKAGE", "OLD", "NEW", "CHANGE", "VARIANTS", "ARCHITECTURES"), rows)


def _change_data(change: "Change") -> dict[str, Any]:
    """A row of the table; `from` and `to` are the variants, suites or archives of what moved."""
    return {
        "name": change.name,
        "old": change.old.version if change.old else None,
        "new": change.new.version if change.new else None,
        "what": change.kind,
        **({} if change.way is None else dict(zip(("from", "to"), change.way, strict=True))),
        "variants": list(change.variants),
        "architectures": list(change.architectures),
    }
