"""A whole installation: which task can start when, and what comes of them all.

Packages are unpacked as they arrive. The stages of a variant run as soon as its packages are unpacked, while those of
the next variant still come in; its layers are put together meanwhile.
"""

import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from formation.errors import FormationError
from formation.install.conflicts import Shipped, find_replaced
from formation.install.effects import Effects
from formation.install.job import Arrived, BuiltLayer, BuiltVariant, Job, PackageJob, Step, Stop, VariantJob, Wanted
from formation.install.layer import LayerStore, Owner
from formation.install.segment_record import Segment, read_control, read_entries
from formation.install.stages import Stage, plan_stages
from formation.install.top import Top, build_top
from formation.install.work import build_package_layer, configure, known_effects, known_segment, stage_package, unpack
from formation.store.store import Store

Tell = Callable[[object], None]
"""Sends a message to the other side."""

UNPACK, CONFIGURE, LAYERS = "unpack", "configure", "layers"


@dataclass(slots=True)
class _Variant:
    """One variant while it is made."""

    job: VariantJob
    waiting: set[str] = field(default_factory=set)
    """Digests of its packages that are not unpacked yet."""
    package_layers: list[Future[BuiltLayer]] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)
    top: Future[Top] | None = None


class Installation:
    """Runs a job with a pool of worker processes. `run` may be called once."""

    def __init__(
        self,
        job: Job,
        pool: ProcessPoolExecutor,
        inbox: "queue.SimpleQueue[Any]",
        tell: Tell,
        work: Path,
        *,
        isolated: bool,
        overlay: bool,
        user_namespace: bool,
    ) -> None:
        """`inbox` gets the other side's messages; futures put themselves into it as well."""
        self._job = job
        self._store = Store(job.store)
        self._pool = pool
        self._inbox = inbox
        self._tell = tell
        self._work = work
        self._sandbox = {"isolated": isolated, "overlay": overlay, "user_namespace": user_namespace}
        self._layers = LayerStore(
            self._store.segments, self._store.layers, self._store.blobs, work, job.spec.compression
        )
        self._segments: dict[str, Segment] = {}
        self._unpacking: set[str] = set()
        self._variants = [_Variant(variant) for variant in job.variants]
        self._trees: list[Path] = []
        self._owners: dict[str, Owner] = {}
        self._files: dict[str, Shipped | None] = {}

    def run(self) -> tuple[BuiltVariant, ...]:
        """Does everything, and gives what each variant adds. Raises FormationError."""
        self._look_for_segments()
        total = sum(len(variant.job.packages) for variant in self._variants)
        self._tell(Step(UNPACK, total=total))
        self._tell(Step(UNPACK, amount=len(self._segments)))
        built = []
        for variant in self._variants:
            built.append(self._install(variant))
        return tuple(built)

    def _look_for_segments(self) -> None:
        """Finds what is unpacked already, and asks for the rest: the essential packages, then large ones first."""
        wanted: list[tuple[tuple[int, bool, int], str]] = []
        for number, variant in enumerate(self._variants):
            for package in variant.job.packages:
                known = known_segment(self._store, package, self._job.spec, self._job.epoch)
                if known is not None:
                    self._segments[package.digest] = known
                else:
                    variant.waiting.add(package.digest)
                    wanted.append(((number, not package.essential, -package.size), package.digest))
        self._tell(Wanted(tuple(digest for _, digest in sorted(wanted))))

    def _install(self, variant: _Variant) -> BuiltVariant:
        packages = variant.job.packages
        first = self._variants[0] is variant
        essential = [package for package in packages if package.essential]
        if first and essential:
            self._wait_for(essential)
            self._run_stages(variant, essential, frozenset(p.name for p in essential))
        self._wait_for(packages)
        if variant is self._variants[-1]:
            self._tell(Step(UNPACK, result=f"{len(self._segments)} packages"))
        self._note_contents(packages)
        self._start_package_layers(variant)
        done = {package.name.in_files for stage in variant.stages for package in stage.packages}
        staged = [stage_package(self._store, p, self._segments[p.digest]) for p in packages]
        self._run_stages(variant, [p for p, s in zip(packages, staged, strict=True) if s.name.in_files not in done])
        epoch = variant.stages[-1].epoch if variant.stages else self._job.epoch
        top = self._await(
            self._submit(
                build_top, self._layers, variant.effects, variant.job.additions, tuple(self._trees),
                frozenset(self._files), epoch,
            )
        )  # fmt: skip
        self._note_top(top)
        layers = [self._await(future) for future in variant.package_layers]
        self._tell(Step(LAYERS, result=f"{len(layers) + 1} layers of {variant.job.name}"))
        return BuiltVariant(variant.job.name, (*layers, top.layer), epoch)

    def _run_stages(
        self, variant: _Variant, packages: Sequence[PackageJob], essential: frozenset[str] = frozenset()
    ) -> None:
        """Configures `packages` on top of everything so far."""
        staged = [stage_package(self._store, package, self._segments[package.digest]) for package in packages]
        by_key = {self._segments[package.digest].key: self._segments[package.digest] for package in packages}
        last = next((v.stages[-1] for v in reversed(self._variants) if v.stages), None)
        for stage in plan_stages(staged, essential, before=last, epoch=self._job.epoch):
            self._tell(Step(CONFIGURE, total=len(stage.packages)))
            effects = known_effects(self._store, stage)
            result = f"{len(stage.packages)} packages{'' if effects is None else ', as before'}"
            if effects is None:
                segments = [by_key[package.key] for package in stage.packages]
                effects = self._await(
                    self._submit(
                        configure, self._store, stage, segments, tuple(self._trees), self._work, **self._sandbox
                    )
                )
            self._tell(Step(CONFIGURE, result=result))
            self._trees[:0] = [effects.tree, effects.files]
            variant.stages.append(stage)
            variant.effects.append(effects)

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
            package = next(p for v in self._variants for p in v.job.packages if p.digest == digest)
            spec = replace(self._job.spec, omit=self._job.spec.omit | paths)
            self._await(self._submit(unpack, self._store, package, spec, self._job.epoch))

    def _note_top(self, top: Top) -> None:
        """What comes above the top layer must repeat its directories as it left them."""
        for entry in top.entries:
            self._files.setdefault(entry.path, None)
            if entry.type == "directory":
                self._owners[entry.path] = (entry.mode, entry.uid, entry.gid)

    def _start_package_layers(self, variant: _Variant) -> None:
        by_digest = {package.digest: package for package in variant.job.packages}
        self._tell(Step(LAYERS, total=len(variant.job.layers)))
        for group in variant.job.layers:
            names = [(by_digest[digest].name, by_digest[digest].version) for digest in group]
            segments = [self._segments[digest] for digest in group]
            special = {path: owner for path, owner in self._owners.items() if owner != (0o755, 0, 0)}
            future = self._submit(build_package_layer, self._layers, names, segments, special)
            variant.package_layers.append(future)

    def _wait_for(self, packages: Iterable[PackageJob]) -> None:
        needed = {package.digest for package in packages}
        while not needed <= self._segments.keys():
            self._handle(self._inbox.get())

    def _await(self, future: "Future[Any]") -> Any:
        """The result of a task; whatever else comes in meanwhile is dealt with."""
        while not future.done():
            self._handle(self._inbox.get())
        return future.result()

    def _submit(self, task: Callable[..., Any], *arguments: Any, **options: Any) -> "Future[Any]":
        future = self._pool.submit(task, *arguments, **options)
        future.add_done_callback(self._inbox.put)
        return future

    def _handle(self, message: Any) -> None:
        if isinstance(message, Stop):
            raise FormationError("the build was stopped")
        if isinstance(message, Arrived):
            self._unpack(message.digest)
        elif isinstance(message, Future):
            # Raises what a task raised, as soon as it did.
            result = message.result()
            if isinstance(result, Segment):
                self._segments[result.deb] = result
                self._tell(Step(UNPACK, amount=1))

    def _unpack(self, digest: str) -> None:
        if digest in self._unpacking or digest in self._segments:
            return
        self._unpacking.add(digest)
        package = next(p for v in self._variants for p in v.job.packages if p.digest == digest)
        self._submit(unpack, self._store, package, self._job.spec, self._job.epoch)
