"""Moving one file from one URL into a sink: tries again, resumes, and stops when told to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final, Protocol

from formation.dataclass import dataclass
from formation.errors import IntegrityError, UnreachableError
from formation.network.answers import SLOWEST, Answer, FailedAttempt, PastEnd
from formation.network.long_waits import DAY, LongWaits, time_text
from formation.network.partial import Sink

_LONGEST_PAUSE: Final = 20.0
_LONGEST_ASKED_PAUSE: Final = 120.0
_FIRST_PAUSE: Final = 0.4
_GOOD_PROGRESS: Final = 64 * 1024


class Cancelled(Exception):
    """The run that this transfer belongs to is over."""


class Run:
    """The transfers that end together: of one call to the downloader."""

    def __init__(self, pause: Callable[[float], object] | None, long_waits: LongWaits | None = None) -> None:
        """`pause` waits that many seconds; None really waits, and wakes when the run is cancelled.

        `long_waits` hears of the waits that servers ask for; None: nobody does.
        """
        self._long_waits = long_waits
        self._cancelled = threading.Event()
        self._pause = pause or self._cancelled.wait
        self._wake: set[Callable[[], object]] = set()
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Ends every transfer of this run soon, those that wait for a server too."""
        self._cancelled.set()
        with self._lock:
            for wake in self._wake:
                wake()

    def check(self) -> None:
        """Raises Cancelled after `cancel`."""
        if self._cancelled.is_set():
            raise Cancelled

    def pause(self, seconds: float) -> None:
        """Waits. Raises Cancelled."""
        self.check()
        self._pause(seconds)
        self.check()

    def pause_after(self, failure: FailedAttempt, failures: int, patience: "Patience") -> None:
        """Waits for the next attempt after so many failures in a row, `failure` the last.

        Raises FailedTransfer when there is to be none: after too many failures, and where the server asks for a longer
        wait than anybody grants it. Then it would answer the same after a shorter one. Raises Cancelled.
        """
        asked = failure.retry_after
        if failures >= patience.tries:
            raise FailedTransfer(f"{failure.reason}, {failures} times in a row", failure) from failure
        if asked is not None and asked > _LONGEST_ASKED_PAUSE:
            time_asked = time_text(asked)
            # Nobody means months: its clock is wrong, or its date.
            when = f"in {time_asked}" if asked <= 30 * DAY else "later, or ask who runs it: nobody waits for so long"
            message = f"{failure.reason} and asks to wait {time_asked}"
            raise FailedTransfer(message, failure, hint=f"run it again {when}") from failure
        if asked is not None and self._long_waits is not None:
            self._long_waits.tell(failure.at, asked)
        self.pause(patience.delay(failures, asked))

    @contextmanager
    def waiting(self, wake: Callable[[], object]) -> Iterator[None]:
        """For the time that the block waits for a server: `cancel` calls `wake`, from its own thread. Raises Cancelled.

        What fails in the block once the run is over fails because of that.
        """
        with self._lock:
            self._wake.add(wake)
        try:
            self.check()
            yield
        except FailedAttempt:
            self.check()
            raise
        finally:
            with self._lock:
                self._wake.discard(wake)


class Opener(Protocol):
    """Opens a URL at a byte. Raises FailedAttempt, PastEnd, GoneError, UnreachableError."""

    def __call__(self, url: str, *, start: int) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a transfer is tried."""

    tries: int
    """Attempts without progress before a URL counts as unreachable."""
    stall: float
    """Seconds over which a transfer must keep its lowest speed."""
    clock: Callable[[], float] = time.monotonic

    def delay(self, failures: int, asked: float | None) -> float:
        """Seconds to wait after so many failures in a row: what the server asks, or doubling, at random around it.

        The randomness keeps parallel transfers that failed together from coming back together.
        """
        # A transfer that nothing goes wrong with does without its 2 ms.
        import random

        if asked is not None:
            return asked
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


def transfer(url: str, sink: Sink, opener: Opener, run: Run, patience: Patience) -> bool:
    """Fills `sink` from `url`, going on where it stands. True when it holds bytes of more than one attempt.

    Raises GoneError and UnreachableError with the reason only, IntegrityError with the URL too, Cancelled.
    """
    failures = 0
    furthest = sink.position
    resumed = sink.position > 0
    while True:
        try:
            return _attempt(url, sink, opener, run, patience) or resumed
        except PastEnd as past:
            if past.length is not None and sink.promised is not None and past.length < sink.promised:
                raise _wrong_size(url, sink.promised, past.length) from past
            sink.restart()
            failure = FailedAttempt("the server cannot resume")
        except FailedAttempt as error:
            failure = error
        # A server that cuts every megabyte is slow, not broken; one that cuts at the same byte again and again is.
        failures = 1 if sink.position > furthest + _GOOD_PROGRESS else failures + 1
        furthest = max(furthest, sink.position)
        run.pause_after(failure, failures, patience)
        if sink.promised is None:
            sink.restart()


class FailedTransfer(UnreachableError):
    """No attempt succeeded. The message is the reason only."""

    def __init__(self, message: str, last: FailedAttempt, *, hint: str | None = None) -> None:
        """`last` is the attempt after which there was no other."""
        super().__init__(message, hint=hint)
        self.at, self.status = last.at, last.status
        """See FailedAttempt."""
        self.unconnected = last.unconnected
        """The server took no connection, so that its other files need not be tried."""


def _attempt(url: str, sink: Sink, opener: Opener, run: Run, patience: Patience) -> bool:
    """One request. True when it went on from bytes of an earlier one."""
    run.check()
    with closing(opener(url, start=sink.position)) as answer, run.waiting(answer.abort):
        if answer.start != sink.position:
            sink.restart()
        if answer.length is not None and sink.promised is not None and answer.length != sink.promised:
            raise _wrong_size(url, sink.promised, answer.length)
        begun, received = patience.clock(), 0
        while data := answer.read():
            run.check()
            if sink.position + len(data) > sink.most:
                raise _too_long(url, sink)
            sink.write(data)
            received += len(data)
            if (now := patience.clock()) - begun > patience.stall:
                if received < SLOWEST * (now - begun) and sink.position != sink.promised:
                    raise FailedAttempt("the server sends too slowly", at=answer.at)
                begun, received = now, 0
        run.check()
        if sink.promised is not None and sink.position < sink.promised:
            raise FailedAttempt("the connection was cut", at=answer.at)
        return answer.start > 0


def _wrong_size(url: str, promised: int, actual: int) -> IntegrityError:
    return IntegrityError(f"{url} has {actual} bytes, but {promised} were promised")


def _too_long(url: str, sink: Sink) -> IntegrityError:
    if sink.promised is None:
        return IntegrityError(f"{url} is larger than the {sink.most} bytes that such a file may have")
    return IntegrityError(f"{url} goes on after the {sink.promised} bytes that were promised")
