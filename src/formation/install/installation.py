"""A whole installation: which task can start when, and what comes of them all.

Packages are unpacked as they arrive. The stages of a variant run as soon as its packages are unpacked, while those of
the next variant still come in; layers are put together where a worker has nothing more urgent to do.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from formation.dataclass import replace
from formation.debian.diversions import FILE as DIVERSIONS
from formation.debian.diversions import parse_diversions
from formation.install.arrivals import Arrivals
from formation.install.built_layer import BuiltLayer
from formation.install.conflicts import Shipped
from formation.install.effects_record import Effects
from formation.install.foundation import lay_foundation
from formation.install.hardening import privileged, without_privileges
from formation.install.job import BuiltVariant, Job, PackageJob, Step
from formation.install.landing import Landings
from formation.install.layer import LayerStore
from formation.install.losses import without_lost_files
from formation.install.minimal import chosen, minimal_top, part_of
from formation.install.overrides import unpack_as_overridden
from formation.install.renewal import renew
from formation.install.roots import Isolation
from formation.install.schedule import ASSEMBLE, CONFIGURE, UNPACK, Schedule
from formation.install.stages import Stage, early_names, plan_renewal, plan_stages
from formation.install.standing import Standing
from formation.install.top import Top, build_top
from formation.install.variant import Variant, corrected_files
from formation.install.view import TreesView
from formation.install.work import (
    build_package_layer,
    configure,
    known_effects,
    settled,
    shipped_package,
    stage_package,
)
from formation.store.store import Store


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
        self._tell = tell
        self._work = work
        self._isolation = isolation
        self._layers = LayerStore(
            self._store.segments, self._store.trees, self._store.layers, self._store.blobs, work, job.spec.compression
        )
        self._variants = [Variant(variant) for variant in job.variants]
        self._arrivals = Arrivals(job, schedule, inbox, tell)
        self._standing = Standing()
        self._reused: set[str] = set()
        self._is_minimal = job.variants[-1].only is not None
        self._landings: dict[str, Landings] = {}

    def run(self) -> tuple[BuiltVariant, ...]:
        """Does everything, and gives what each variant adds. Raises FormationError."""
        total = len(self._arrivals.packages)
        self._tell(Step("unpack", total=total))
        self._arrivals.look()
        known = len(self._arrivals.segments)
        self._tell(Step("unpack", amount=known))
        self._tell(Step("configure", total=total))
        if self._job.base is not None:
            self._standing.start(self._arrivals.result(UNPACK, lay_foundation, self._store, self._job.base, self._work))
        for variant in self._variants:
            self._install(variant)
        reused = sum(len(stage.packages) for v in self._variants for stage in v.stages if stage.key in self._reused)
        self._tell(Step("unpack", result=_counted(total, known)))
        self._tell(Step("configure", result=_counted(total, reused)))
        return self._finish()

    def _install(self, variant: Variant) -> None:
        if variant.job.only is not None:
            self._take(variant, variant.job.only)
            return
        self._renew(variant)
        packages = variant.packages
        essential = [package for package in packages if package.essential]
        rest = packages
        if essential and self._standing.before is None:
            self._arrivals.wait_for(essential)
            self._note_contents(variant, essential)
            self._run_stages(variant, essential, frozenset(package.name for package in essential))
            rest = tuple(package for package in packages if not package.essential)
        self._arrivals.wait_for(rest)
        self._note_contents(variant, rest)
        # Those that will be unpacked once more need no layer before.
        variant.package_layers = [
            self._start_package_layer(group)
            if variant.privileged.keys().isdisjoint(group) and not self._is_minimal
            else None
            for group in variant.groups
        ]
        self._run_stages(variant, rest)
        self._settle(variant)
        tree = self._work / f"additions-{variant.job.name}"
        variant.top = self._arrivals.result(
            CONFIGURE,
            build_top,
            self._layers,
            variant.effects,
            variant.job.additions,
            self._standing.trees,
            self._standing.ownership.paths(),
            self._standing.last_stage.epoch,
            tree,
            corrected_files(variant, self._standing.trees, self._standing.staged),
            [(each.name, each.version) for each in variant.job.packages if each.digest in variant.renewed],
        )
        self._standing.add_top(variant.top, tree)

    def _take(self, variant: Variant, only: Sequence[str]) -> None:
        """Makes the layers of a minimal variant, of what is there."""
        below = [each for each in self._variants if each is not variant]
        packages = {package.digest: package for each in below for package in each.job.packages}
        view = TreesView(self._standing.trees)
        parts = {
            digest: part_of(self._store, package, self._arrivals.segments[digest], self._arrivals.spec(digest), view)
            for digest, package in packages.items()
        }
        taken = set(self._arrivals.result(CONFIGURE, chosen, self._store, tuple(parts.values()), only))
        self._arrivals.unpack_again({digest: part.spec for digest, part in parts.items() if digest in taken})
        groups = [[digest for digest in group if digest in taken] for each in below for group in each.job.layers]
        variant.package_layers = [self._start_package_layer(group) for group in groups if group]
        layer, entries = self._arrivals.result(
            CONFIGURE,
            minimal_top,
            self._layers,
            [{entry.path: entry for entry in each.top.entries} for each in below if each.top is not None],
            [each.job.additions for each in below],
            variant.job.additions,
            self._standing.trees,
            frozenset(packages[digest].name for digest in taken),
            self._standing.last_stage.epoch,
        )
        variant.top = Top(layer, entries, layer.digest)

    def _renew(self, variant: Variant) -> None:
        """Has the image's own dpkg bring the packages of which the base has another version, and what these need."""
        there = (
            {package.name.name for package in self._standing.staged.values()} if self._job.base is not None else set()
        )
        if there.isdisjoint(package.name for package in variant.job.packages):
            return
        self._arrivals.wait_for(variant.job.packages)
        jobs = {self._arrivals.segments[package.digest].key: package for package in variant.job.packages}
        staged = {
            key: stage_package(self._store, each, self._arrivals.segments[each.digest]) for key, each in jobs.items()
        }
        stage = plan_renewal(tuple(staged.values()), there, self._standing.last_stage, self._job.epoch)
        renewed = [jobs[package.key] for package in stage.packages]
        effects = known_effects(self._store, stage)
        if effects is None:
            self._arrivals.bring(renewed)
            effects = self._arrivals.result(
                CONFIGURE, renew, self._store, stage, renewed, self._standing.trees, self._work, self._isolation
            )
        else:
            self._reused.add(stage.key)
        self._note_stage(variant, stage, effects)
        shipped = [shipped_package(self._store, each, self._arrivals.segments[each.digest]) for each in renewed]
        now = {package.digest: staged[key] for key, package in jobs.items() if package in renewed}
        self._standing.renew(now, shipped, effects)
        variant.renewed = frozenset(package.digest for package in renewed)

    def _note_stage(self, variant: Variant, stage: Stage, effects: Effects) -> None:
        self._tell(Step("configure", amount=len(stage.packages)))
        self._standing.add_stage(stage, effects)
        variant.stages.append(stage)
        variant.effects.append(effects)

    def _run_stages(
        self, variant: Variant, packages: Sequence[PackageJob], essential: frozenset[str] = frozenset()
    ) -> None:
        """Configures `packages` on top of everything so far."""
        digests = {self._arrivals.segments[package.digest].key: package.digest for package in packages}
        staged = {p.digest: stage_package(self._store, p, self._arrivals.segments[p.digest]) for p in packages}
        self._standing.add_packages(staged)
        early = early_names(self._standing.staged.values())
        later = set(staged)
        for stage in plan_stages(
            tuple(staged.values()), essential, before=self._standing.before, epoch=self._job.epoch, early=early
        ):
            own_digests = [digests[package.key] for package in stage.packages]
            stage = unpack_as_overridden(self._store, self._arrivals, self._standing, variant, stage, own_digests)
            later.difference_update(own_digests)
            effects = known_effects(self._store, stage)
            if effects is None:
                self._standing.check_relations()
                own = [self._arrivals.segments[digest] for digest in own_digests]
                rest = (self._standing.trees, self._work, self._isolation, self._standing.yielded(own_digests, later))
                effects = self._arrivals.result(CONFIGURE, configure, self._store, stage, own, *rest)
            else:
                self._reused.add(stage.key)
            self._note_stage(variant, stage, effects)
            self._landings.update(dict.fromkeys(own_digests, effects.landings))

    def _note_contents(self, variant: Variant, packages: Sequence[PackageJob]) -> None:
        """Takes down what `packages` ship.

        A package of the same variant that loses files to another is unpacked once more without them, unless a diversion
        may keep them; so is one with a symlink that is there already, though dpkg lists it for both.
        """
        shipped = self._shipped(packages)
        for each in shipped:
            if found := privileged(each.entries, variant.job.additions.hardening):
                variant.privileged[each.digest] = found
        overlaps = self._standing.ownership.add(shipped)
        again = without_lost_files(
            self._store, self._arrivals, self._standing, self._variants, variant, shipped, overlaps.lost
        )
        for digest, paths in overlaps.alike.items():
            spec = again.get(digest, self._arrivals.spec(digest))
            again[digest] = replace(spec, covered=spec.covered | paths)
        self._arrivals.unpack_again(again)

    def _shipped(self, packages: Iterable[PackageJob]) -> list[Shipped]:
        return [shipped_package(self._store, each, self._arrivals.segments[each.digest]) for each in packages]

    def _settle(self, variant: Variant) -> None:
        """Puts files that scripts diverted, or that lie beyond symlinks, where they belong: into layers made once more.

        Raises FormationError when two packages ship a file that was neither diverted nor replaced.
        """
        view = TreesView(self._standing.trees)
        diversions = parse_diversions(view.read(DIVERSIONS))
        lost = self._standing.ownership.settle(diversions)
        shipped = self._shipped(variant.packages) if lost else []
        without = without_lost_files(
            self._store, self._arrivals, self._standing, self._variants, variant, shipped, lost
        )
        again = {}
        for package in variant.packages:
            before = without.get(package.digest, self._arrivals.spec(package.digest))
            segment, landings = self._arrivals.segments[package.digest], self._landings[package.digest]
            spec, away = settled(self._store, package, segment, before, diversions, landings)
            spec = without_privileges(spec, variant.privileged.get(package.digest, ()))
            if spec != self._arrivals.spec(package.digest):
                again[package.digest] = spec
                self._standing.ownership.move(package.digest, spec.renames, away)
        self._arrivals.unpack_again(again)
        for number, group in enumerate(variant.groups):
            waits = variant.package_layers[number] is None or not (again.keys() | variant.overridden).isdisjoint(group)
            if waits and not self._is_minimal:
                variant.package_layers[number] = self._start_package_layer(group)

    def _start_package_layer(self, group: Sequence[str]) -> "Future[BuiltLayer]":
        special = self._standing.ownership.special_directories()
        names = [(self._arrivals.packages[digest].name, self._arrivals.packages[digest].version) for digest in group]
        segments = [self._arrivals.segments[digest] for digest in group]
        return self._schedule.submit(ASSEMBLE, build_package_layer, self._layers, names, segments, special)

    def _finish(self) -> tuple[BuiltVariant, ...]:
        """Waits for the layers."""
        futures = [future for variant in self._variants for future in variant.package_layers if future is not None]
        self._tell(Step("layers", total=len(futures)))
        for future in futures:
            self._arrivals.wait(future)
            self._tell(Step("layers", amount=1))
        built = []
        epoch = self._job.epoch
        # A minimal variant has layers of its own, and nothing comes after it.
        for variant in self._variants[-1:] if self._is_minimal else self._variants:
            if variant.top is not None:
                below = (future.result() for future in variant.package_layers if future is not None)
                layers = (*below, variant.top.layer)
                if variant.stages:
                    epoch = variant.stages[-1].epoch
                built.append(BuiltVariant(variant.job.name, layers, epoch))
        self._tell(Step("layers", result=f"{sum(len(variant.layers) for variant in built)} layers"))
        return tuple(built)


def _counted(total: int, reused: int) -> str:
    """`233 packages, 131 as before`."""
    return f"{total} packages" + (f", {reused} as before" if reused else "")
