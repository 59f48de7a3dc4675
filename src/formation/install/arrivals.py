"""The packages of a job, unpacked as they arrive, while the main line of the installation waits for this or that."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from formation.errors import FormationError
from formation.install.job import Arrived, Job, PackageJob, Step, Stop, Wanted
from formation.install.placement import SegmentSpec
from formation.install.schedule import UNPACK, Schedule, Urgency
from formation.install.segment_record import Segment
from formation.install.work import known_segment, unpack
from formation.store.store import Store

Result = TypeVar("Result")


class Arrivals:
    """What is unpacked so far. Whoever waits for something here also deals with what comes in meanwhile."""

    def __init__(self, job: Job, schedule: Schedule, inbox: "SimpleQueue[Any]", tell: Callable[[object], None]) -> None:
        """`inbox` gets the other side's messages and what `schedule` puts there; `tell` sends to the other side."""
        self._job = job
        self._store = Store(job.store)
        self._schedule = schedule
        self._inbox = inbox
        self._tell = tell
        self._arrived: set[str] = set()
        self._specs: dict[str, SegmentSpec] = {}
        self._urgency: dict[str, Urgency] = {}
        self.packages = {package.digest: package for variant in job.variants for package in variant.packages}
        """All of the job, by the digest of their .deb."""
        self.segments: dict[str, Segment] = {}
        """Those that are unpacked, by the digest of their .deb."""

    def look(self) -> None:
        """Finds what is unpacked already, and asks for the rest: the essential packages, then large ones first.

        They are unpacked in that order too: begun last, the largest would keep one worker busy while others wait.
        """
        for number, variant in enumerate(self._job.variants):
            for package in variant.packages:
                known = known_segment(self._store, package, self._job.spec, self._job.epoch)
                if known is not None:
                    self.segments[package.digest] = known
                else:
                    self._urgency[package.digest] = (*UNPACK, number, not package.essential, -package.size)
        self._tell(Wanted(tuple(sorted(self._urgency, key=lambda digest: (self._urgency[digest], digest)))))

    def spec(self, digest: str) -> SegmentSpec:
        """How the package whose .deb has `digest` is unpacked."""
        return self._specs.get(digest, self._job.spec)

    def unpack_again(self, specs: Mapping[str, SegmentSpec]) -> None:
        """Unpacks packages in other ways, and waits for that. `specs` has the digests of their .debs.

        Raises as `wait_for`.
        """
        self._specs.update(specs)
        # A store may have a package as it was unpacked before, and its .deb no more.
        missing = [self.packages[digest] for digest in specs if digest not in self._arrived]
        self.bring(
            each for each in missing if known_segment(self._store, each, specs[each.digest], self._job.epoch) is None
        )
        futures = {
            digest: self._schedule.submit(UNPACK, unpack, self._store, self.packages[digest], spec, self._job.epoch)
            for digest, spec in specs.items()
        }
        for digest, future in futures.items():
            self.wait(future)
            self.segments[digest] = future.result()

    def wait_for(self, packages: Iterable[PackageJob]) -> None:
        """Until all of `packages` are unpacked. Raises what unpacking one raises, FormationError when told to stop."""
        needed = {package.digest for package in packages}
        while not needed <= self.segments.keys():
            self._handle(self._inbox.get())

    def bring(self, packages: Iterable[PackageJob]) -> None:
        """Until the .debs of `packages` are in the store, also of those that are unpacked. Raises as `wait_for`."""
        needed = {package.digest for package in packages}
        if missing := sorted(needed - self._arrived):
            self._tell(Wanted(tuple(missing)))
        while not needed <= self._arrived:
            self._handle(self._inbox.get())

    def result(self, urgency: Urgency, task: Callable[..., Result], *arguments: Any) -> Result:
        """The result of a task. Raises what it raises, and as `wait_for`."""
        future = self._schedule.submit(urgency, task, *arguments)
        self.wait(future)
        return future.result()

    def wait(self, future: "Future[Any]") -> None:
        """Until a task that was submitted has ended. Raises as `wait_for`."""
        while not future.done():
            self._handle(self._inbox.get())

    def _handle(self, message: Any) -> None:
        if isinstance(message, Stop):
            raise FormationError("the build was stopped")
        if isinstance(message, Arrived):
            self._unpack(message.digest, message.checked)
        else:
            # A task has ended; raises what it raised.
            message()

    def _unpack(self, digest: str, checked: bool) -> None:
        if digest in self._arrived:
            return
        self._arrived.add(digest)
        if digest in self.segments:
            return
        package, job = self.packages[digest], self._job
        future = self._schedule.submit(
            self._urgency[digest], unpack, self._store, package, job.spec, job.epoch, checked=checked
        )
        future.add_done_callback(lambda done: self._unpacked(done.result()))

    def _unpacked(self, segment: Segment) -> None:
        self.segments[segment.deb] = segment
        self._tell(Step("unpack", amount=1))
