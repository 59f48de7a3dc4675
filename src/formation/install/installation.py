"""A whole installation: which task can start when, and what comes of them all.

Packages are unpacked as they arrive. The stages of a variant run as soon as its packages are unpacked, while those of
the next variant still come in; layers are put together where a worker has nothing more urgent to do.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from formation.errors import FormationError
from formation.install.conflicts import Shipped, find_replaced
from formation.install.effects import Effects
from formation.install.job import Arrived, BuiltLayer, BuiltVariant, Job, PackageJob, Step, Stop, VariantJob, Wanted
from formation.install.layer import LayerStore, Owner
from formation.install.roots import Isolation
from formation.install.schedule import ASSEMBLE, CONFIGURE, UNPACK, Schedule
from formation.install.segment_record import Segment, read_control, read_entries
from formation.install.stages import Stage, plan_stages
from formation.install.top import Top, build_top
from formation.install.work import (
    build_package_layer,
    configure,
    known_effects,
    known_segment,
    stage_package,
    unpack,
)
from formation.store.store import Store

Result = TypeVar("Result")
_ORDINARY: Owner = (0o755, 0, 0)


@dataclass(slots=True)
class _Variant:
    """One variant while it is made."""

    job: VariantJob
    package_layers: list[Future[BuiltLayer]] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)
    top: Top | None = None


class Installation:
    """Runs a job. `run` may be called once."""

    def __init__(
        self,
        job: Job,
        schedule: Schedule,
        inbox: "SimpleQueue[Any]",
        tell: Callable[[object], None],
        work: Path,
        isolation: Isolation,
    ) -> None:
        """`inbox` gets the other side's messages and what `schedule` puts there; `tell` sends to the other side."""
        self._job = job
        self._store = Store(job.store)
        self._schedule = schedule
        self._inbox = inbox
        self._tell = tell
        self._work = work
        self._isolation = isolation
        self._layers = LayerStore(
            self._store.segments, self._store.layers, self._store.blobs, work, job.spec.compression
        )
        self._variants = [_Variant(variant) for variant in job.variants]
        self._packages = {package.digest: package for variant in job.variants for package in variant.packages}
        self._segments: dict[str, Segment] = {}
        self._begun: set[str] = set()
        self._trees: list[Path] = []
        self._owners: dict[str, Owner] = {}
        self._files: dict[str, Shipped | None] = {}

    def run(self) -> tuple[BuiltVariant, ...]:
        """Does everything, and gives what each variant adds. Raises FormationError."""
        total = len(self._packages)
        self._tell(Step("unpack", total=total))
        self._look_for_segments()
        known = len(self._segments)
        self._tell(Step("unpack", amount=known))
        self._tell(Step("configure", total=total))
        for variant in self._variants:
            self._install(variant)
        reused = sum(len(stage.packages) for v in self._variants for stage in v.stages if stage.key in self._reused)
        self._tell(Step("unpack", result=_counted(total, known)))
        self._tell(Step("configure", result=_counted(total, reused)))
        return self._finish()

    def _look_for_segments(self) -> None:
        """Finds what is unpacked already, and asks for the rest: the essential packages, then large ones first."""
        wanted: list[tuple[tuple[int, bool, int], str]] = []
        self._reused: set[str] = set()
        for number, variant in enumerate(self._variants):
            for package in variant.job.packages:
                known = known_segment(self._store, package, self._job.spec, self._job.epoch)
                if known is not None:
                    self._segments[package.digest] = known
                else:
                    wanted.append(((number, not package.essential, -package.size), package.digest))
        self._tell(Wanted(tuple(digest for _, digest in sorted(wanted))))

    def _install(self, variant: _Variant) -> None:
        packages = variant.job.packages
        essential = [package for package in packages if package.essential]
        rest = packages
        if essential and variant is self._variants[0]:
            self._wait_for(essential)
            self._run_stages(variant, essential, frozenset(package.name for package in essential))
            rest = tuple(package for package in packages if not package.essential)
        self._wait_for(packages)
        self._note_contents(packages)
        self._start_package_layers(variant)
        self._run_stages(variant, rest)
        epoch = self._last_stage().epoch
        variant.top = self._await(
            CONFIGURE,
            build_top,
            self._layers,
            variant.effects,
            variant.job.additions,
            tuple(self._trees),
            frozenset(self._files),
            epoch,
        )
        self._note_top(variant.top)

    def _run_stages(
        self, variant: _Variant, packages: Sequence[PackageJob], essential: frozenset[str] = frozenset()
    ) -> None:
        """Configures `packages` on top of everything so far."""
        segments = {self._segments[package.digest].key: self._segments[package.digest] for package in packages}
        staged = [stage_package(self._store, package, self._segments[package.digest]) for package in packages]
        before = self._last_stage() if self._trees else None
        for stage in plan_stages(staged, essential, before=before, epoch=self._job.epoch):
            effects = known_effects(self._store, stage)
            if effects is None:
                own = [segments[package.key] for package in stage.packages]
                effects = self._await(
                    CONFIGURE, configure, self._store, stage, own, tuple(self._trees), self._work, self._isolation
                )
            else:
                self._reused.add(stage.key)
            self._tell(Step("configure", amount=len(stage.packages)))
            self._trees[:0] = [effects.tree, effects.files]
            variant.stages.append(stage)
            variant.effects.append(effects)

    def _last_stage(self) -> Stage:
        """The stage that everything so far ends with. Raises FormationError when there is none."""
        for variant in reversed(self._variants):
            if variant.stages:
                return variant.stages[-1]
        raise FormationError("the image would have no package at all", hint="name one under packages:")

    def _note_contents(self, packages: Sequence[PackageJob]) -> None:
        """Takes down who owns which directory, since the first package to bring one decides, and who which file.

        A package that loses files to another is unpacked once more without them.
        """
        shipped = []
        for package in packages:
            segment = self._segments[package.digest]
            entries = read_entries(self._store.segments, segment)
            control = read_control(self._store.segments, segment)["control"]
            shipped.append(
                Shipped(package.name, package.version, package.architecture, package.digest, entries, control)
            )
            for entry in entries:
                if entry.type == "directory":
                    self._owners.setdefault(entry.path, (entry.mode, entry.uid, entry.gid))
        for digest, paths in find_replaced(shipped, self._files).items():
            spec = replace(self._job.spec, omit=self._job.spec.omit | paths)
            self._segments[digest] = self._await(
                UNPACK, unpack, self._store, self._packages[digest], spec, self._job.epoch
            )

    def _note_top(self, top: Top) -> None:
        """What comes above the top layer must repeat its directories as it left them."""
        for entry in top.entries:
            self._files.setdefault(entry.path, None)
            if entry.type == "directory":
                self._owners[entry.path] = (entry.mode, entry.uid, entry.gid)

    def _start_package_layers(self, variant: _Variant) -> None:
        special = {path: owner for path, owner in self._owners.items() if owner != _ORDINARY}
        for group in variant.job.layers:
            names = [(self._packages[digest].name, self._packages[digest].version) for digest in group]
            segments = [self._segments[digest] for digest in group]
            variant.package_layers.append(
                self._schedule.submit(ASSEMBLE, build_package_layer, self._layers, names, segments, special)
            )

    def _finish(self) -> tuple[BuiltVariant, ...]:
        """Waits for the layers."""
        futures = [future for variant in self._variants for future in variant.package_layers]
        self._tell(Step("layers", total=len(futures)))
        for future in futures:
            self._wait(future)
            self._tell(Step("layers", amount=1))
        built = []
        for variant in self._variants:
            if variant.top is not None:
                layers = (*(future.result() for future in variant.package_layers), variant.top.layer)
                epoch = variant.stages[-1].epoch if variant.stages else self._last_stage().epoch
                built.append(BuiltVariant(variant.job.name, layers, epoch))
        self._tell(Step("layers", result=f"{sum(len(variant.layers) for variant in built)} layers"))
        return tuple(built)

    def _wait_for(self, packages: Iterable[PackageJob]) -> None:
        needed = {package.digest for package in packages}
        while not needed <= self._segments.keys():
            self._handle(self._inbox.get())

    def _await(self, urgency: int, task: Callable[..., Result], *arguments: Any) -> Result:
        """The result of a task; whatever else comes in meanwhile is dealt with."""
        future = self._schedule.submit(urgency, task, *arguments)
        self._wait(future)
        return future.result()

    def _wait(self, future: "Future[Any]") -> None:
        while not future.done():
            self._handle(self._inbox.get())

    def _handle(self, message: Any) -> None:
        if isinstance(message, Stop):
            raise FormationError("the build was stopped")
        if isinstance(message, Arrived):
            self._unpack(message.digest)
        else:
            # A task has ended; raises what it raised.
            message()

    def _unpack(self, digest: str) -> None:
        if digest in self._begun:
            return
        self._begun.add(digest)
        future = self._schedule.submit(
            UNPACK, unpack, self._store, self._packages[digest], self._job.spec, self._job.epoch
        )
        future.add_done_callback(lambda done: self._unpacked(done.result()))

    def _unpacked(self, segment: Segment) -> None:
        self._segments[segment.deb] = segment
        self._tell(Step("unpack", amount=1))


def _counted(total: int, reused: int) -> str:
    """`233 packages, 131 as before`."""
    return f"{total} packages" + (f", {reused} as before" if reused else "")
