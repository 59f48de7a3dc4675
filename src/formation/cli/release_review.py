"""What `formation release` compares: the release before, and the images that the definition makes now."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

from formation.cli.compared import difference_of, image_snapshot, lock_file, on_its_base, snapshots, with_news
from formation.cli.context import Context
from formation.cli.image_source import opened_name
from formation.cli.registry_options import open_registry
from formation.cli.release_taken import taken_version

if TYPE_CHECKING:
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.oci.reference import Reference
    from formation.progress import Progress
    from formation.release.previous import Releases
    from formation.release.review import Review, VariantDifference
    from formation.release.snapshot import Snapshot


def review_named(arguments: Namespace, context: Context, progress: "Progress", version: str | None) -> "Review":
    """The review of `--new` after `--old`. Without a `version`, that of the new side is judged, when it states one."""
    from formation.release.review import VariantDifference, review

    names = arguments.old, arguments.new
    with snapshots(names, arguments, context, progress) as (old, new):
        difference = difference_of(old, new, arguments, context, progress)
        part = VariantDifference("runtime", difference)
        return review([part], old.stated_version, version or new.stated_version)


def review_definition(
    definition: "Definition | ServiceDefinition",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
    version: str | None,
) -> "Review":
    """The review of what `definition` makes now, as `version` or as its own; without a verdict when nothing was before.

    Where the version that it deserves is published already, with what others have added, that is what it follows.
    Raises as a build, and as `opened_name`.
    """
    from formation.dataclass import replace
    from formation.release.review import review

    version = version or definition.version
    _refuse_stale(definition, arguments, context, progress)
    if arguments.old is not None and lock_file(context, arguments.old) is not None:
        arguments.new = str(definition.path)
        return review_named(arguments, context, progress, version)
    with ExitStack() as stack:
        made = stack.enter_context(_made(definition, arguments, context, progress))
        releases = _releases(definition, arguments, context, progress, version, made)
        opened = cache(lambda name: _opened(name, arguments, context, progress, stack))
        if isinstance(releases, str):
            # One image of anywhere: the variant that it says to be, and nothing is known of the others.
            old = opened(releases)
            names = {old.stated_variant if old.stated_variant in made else "runtime": releases}
            parts, notes = _parts(names, opened, made, definition, arguments, context, progress)
            return review(parts, old.stated_version, version, notes=notes)
        same = version == definition.version
        taken = taken_version(releases, version, made, arguments, context, progress, same_version=same)
        if releases.previous is None:
            return review([], None, version, taken=taken)
        names = {variant: name for variant in made if (name := releases.image(variant)) is not None}
        parts, notes = _parts(names, opened, made, definition, arguments, context, progress)
        found = review(
            parts,
            releases.previous,
            version,
            new_variants=[variant for variant in made if variant not in names],
            lost_variants=sorted(releases.variants - set(made)),
            notes=[*_older(releases, (part.variant for part in parts if part.variant in names)), *notes],
            taken=taken,
        )
    passed = found.verdict.deserved if found.verdict is not None and not found.verdict.enough else None
    if arguments.version is not None or passed is None or not _is_released(passed, releases):
        return found
    later = review_definition(definition, arguments, context, progress, passed)
    note = f"since {releases.previous} it deserves {passed}, which is there already: so it is compared with that"
    # What is judged is still the version that the definition has.
    verdict = None if later.verdict is None else replace(later.verdict, version=version)
    return replace(later, verdict=verdict, notes=(note, *later.notes))


def _is_released(passed: str, releases: "Releases") -> bool:
    """Whether somebody has published `passed`, so that a release follows that instead of the one before.

    Never where --since names the version to follow. What a store has was only built.
    """
    from formation.oci.name import Transport
    from formation.release.previous import tag_version

    if releases.transport is not Transport.REGISTRY or releases.chosen:
        return False
    return any(tag_version(tag) == passed for tag in releases.tags)


def _parts(
    names: Mapping[str, str],
    opened: "Callable[[str], Snapshot]",
    made: "Mapping[str, Snapshot]",
    definition: "Definition | ServiceDefinition",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
) -> "tuple[list[VariantDifference], list[str]]":
    """What changed in each variant since the image of `names`, and elsewhere; and notes on those that are left out.

    Raises UsageError when all are left out: a version would be judged by nothing.
    """
    from formation.errors import UsageError

    untold = _untold(definition, arguments, names)
    if names and untold.keys() == names.keys():
        notes = "; ".join(untold.values())
        raise UsageError(f"nothing can be compared without a build: {notes}", hint="leave --no-build out")
    parts = [
        _part(variant, opened(name), made[variant], definition.architectures, arguments, context, progress)
        for variant, name in names.items()
        if variant not in untold
    ]
    return [*parts, *_elsewhere(parts)], list(untold.values())


def _older(releases: "Releases", variants: Iterable[str]) -> Iterator[str]:
    """A note for each variant that the release before lacks, and an older one has."""
    for variant in variants:
        version = releases.version_of(variant)
        if version != releases.previous:
            yield f"{variant} is compared with {version}, the last release that has it: {releases.previous} lacks it"


def _untold(
    definition: "Definition | ServiceDefinition", arguments: Namespace, variants: Iterable[str]
) -> dict[str, str]:
    """Those of `variants` whose packages no lock tells, each with a note: `only` takes what the libraries need too."""
    from formation.definition.service_values import ServiceDefinition

    if isinstance(definition, ServiceDefinition) or not arguments.no_build:
        return {}
    told = (
        "is not compared: which packages a variant with `only` has, the image tells and no lock; leave --no-build out"
    )
    minimal = {each.name for each in definition.variants if each.only is not None}
    return {variant: f"{variant} {told}" for variant in variants if variant in minimal}


def _refuse_stale(
    definition: "Definition | ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> None:
    """Raises UsageError when the lock is not of the definition any more: what would be judged is not what is built."""
    from formation.cli.release_build import looked_at
    from formation.cli.services import lock_staleness
    from formation.definition.service_values import ServiceDefinition
    from formation.errors import UsageError, quoted
    from formation.lock.lockfile import lock_path, read_lock

    path = lock_path(definition.path)
    # The base of a service has to be at hand for these; of a base only its lock is looked at.
    is_service = isinstance(definition, ServiceDefinition)
    architectures = (looked_at(definition, arguments.platform),) if is_service else definition.architectures
    reason = lock_staleness(definition, read_lock(path), architectures, arguments, context, progress)
    if reason is not None:
        raise UsageError(f"{path} is stale: {reason}", hint=f"formation lock {quoted(definition.path.parent)}")


def _opened(name: str, arguments: Namespace, context: Context, progress: "Progress", stack: ExitStack) -> "Snapshot":
    _, image = stack.enter_context(opened_name(name, arguments, context, progress))
    return image_snapshot(image, name, context, progress)


def _part(
    variant: str,
    old: "Snapshot",
    new: "Snapshot",
    architectures: tuple[str, ...],
    arguments: Namespace,
    context: Context,
    progress: "Progress",
) -> "VariantDifference":
    from formation.dataclass import replace
    from formation.release.difference import compare
    from formation.release.platforms import lock_missing, not_compared, of_release
    from formation.release.review import VariantDifference

    new = on_its_base(new, old, context, progress)
    found = compare(*of_release(old, new, architectures))
    notes = [*found.notes, *lock_missing(old, new)]
    if old.lock is None or new.lock is None:
        # Else their packages are, by the locks.
        notes += not_compared(found.old, found.new)
    return VariantDifference(variant, with_news(replace(found, notes=tuple(notes)), arguments, context, progress))


def _elsewhere(parts: "list[VariantDifference]") -> "Iterator[VariantDifference]":
    """The packages of the architectures that are not looked at, all variants together."""
    from formation.release.difference import compare_elsewhere
    from formation.release.review import VariantDifference

    for part in parts[:1]:
        difference = compare_elsewhere(part.difference.old, part.difference.new)
        if difference is not None:
            names = dict.fromkeys([*difference.old.packages, *difference.new.packages])
            yield VariantDifference(", ".join(names), difference)


def _releases(
    definition: "Definition | ServiceDefinition",
    arguments: Namespace,
    context: Context,
    progress: "Progress",
    version: str,
    made: "dict[str, Snapshot]",
) -> "Releases | str":
    """The releases of the definition's name, or the name of the one image that `--since` says."""
    from formation.oci.name import Transport, parse_name
    from formation.oci.reference import parse_reference
    from formation.release.previous import release_in_store, releases_in_registry, releases_in_store

    if arguments.old is None:
        return releases_in_store(context.store, definition.name, version, [each.digest for each in made.values()])
    name = parse_name(arguments.old)
    reference = name.reference
    if reference is None or reference.digest is not None:
        return str(arguments.old)
    if name.transport is Transport.STORE:
        return release_in_store(context.store, reference) or _of_store(arguments.old, reference, context)
    if name.transport is not Transport.REGISTRY:
        return str(arguments.old)
    repository = parse_reference(arguments.old.removeprefix(Transport.REGISTRY.value), default_tag=None)
    with open_registry(arguments, context, progress) as registry:
        return releases_in_registry(registry, repository, version)


def _of_store(name: str, reference: "Reference", context: Context) -> str:
    """`name`, an image of the store. Raises UsageError when that has none such, and it reads as one of a registry."""
    from formation.errors import UsageError
    from formation.store.images import list_images

    there = any(image.reference.repository == reference.repository for image in list_images(context.store))
    if reference.host is not None and not there:
        raise UsageError(f"the store has no image {name}", hint=f"in a registry it is docker://{name}")
    return name


@contextmanager
def _made(
    definition: "Definition | ServiceDefinition", arguments: Namespace, context: Context, progress: "Progress"
) -> "Iterator[dict[str, Snapshot]]":
    """Variant → what the definition makes of it, while the block runs: images, or its lock under --no-build."""
    from formation.cli.release_build import built_images, built_service_image
    from formation.definition.service_values import ServiceDefinition
    from formation.lock.lockfile import lock_path, read_lock
    from formation.release.snapshot import snapshot_of_lock

    shown = definition.shown_path
    if arguments.no_build:
        lock = read_lock(lock_path(definition.path))
        variants = ["runtime"] if isinstance(definition, ServiceDefinition) else [v.name for v in definition.variants]
        yield {variant: snapshot_of_lock(lock, shown, definition, variant) for variant in variants}
        return
    if isinstance(definition, ServiceDefinition):
        with built_service_image(definition, arguments, context, progress) as image:
            yield {"runtime": image_snapshot(image, shown, context, progress)}
        return
    with built_images(definition, arguments, context, progress) as images:
        yield {variant: image_snapshot(image, shown, context, progress) for variant, image in images.items()}
