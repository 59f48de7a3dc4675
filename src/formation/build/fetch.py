"""Bringing the .debs of a build into the store while the installer unpacks those that are there."""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from formation.definition.values import Definition
from formation.digest import wrong_digest
from formation.errors import FormationError
from formation.files import atomic_file
from formation.install.installer import Installer
from formation.install.job import BuiltVariant, Job
from formation.lock.model import Lock, LockedPackage
from formation.lock.vendor import gone_error, package_sources, vendor_directory, vendored_path
from formation.network import Download, Downloader, GoneError
from formation.progress import Progress
from formation.store.store import Store

_PIECE: Final = 1 << 20
_PATIENCE: Final = 2.0
"""Seconds that a build which has failed waits for its downloads to end: a name server may hold one longer."""


class Fetching:
    """Downloads in the background. `arrived` hears of each .deb that is in the store, and whether it was verified just
    now; `failed` hears of the first failure."""

    def __init__(
        self,
        definition: Definition,
        lock: Lock,
        packages: Sequence[LockedPackage],
        store: Store,
        downloader: Downloader,
        arrived: Callable[[str, bool], None],
        failed: Callable[[], None],
    ) -> None:
        self._definition = definition
        self._lock = lock
        self._packages: Mapping[str, LockedPackage] = {package.sha256: package for package in packages}
        self._store = store
        self._downloader = downloader
        self._arrived = arrived
        self._failed = failed
        self._thread: threading.Thread | None = None
        self.error: BaseException | None = None
        """Why fetching ended early."""

    def start(self, digests: Sequence[str]) -> None:
        """Begins to bring these packages, in this order, once those are there that were asked for before."""
        self.join()
        if self.error is not None:
            return
        self._thread = threading.Thread(target=self._run, args=(tuple(digests),), daemon=True)
        self._thread.start()

    def join(self, timeout: float | None = None) -> None:
        """Waits until nothing more comes, or for `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, digests: Sequence[str]) -> None:
        try:
            missing = [digest for digest in digests if not self._have(digest)]
            jobs = [self._download(self._packages[digest]) for digest in missing]
            for job in self._downloader.fetch_all(jobs) if jobs else ():
                self._arrived(job.sha256, True)
        except GoneError as error:
            self.error = gone_error(self._definition, self._packages.values(), error)
            self._failed()
        except BaseException as error:
            self.error = error
            self._failed()

    def _have(self, digest: str) -> bool:
        """Whether the package is in the store, or could be put there from the vendor directory.

        Raises IntegrityError for another file there.
        """
        path = self._store.download(digest)
        package = self._packages[digest]
        try:
            if path.stat().st_size == package.size:
                self._arrived(digest, False)
                return True
        except FileNotFoundError:
            pass
        vendored = vendored_path(vendor_directory(self._definition), package)
        if vendored is None:
            return False
        # Another build may be about to unpack what it has verified under this name.
        _copy(vendored, path, digest)
        self._arrived(digest, True)
        return True

    def _download(self, package: LockedPackage) -> Download:
        return Download(
            package_sources(self._definition, self._lock, package),
            self._store.download(package.sha256),
            package.sha256,
            package.size,
        )


def install_fetching(
    installer: Installer,
    job: Job,
    definition: Definition,
    lock: Lock,
    packages: Sequence[LockedPackage],
    *,
    store: Store,
    downloader: Downloader,
    progress: Progress,
) -> tuple[BuiltVariant, ...]:
    """What `installer`, which has had no job yet, makes of `job`; what it lacks of `packages` is brought meanwhile.

    Raises as `Installer.run`, and what ended the fetching early.
    """
    fetching = Fetching(definition, lock, packages, store, downloader, installer.arrived, installer.stop)
    try:
        variants = installer.run(job, progress, fetching.start)
    except FormationError:
        if fetching.error is not None:
            raise fetching.error from None
        # Else it would still say what it has fetched, below the error.
        downloader.cancel()
        fetching.join(_PATIENCE)
        raise
    fetching.join()
    return variants


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copies a file so that `target` appears complete. Raises IntegrityError, with no `target`, for another digest."""
    summed = hashlib.sha256()
    # The store sees after a power cut whether it is whole (store/unsynced.py).
    with atomic_file(target, synced=False) as copy, source.open("rb") as file:
        while piece := file.read(_PIECE):
            copy.write(piece)
            summed.update(piece)
        if f"sha256:{summed.hexdigest()}" != digest:
            raise wrong_digest(source, digest)
