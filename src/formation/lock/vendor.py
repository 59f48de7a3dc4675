"""The packages of a lock beside its definition, so that a build needs no archive."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from formation.dataclass import dataclass
from formation.debian.archive import package_urls
from formation.definition.values import Definition
from formation.digest import hexadecimal, sha256_file
from formation.errors import FormationError, UnreachableError, UsageError, quoted
from formation.files import write_bytes
from formation.lock.lockfile import entries
from formation.lock.model import Lock, LockedPackage
from formation.network import Download, Downloader, GoneError
from formation.store.locking import in_use
from formation.store.store import Store

SUMS = "SHA256SUMS"


class PackageGoneError(UnreachableError):
    """The archive does not have some packages of the lock any more, nor does its snapshot, where it has one that can be
    asked."""


@dataclass(frozen=True, slots=True)
class Vendored:
    """What `vendor` did, or would do."""

    directory: Path
    packages: tuple[LockedPackage, ...]
    """All that belong there, by name."""
    downloaded: tuple[LockedPackage, ...]
    """Those that were not there yet."""
    removed: tuple[str, ...]
    """Names of files of an earlier lock."""


def vendor_directory(definition: Definition) -> Path:
    """Where a build looks for the packages of a lock: `vendor` beside the definition."""
    return definition.path.parent / "vendor"


def vendored_path(directory: Path, package: LockedPackage) -> Path | None:
    """The file of `package` in a vendor directory; None when it is not there. Its digest is not looked at."""
    path = directory / _file_name(package)
    return path if path.is_file() else None


def package_sources(definition: Definition, lock: Lock, package: LockedPackage) -> tuple[str, ...]:
    """URLs where `package` may be had, in the order to try: its archive, then the archive's snapshots at its date.

    Raises UsageError when the definition does not have the archive, as with a stale lock.
    """
    archive = next((each for each in definition.archives if each.name == package.archive), None)
    if archive is None:
        message = f"{definition.shown_path} has no archive {package.archive}, which the lock has {package.name} from"
        raise UsageError(message, hint="formation lock")
    dates = [suite.date for suite in lock.suites if (suite.archive, suite.suite) == (package.archive, package.suite)]
    return package_urls(archive, package.path, epoch=dates[0] if dates else lock.epoch)


def gone_error(definition: Definition, packages: Iterable[LockedPackage], error: GoneError) -> PackageGoneError:
    """What `error`, with which downloads of `packages` ended, is to somebody who has a lock."""
    digests = {download.sha256 for download in error.missing}
    gone = {package for package in packages if package.sha256 in digests}
    names = ", ".join(sorted({f"{package.name} {package.version}" for package in gone}))
    kept = {archive.name for archive in definition.archives if archive.snapshot is not None}
    who = "the archive and its snapshot no longer have"
    if error.unasked or any(package.archive not in kept for package in gone):
        who = "the archive no longer has"
    # One reason stands for all: a snapshot that cannot be asked for one package cannot be asked for the others.
    unasked = f", and its snapshot could not be asked: {error.unasked[0]}" if error.unasked else ""
    hint = f"formation lock {quoted(Path(definition.shown_path).parent)}"
    return PackageGoneError(f"{who} {names or error.message}{unasked}", hint=hint)


def vendor(
    definition: Definition, lock: Lock, directory: Path, *, downloader: Downloader, store: Store, dry_run: bool = False
) -> Vendored:
    """Brings every .deb of `lock` into `directory`, named as in its archive, and writes SHA256SUMS.

    What is there already stays; what an earlier SHA256SUMS lists and this lock does not have is removed. A run that is
    cut short leaves complete packages only, and the next one goes on from there. `dry_run` changes nothing.

    Raises UsageError when `directory` is a file; PackageGoneError, UnreachableError, IntegrityError; FormationError for
    two packages with one file name.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    packages = _by_file_name(lock)
    with in_use(store):
        missing = {name: package for name, package in packages.items() if not _is_there(directory / name, package)}
        stale = tuple(name for name in _listed(directory / SUMS) if name not in packages)
        if not dry_run:
            jobs = [
                Download(
                    urls=(*_stored(store, package), *package_sources(definition, lock, package)),
                    path=directory / name,
                    sha256=package.sha256,
                    size=package.size,
                )
                for name, package in missing.items()
            ]
            try:
                for _ in downloader.fetch_all(jobs):
                    pass
            except GoneError as error:
                raise gone_error(definition, missing.values(), error) from error
            _write_sums(directory / SUMS, packages)
            for name in stale:
                (directory / name).unlink(missing_ok=True)
    return Vendored(directory, tuple(packages.values()), tuple(missing.values()), stale)


def _file_name(package: LockedPackage) -> str:
    return PurePosixPath(package.path).name


def _by_file_name(lock: Lock) -> dict[str, LockedPackage]:
    """The packages of all architectures and variants by the names of their files, sorted by package."""
    found: dict[str, LockedPackage] = {}
    for package, _ in entries(lock):
        other = found.setdefault(_file_name(package), package)
        if other.sha256 != package.sha256:
            raise FormationError(
                f"{other.archive} and {package.archive} have different packages in files named {_file_name(package)}, "
                "which cannot both be in one directory"
            )
    return found


def _is_there(path: Path, package: LockedPackage) -> bool:
    return path.is_file() and path.stat().st_size == package.size and sha256_file(path) == package.sha256


def _stored(store: Store, package: LockedPackage) -> Iterator[str]:
    """The URL of the file in the store, when it is there and sound."""
    path = store.download(package.sha256)
    if _is_there(path, package):
        yield path.as_uri()


def _write_sums(path: Path, packages: dict[str, LockedPackage]) -> None:
    lines = sorted(f"{hexadecimal(package.sha256)}  {name}\n" for name, package in packages.items())
    data = "".join(sorted(lines, key=lambda line: line[66:])).encode()
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data)


def _listed(path: Path) -> list[str]:
    """The .deb files that a SHA256SUMS lists; empty when there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    names = (line[66:] for line in lines)
    return [name for name in names if name.endswith(".deb") and "/" not in name and not name.startswith(".")]
