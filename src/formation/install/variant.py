"""A variant while it is made, and the files of dpkg's database that follow from it as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from formation.dataclass import dataclass, field
from formation.debian.administration import INFO
from formation.debian.statoverrides import FILE as STATOVERRIDES
from formation.debian.statoverrides import parse_statoverrides, statoverrides_text
from formation.install.additions import read_accounts
from formation.install.built_layer import BuiltLayer
from formation.install.effects_record import Effects
from formation.install.hardening import Privileged, overriding, privileged, without_promises
from formation.install.job import PackageJob, VariantJob
from formation.install.ownership import without_lost
from formation.install.stacked import lower_path
from formation.install.stages import Stage, StagePackage
from formation.install.top import Top
from formation.install.view import TreesView


@dataclass(slots=True)
class Variant:
    """One variant while it is made."""

    job: VariantJob
    package_layers: list[Future[BuiltLayer] | None] = field(default_factory=list)
    """None for those that wait until what is in them is settled."""
    stages: list[Stage] = field(default_factory=list)
    effects: list[Effects] = field(default_factory=list)
    lost: dict[str, frozenset[str]] = field(default_factory=dict)
    """What packages of the variants below lose to its own, by the digest of their .deb."""
    renewed: frozenset[str] = frozenset()
    """Its packages that the image's own dpkg brought, by the digest of their .deb: they are in no package layer."""
    privileged: dict[str, tuple[Privileged, ...]] = field(default_factory=dict)
    """Programs of its packages that lose their setuid and setgid bits, by the digest of the .deb."""
    overridden: set[str] = field(default_factory=set)
    """Its packages that were unpacked again as dpkg's overrides demand, by the digest of their .deb."""
    top: Top | None = None

    @property
    def packages(self) -> tuple[PackageJob, ...]:
        """Those of its package layers."""
        return tuple(package for package in self.job.packages if package.digest not in self.renewed)

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """What each of its package layers has, none of which is empty: digests of .debs."""
        groups = (tuple(each for each in group if each not in self.renewed) for group in self.job.layers)
        return tuple(group for group in groups if group)


def corrected_files(variant: Variant, trees: Sequence[Path], staged: Mapping[str, StagePackage]) -> Mapping[str, bytes]:
    """Files of dpkg's database, by path, as the packages of `variant` and the hardening of its programs change them.

    `trees` is everything so far, top first; `staged` all packages so far, by the digest of their .deb.
    """
    return {**_lists(variant, trees, staged), **_statoverrides(variant, trees, staged.values())}


def _lists(variant: Variant, trees: Sequence[Path], staged: Mapping[str, StagePackage]) -> Mapping[str, bytes]:
    """dpkg's file lists of packages in the variants below, without what packages of this variant replace."""
    view = TreesView(trees)
    paths = {f"{INFO}/{staged[digest].name.in_files}.list": lost for digest, lost in variant.lost.items()}
    there = {path for path in paths if (entry := view.find(path)) is not None and entry.type == "file"}
    return {path: without_lost(view.read(path), lost) for path, lost in paths.items() if path in there}


def _statoverrides(variant: Variant, trees: Sequence[Path], staged: Iterable[StagePackage]) -> Mapping[str, bytes]:
    """dpkg's file of overrides, when programs of the variant lose their bits, its packages' or its scripts'."""
    found = [each for them in variant.privileged.values() for each in them]
    for effect in variant.effects:
        there = [e for e in effect.changed if lower_path(e.path, trees) == effect.tree / e.path]
        found += privileged(there, variant.job.additions.hardening)
    view = TreesView(trees)
    before = parse_statoverrides(view.read(STATOVERRIDES))
    after = without_promises(before, view, variant.job.additions.hardening)
    if not found and after == before:
        return {}
    listed = (path for package in staged for path in package.listed)
    return {STATOVERRIDES: statoverrides_text(overriding(found, listed, after, read_accounts(view)))}
