"""Files from servers, several at once, each right or not there at all."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from formation import __version__
from formation.errors import IntegrityError, UnreachableError
from formation.network.access import Access
from formation.network.answers import Answer, GoneError, LocalAnswer
from formation.network.download import Download
from formation.network.long_waits import LongWaits
from formation.network.partial import Memory, PartialFile, Sink
from formation.network.proxies import Proxies
from formation.network.transfer import FailedTransfer, Patience, Run, transfer
from formation.progress import Progress, counted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from formation.network.http import HttpClient

_NO_PROXIES: Final = Proxies()
_OPEN: Final = Access()
_NAMES_SHOWN: Final = 5
_OFFLINE_HINT: Final = "run again without --offline; packages are kept for such runs by: formation vendor DIR"


class Downloader:
    """Downloads over kept connections. A context manager; its methods may be called from any thread."""

    def __init__(
        self,
        *,
        progress: Progress,
        connections: int = 16,
        offline: bool = False,
        proxies: Proxies = _NO_PROXIES,
        access: Access = _OPEN,
        timeout: float = 30.0,
        tries: int = 5,
        pause: Callable[[float], object] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`connections` is how many files are on their way at once; `timeout` in seconds ends a connect, a read that
        brings nothing, or a transfer that drips; `tries` is how often one URL is tried without progress. `offline`
        refuses all but file URLs. `pause` and `clock` replace the real ones in tests.
        """
        self._progress = progress
        self._connections = connections
        self._offline = offline
        self._proxies = proxies
        self._access = access
        self._timeout = timeout
        self._patience = Patience(tries, timeout, clock)
        self._pause = pause
        self._long_waits = LongWaits(progress.note, clock)
        self._http: HttpClient | None = None
        self._lock = threading.Lock()
        self._unconnected: set[str] = set()
        self._runs: set[Run] = set()
        self._cancelled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def cancel(self) -> None:
        """Ends what other threads wait for here, now and later: they get Cancelled. For who stops waiting for them."""
        with self._lock:
            self._cancelled = True
            runs = tuple(self._runs)
        for run in runs:
            run.cancel()

    def get(self, url: str, *, max_size: int) -> bytes:
        """The body at `url`, unchecked: for what proves itself, such as a signed file.

        Raises GoneError when the server does not have it, UnreachableError, IntegrityError beyond `max_size` bytes.
        """
        if self._offline and _scheme(url) != "file":
            raise UnreachableError(f"{url} is needed, and this run is offline", hint=_OFFLINE_HINT)
        sink = Memory(max_size)
        try:
            with self._running() as run:
                self._transfer(url, sink, run)
        except UnreachableError as error:
            kind = GoneError if isinstance(error, GoneError) else UnreachableError
            raise kind(f"cannot download {url}: {_reason(url, error)}", hint=error.hint) from error
        return sink.bytes()

    def fetch(self, job: Download, *, stage: str = "download") -> None:
        """Brings one file. As `fetch_all`."""
        for _ in self.fetch_all((job,), stage=stage):
            pass

    def fetch_all(self, jobs: Iterable[Download], *, stage: str = "download") -> Iterator[Download]:
        """Brings the files in parallel, begun in the given order, and yields each when it is complete in its place.

        A file that was there is replaced in one step. The progress stage counts bytes; it takes some back where a
        transfer has to begin anew. The first failure cancels the rest, except that a file which is gone lets the
        others come, so that the error at the end names all that are gone. Nothing but complete files is ever left.

        Raises GoneError, with `missing`, when the first place of a file says that it is gone, and no other gave it;
        UnreachableError; IntegrityError for a wrong size or digest; FormationError when a file cannot be written.
        """
        # A command that downloads nothing, or from a registry, does without its 4 ms.
        from concurrent.futures import ThreadPoolExecutor

        waiting = tuple(jobs)
        if self._offline:
            _refuse_remote(waiting)
        gone: list[GoneError] = []
        self._progress.start(stage, sum(job.size for job in waiting), "B")

        def advance(amount: int) -> None:
            self._progress.advance(stage, amount)

        with (
            self._running() as run,
            ThreadPoolExecutor(min(self._connections, len(waiting)) or 1, "download") as threads,
        ):
            try:
                yield from _completed([threads.submit(self._fetch, job, run, advance) for job in waiting], gone)
            finally:
                # After an error, Ctrl-C, or a caller that stopped reading: nobody waits for the rest.
                run.cancel()
                threads.shutdown(wait=True, cancel_futures=True)
        if gone:
            raise _all_gone(gone)
        self._progress.finish(stage, counted(len(waiting), "file"))

    @contextmanager
    def _running(self) -> Iterator[Run]:
        """A run that `cancel` ends."""
        run = Run(self._pause, self._long_waits)
        with self._lock:
            self._runs.add(run)
            if self._cancelled:
                run.cancel()
        try:
            yield run
        finally:
            with self._lock:
                self._runs.discard(run)

    def _fetch(self, job: Download, run: Run, advance: Callable[[int], None]) -> Download:
        """One file, from the first of its places that has it."""
        failures: list[tuple[str, UnreachableError]] = []
        with PartialFile(job.path, job.size, advance) as file:
            for url in job.urls:
                try:
                    self._fill(url, job, file, run)
                except UnreachableError as error:
                    failures.append((url, error))
                    continue
                # 300 syncs cost more than 300 downloads; the store finds what a power cut damaged (store/unsynced.py).
                file.keep(synced=False)
                return job
        raise _not_had(job, failures)

    def _fill(self, url: str, job: Download, file: PartialFile, run: Run) -> None:
        """Brings the right bytes from `url` into `file`. Raises UnreachableError, IntegrityError."""
        resumed = self._transfer(url, file, run)
        if file.sha256 != job.sha256 and resumed:
            # The two halves may be of two versions of the file; a whole one decides.
            file.restart()
            resumed = self._transfer(url, file, run)
        if file.sha256 != job.sha256:
            raise IntegrityError(f"{url} has the digest {file.sha256}, but {job.sha256} was expected")

    def _transfer(self, url: str, sink: Sink, run: Run) -> bool:
        """As `transfer`; a server that took no connection once is not waited for again."""
        server = _server(url)
        if server in self._unconnected:
            raise UnreachableError("the server took no connection before")
        try:
            return transfer(url, sink, partial(self._open, run=run), run, self._patience)
        except FailedTransfer as error:
            # Where the server redirects to, others of its files may not be.
            if error.unconnected and error.at == server:
                self._unconnected.add(server)
            raise

    def _open(self, url: str, *, start: int, run: Run) -> Answer:
        """An answer of `url`, whatever its scheme."""
        if _scheme(url) == "file":
            return LocalAnswer(url, start)
        if _scheme(url) not in ("http", "https"):
            raise UnreachableError("only http, https and file URLs can be downloaded")
        return self._client().open(url, run, start=start)

    def _client(self) -> "HttpClient":
        with self._lock:
            if self._http is None:
                # Sockets and a parser: a rebuild from a warm store needs neither.
                from formation.network.http import HttpClient

                self._http = HttpClient(
                    connections=self._connections,
                    timeout=self._timeout,
                    proxies=self._proxies,
                    access=self._access,
                    agent=f"formation/{__version__}",
                )
            return self._http


def _scheme(url: str) -> str:
    """The scheme of a URL in lower case; empty for what is not a URL."""
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def _server(url: str) -> str:
    """The server that a URL names, with its port; empty for what is not a URL."""
    return urlsplit(url).netloc.rpartition("@")[2] if _scheme(url) else ""


def _reason(url: str, error: UnreachableError) -> str:
    """Why `url` could not be had, with the server that failed where it is another one."""
    at = error.at if isinstance(error, FailedTransfer) else ""
    return error.message if at in ("", _server(url)) else f"{error.message}, at {at}, to which it is redirected"


def _completed(futures: "list[Future[Download]]", gone: list[GoneError]) -> Iterator[Download]:
    """The downloads as they complete; those that are gone are added to `gone` instead. Raises any other failure."""
    from concurrent.futures import as_completed

    for future in as_completed(futures):
        try:
            job = future.result()
        except GoneError as error:
            gone.append(error)
        else:
            yield job


def _not_had(job: Download, failures: list[tuple[str, UnreachableError]]) -> UnreachableError:
    """Why no place gave a file. The first place decides the kind: the others stand in for it."""
    reasons = [f"{_reason(url, error)} ({url})" for url, error in failures]
    message = f"cannot download {job.name}: {'; '.join(reasons)}"
    if isinstance(failures[0][1], GoneError):
        unasked = tuple(r for r, (_, each) in zip(reasons, failures, strict=True) if not isinstance(each, GoneError))
        return GoneError(message, missing=(job,), unasked=unasked)
    # Of several places, each has its own.
    return UnreachableError(message, hint=failures[0][1].hint if len(failures) == 1 else None)


def _all_gone(errors: list[GoneError]) -> GoneError:
    """One error for all files that are gone."""
    if len(errors) == 1:
        return errors[0]
    missing = tuple(job for error in errors for job in error.missing)
    message = f"{len(missing)} files are no longer there: {_names(missing)}"
    return GoneError(message, missing=missing, unasked=tuple(each for error in errors for each in error.unasked))


def _refuse_remote(jobs: tuple[Download, ...]) -> None:
    """Raises UnreachableError, naming the files, when any of them has no file URL."""
    remote = tuple(job for job in jobs if all(_scheme(url) != "file" for url in job.urls))
    if remote:
        verb = "is" if len(remote) == 1 else "are"
        raise UnreachableError(f"{_names(remote)} {verb} needed, and this run is offline", hint=_OFFLINE_HINT)


def _names(jobs: tuple[Download, ...]) -> str:
    shown = ", ".join(sorted(job.name for job in jobs)[:_NAMES_SHOWN])
    return shown + (f" and {len(jobs) - _NAMES_SHOWN} more" if len(jobs) > _NAMES_SHOWN else "")
