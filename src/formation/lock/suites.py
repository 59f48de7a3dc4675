"""The archives of a definition as they are now: verified, and what they offer."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from formation.debian.archive import Archive
from formation.debian.index import PackageIndex, load_packages
from formation.debian.keys import keys_of
from formation.debian.suite import FetchedSuite, fetch_suite
from formation.debian.universe import Universe
from formation.definition.values import Definition
from formation.errors import IntegrityError, UsageError
from formation.lock.model import Lock, LockedSuite
from formation.network import Downloader, GoneError
from formation.progress import Progress, counted
from formation.store.store import Store

_AT_ONCE = 8


def fetch_suites(
    definition: Definition,
    *,
    downloader: Downloader,
    store: Store,
    now: int,
    progress: Progress,
    previous: Lock | None,
) -> tuple[FetchedSuite, ...]:
    """The suites of all archives, in the definition's order, fetched at once and verified.

    `now` is in seconds since 1970. What is older than the same suite at the same address in `previous` is refused as a
    replay. Raises what `fetch_suite` and `keys_of` raise; with file and line when an archive does not have what the
    definition says of it.
    """
    dates = {(suite.uri, suite.suite): suite.date for suite in previous.suites} if previous else {}
    wanted = [(archive, suite) for archive in definition.archives for suite in archive.suites]
    keys = {archive.name: keys_of(archive.keys, definition.path.parent) for archive in definition.archives}

    def fetch(archive: Archive, suite: str) -> FetchedSuite:
        try:
            fetched = fetch_suite(
                archive,
                suite,
                definition.architectures,
                downloader=downloader,
                keys=keys[archive.name],
                now=now,
                not_before=dates.get((archive.uri, suite)),
                cache_dir=store.metadata,
            )
        except (UsageError, GoneError) as error:
            place = definition.place_of_archive(archive.name)
            raise type(error)(f"{place}: {error.message}", hint=error.hint) from error
        progress.advance("archives")
        return fetched

    progress.start("archives", len(wanted))
    with ThreadPoolExecutor(min(_AT_ONCE, len(wanted)), "archives") as threads:
        try:
            futures = [threads.submit(fetch, archive, suite) for archive, suite in wanted]
            fetched = tuple(future.result() for future in futures)
        except KeyboardInterrupt:
            downloader.cancel()
            raise
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
    progress.finish("archives", f"{counted(len(fetched), 'suite')} verified")
    return fetched


def locked_suites(definition: Definition, fetched: tuple[FetchedSuite, ...]) -> tuple[LockedSuite, ...]:
    """What a lock of `definition` says of its suites, in the order in which they were fetched."""
    components = {archive.name: archive.components for archive in definition.archives}
    return tuple(
        LockedSuite(
            archive=suite.archive,
            uri=suite.uri,
            suite=suite.suite,
            components=components[suite.archive],
            sha256=suite.sha256,
            date=suite.date,
            valid_until=suite.valid_until,
            signed_by=suite.signed_by,
        )
        for suite in fetched
    )


def universes(
    suites: tuple[FetchedSuite, ...], architectures: tuple[str, ...], store: Store, progress: Progress
) -> Mapping[str, Universe]:
    """What the suites offer for each architecture. Indexes that were parsed before come from the store.

    Raises IntegrityError, which starts with the address of the index that is not right.
    """
    indexes = [(suite, index) for suite in suites for index in suite.indexes]
    progress.start("indexes", len(indexes))
    loaded: list[tuple[str, PackageIndex, int]] = []
    for suite, index in indexes:
        try:
            packages = load_packages(
                index.digest, index.read, archive=suite.archive, suite=suite.suite, cache_dir=store.metadata
            )
        except IntegrityError as error:
            place = f"{suite.uri}/dists/{suite.suite}/{index.compressed.path}"
            raise type(error)(f"{place}: {error.message}", hint=error.hint) from error
        loaded.append((index.architecture, packages, suite.priority))
        progress.advance("indexes")
    progress.finish("indexes", f"{counted(sum(len(index) for _, index, _ in loaded), 'package')} on offer")
    return {each: _universe(each, loaded) for each in architectures}


def _universe(architecture: str, loaded: list[tuple[str, PackageIndex, int]]) -> Universe:
    own = [(index, priority) for its, index, priority in loaded if its in (architecture, "all")]
    indexes, priorities = [index for index, _ in own], [priority for _, priority in own]
    return Universe(indexes, architecture=architecture, priorities=priorities)
