"""The tasks of an installation. Each runs in a worker process of its own, and takes and gives plain values."""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from pathlib import Path

from formation.dataclass import replace
from formation.debian.database import PackageName, conffiles, interests
from formation.debian.deb822 import parse_stanza
from formation.debian.diversions import Diversion, diverted
from formation.entry import decode_lines
from formation.errors import IntegrityError, MalformedError
from formation.install.built_layer import BuiltLayer
from formation.install.configure import StageRun, Unpacked
from formation.install.conflicts import Shipped, is_diverted
from formation.install.effects_record import Effects, load_effects, store_effects
from formation.install.job import PackageJob
from formation.install.landing import NOWHERE_ELSE, Arriving, Ground, Landings, find_landings, landed, settled_spec
from formation.install.layer import LayerStore, Owner, package_layer
from formation.install.link import link_tree
from formation.install.making_way import brought_back
from formation.install.named_owners import claims
from formation.install.placement import SegmentSpec, merged_path
from formation.install.roots import Isolation, RootBuilder
from formation.install.segment import make_segment
from formation.install.segment_record import (
    Segment,
    load_segment,
    read_control,
    read_entries,
    read_listed,
    read_owners,
    segment_key,
)
from formation.install.stages import Stage, StagePackage
from formation.install.waiting import Waiting
from formation.store.locking import remove_tree
from formation.store.prune import mark_used
from formation.store.store import Store

FAR = 2**33 - 1
"""A time that no package reaches, the largest in a plain tar header: segments are kept unclamped, for every lock."""

KERNEL_DIRECTORIES = {"dev": 0o755, "proc": 0o755, "sys": 0o755, "run": 0o755, "tmp": 0o1777}
"""What a sandbox mounts on must be there, also where no package ships it."""


def unpack(store: Store, package: PackageJob, spec: SegmentSpec, epoch: int, *, checked: bool = False) -> Segment:
    """The segment and files of a package whose .deb is in the store; made when they are not there.

    `checked` is as for `make_segment`.
    """
    deb = store.download(package.digest)
    segment = _make(store, deb, package, replace(spec, epoch=FAR), checked)
    if segment.newest > epoch:
        segment = _make(store, deb, package, replace(spec, epoch=epoch), checked)
    return segment


def _make(store: Store, deb: Path, package: PackageJob, spec: SegmentSpec, checked: bool) -> Segment:
    kept = store.trees / segment_key(package.digest, spec)
    name = f"{package.name} {package.version}"
    return make_segment(deb, package.digest, spec, kept=kept, out=store.segments, name=name, checked=checked)


def _check_identity(package: PackageJob, stanza: Mapping[str, str]) -> None:
    """Raises MalformedError when the .deb of `package` is of another one.

    Its digest alone decides which segment is taken from the store, and who edits a lock may write any.
    """
    expected = f"{package.name} {package.version}"
    found = f"{stanza.get('Package', '')} {stanza.get('Version', '')}"
    if found != expected:
        raise MalformedError(f"the package that its archive calls {expected} calls itself {found}")
    architecture = stanza.get("Architecture", "")
    if architecture != package.architecture:
        raise MalformedError(
            f"{expected} is for {architecture!r}, and not for {package.architecture!r} as the lock says"
        )


def _check_control(control: Mapping[str, bytes], listed: Container[str]) -> None:
    """Raises MalformedError for what dpkg refuses, also of a package that was unpacked in an earlier build."""
    interests(control)
    for path, flag in conffiles(control):
        if flag and path in listed:
            raise MalformedError(f"its conffiles have {path!r} for removal on upgrade, and it ships that")


def known_segment(store: Store, package: PackageJob, spec: SegmentSpec, epoch: int) -> Segment | None:
    """The segment of a package when it and its files are in the store."""
    for clamp in (FAR, epoch):
        segment = load_segment(store.segments, segment_key(package.digest, replace(spec, epoch=clamp)))
        if segment is None or not (store.trees / segment.key).is_dir():
            return None
        if clamp == epoch or segment.newest <= epoch:
            mark_used(store.segments / f"{segment.key}.json")
            mark_used(store.trees / segment.key)
            return segment
    return None


def stage_package(store: Store, package: PackageJob, segment: Segment) -> StagePackage:
    """What the stages need to know of an unpacked package.

    Raises MalformedError when it is another than `package`, or has what dpkg refuses.
    """
    control, listed = read_control(store.segments, segment), _listed(store, segment)
    stanza = parse_stanza(control["control"])
    _check_identity(package, stanza)
    try:
        _check_control(control, listed)
    except MalformedError as error:
        raise MalformedError(f"{package.name} {package.version}: {error.message}") from None
    return StagePackage(
        name=PackageName(package.name, package.architecture, stanza.get("Multi-Arch", "") == "same"),
        version=package.version,
        key=segment.key,
        kept=store.trees / segment.key,
        control=control,
        listed=listed,
        newest=segment.newest,
    )


def shipped_package(store: Store, package: PackageJob, segment: Segment) -> Shipped:
    """An unpacked package as the owner of its files."""
    control = read_control(store.segments, segment)
    return Shipped(
        package.name,
        package.version,
        package.architecture,
        package.digest,
        read_entries(store.segments, segment),
        control["control"],
        diverts=b"dpkg-divert" in control.get("preinst", b""),
    )


def settled(
    store: Store,
    package: PackageJob,
    segment: Segment,
    spec: SegmentSpec,
    diversions: Sequence[Diversion],
    landings: Landings,
) -> tuple[SegmentSpec, Mapping[str, str]]:
    """How a package is unpacked for its layer, once its stage is configured, and its paths that were diverted.

    `spec` is how it was unpacked for its stage; `landings` are those of the stage.
    """
    listed = _listed(store, segment)
    away = dict(diverted(package.name, listed, diversions))
    if not away and landings == NOWHERE_ELSE:
        return spec, away
    return settled_spec(spec, listed, read_entries(store.segments, segment), away, landings), away


def _listed(store: Store, segment: Segment) -> tuple[str, ...]:
    """The absolute paths that a package ships, in its order."""
    return tuple(decode_lines(read_listed(store.segments, segment)))


def configure(
    store: Store,
    stage: Stage,
    segments: Sequence[Segment],
    before: Sequence[Path],
    work: Path,
    isolation: Isolation,
    yielded: Mapping[str, Mapping[str, frozenset[str]]],
) -> Effects:
    """Runs a stage, and keeps its effects in the store.

    `before` are the trees below, top first; `segments` those of the stage's packages, in their order. `yielded` has
    what `Ownership.yielded` says of them, by the digest of their .deb; packages without any are left out.
    """
    place = work / f"stage-{stage.key[:16]}"
    result = place / "result"
    files = result / "files"
    files.mkdir(parents=True)
    files.chmod(0o755)
    if stage.bootstrap:
        for name, mode in KERNEL_DIRECTORIES.items():
            (files / name).mkdir()
            (files / name).chmod(mode)

    unpacking = partial(_unpack_stage, store, stage, segments, yielded, tuple(before), files)
    builder = RootBuilder(place, isolation)
    failed = store.work / f"failed-{stage.key[:16]}"
    # What an earlier run of this stage left to look at.
    remove_tree(failed)
    try:
        captured = StageRun(stage, files, unpacking, tuple(before), builder, place / "log", failed).run()
        kept = store.effects / stage.key
        return store_effects(captured.changed, captured.removed, captured.source, kept, result, captured.landings)
    finally:
        builder.close()


def _unpack_stage(
    store: Store,
    stage: Stage,
    segments: Sequence[Segment],
    yielded: Mapping[str, Mapping[str, frozenset[str]]],
    before: tuple[Path, ...],
    files: Path,
    diversions: Sequence[Diversion],
    trees: Sequence[Path],
) -> Unpacked:
    """Unpacks the packages of `stage` into `files`, as `diversions` say, for what `trees` (top first) have now.

    The rest is as for `configure`.
    """
    ground = Ground(trees)
    # What one has found out, nobody asks the file system again.
    below = ground if tuple(trees) == before else Ground(before)
    arriving = []
    for package, segment in zip(stage.packages, segments, strict=True):
        moves = diverted(package.name.name, package.listed, diversions)
        away = {merged_path(path): merged_path(target) for path, target in moves}
        entries = read_entries(store.segments, segment)
        if contested := yielded.get(segment.deb):
            taken = {path for path, names in contested.items() if not is_diverted(path, names, diversions)}
            entries = tuple(entry for entry in entries if entry.path not in taken)
        arriving.append(Arriving(package.name.name, entries, away))
    landings = find_landings(arriving, ground)
    waiting = Waiting(trees)
    waits = [waiting.of(package, its, landings) for package, its in zip(stage.packages, arriving, strict=True)]
    places = frozenset(place for wait in waits for place in wait.values())
    new = waiting.new(places)
    unpacked, aside = [], []
    for package, segment, its, wait in zip(stage.packages, segments, arriving, waits, strict=True):
        its = replace(its, diverted={**its.diverted, **{path: new[place] for path, place in wait.items()}})
        entries, moved = landed(its, landings, below)
        link_tree(package.kept, files, [entry for entry in entries if entry.path not in wait], moved)
        if wait:
            aside.append((package.kept, [entry for entry in entries if entry.path in wait], moved))
        unpacked.append((its, read_owners(store.segments, segment)))

    def bring(root: Path) -> None:
        for kept, entries, moved in aside:
            link_tree(kept, root, entries, moved, anew=True)

    owners = claims(unpacked, landings, ground)
    again = brought_back(arriving, landings, ground, below)
    return Unpacked(replace(landings, waiting=places), owners, again, bring if places else None)


def known_effects(store: Store, stage: Stage) -> Effects | None:
    """The effects of a stage when the store has them."""
    try:
        effects = load_effects(store.effects / stage.key)
    except (FileNotFoundError, IntegrityError):
        return None
    mark_used(store.effects / stage.key)
    return effects


def build_package_layer(
    layers: LayerStore,
    packages: Sequence[tuple[str, str]],
    segments: Sequence[Segment],
    owners: Mapping[str, Owner],
) -> BuiltLayer:
    """The layer of some packages, sorted by name."""
    layer = package_layer(segments, layers, owners)
    return BuiltLayer("packages", tuple(packages), layer.digest, layer.size, layer.diff_id, layers.compression)
