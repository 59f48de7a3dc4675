"""The two sides of a comparison, from whatever the command line names: images of any source, locks, definitions."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Parser
from formation.cli.registry_options import add_registry_options

if TYPE_CHECKING:
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.errors import UsageError
    from formation.lock.model import Lock, LockedBase
    from formation.oci.image import Image
    from formation.progress import Progress
    from formation.release.difference import Difference
    from formation.release.snapshot import Snapshot


def add_comparison_options(parser: Parser) -> None:
    """Adds what `snapshots` and `with_news` read, besides the names of the two sides."""
    parser.add_argument("--variant", metavar="NAME", help="of locks: which variant (default: all, or the other's)")
    parser.add_argument("--platform", metavar="OS/ARCH", help="which image, where a name stands for several")
    parser.add_argument("--no-changelogs", action="store_true", help="do not look for the packages' changelogs")
    parser.add_argument("--offline", action="store_true", help="download no package for its changelog")
    add_registry_options(parser)


@contextmanager
def snapshots(
    names: tuple[str, str], arguments: Namespace, context: Context, progress: "Progress"
) -> Iterator[tuple["Snapshot", "Snapshot"]]:
    """What the two `names` stand for, usable while the block runs. Raises as `opened_name` and `read_lock`."""
    from formation.cli.image_source import opened_name
    from formation.release.snapshot import snapshot_of_lock

    locks = [lock_file(context, name) for name in names]
    with ExitStack() as stack:
        found: list[Snapshot | None] = [None, None]
        for number, name in enumerate(names):
            if locks[number] is None:
                _, image = stack.enter_context(opened_name(name, arguments, context, progress))
                found[number] = image_snapshot(image, name, context, progress)
        for number, path in enumerate(locks):
            if path is not None:
                lock, definition = _read(path)
                other = found[1 - number]
                variant = arguments.variant or _variant_of(other, definition)
                if other is not None and other.facts is not None:
                    _refuse_part(variant, definition, names[number])
                found[number] = snapshot_of_lock(lock, names[number], definition, variant)
        old, new = found
        assert old is not None and new is not None
        yield on_its_base(old, new, context, progress), on_its_base(new, old, context, progress)


def on_its_base(side: "Snapshot", other: "Snapshot", context: Context, progress: "Progress") -> "Snapshot":
    """`side` with the packages of its base where it is the lock of a service, which has what the service adds, and
    `other` is not: of two such locks only what the services add is compared.

    Raises UsageError when the store does not have the base that was locked.
    """
    from formation.release.snapshot import with_base

    if not _adds_to_a_base(side) or _adds_to_a_base(other):
        return side
    assert side.lock is not None
    common = [each for each in side.lock.base if each.architecture in other.packages]
    bases = {}
    for base in common or side.lock.base:
        bases[base.architecture] = _stored_base(base, side.name, context, progress)
    return with_base(side, bases)


def _adds_to_a_base(side: "Snapshot") -> bool:
    return side.kind == "lock" and side.lock is not None and bool(side.lock.base)


def _stored_base(base: "LockedBase", name: str, context: Context, progress: "Progress") -> "Snapshot":
    """The very image that was locked. `name` is that of the lock."""
    from formation.errors import UsageError
    from formation.oci.image import image_of
    from formation.oci.verified import verified
    from formation.store.blobs import StoreBlobs, has_blob
    from formation.store.locking import in_use

    source = StoreBlobs(context.store)
    with in_use(context.store):
        image = None
        if has_blob(context.store, base.digest):
            with verified(source.open_blob(base.digest), base.digest, None, f"base {base.digest}") as file:
                image = image_of(source, file.read())
        if image is None or any(not has_blob(context.store, layer.digest) for layer in image.manifest.layers):
            raise UsageError(
                f"the lock of {name} has only what is added to {base.name}, and the store does not have that base "
                f"({base.digest}), which the other side has too",
                hint="bring it into the store with `formation build` or `formation pull`, or compare two locks",
            )
        return image_snapshot(image, base.name, context, progress)


def image_snapshot(image: "Image", name: str, context: Context, progress: "Progress") -> "Snapshot":
    """The side that `image`, asked for as `name`, is. Its layers are read where nobody remembers what is in them."""
    from formation.contents.image import scan_image
    from formation.contract.facts import facts_of
    from formation.release.snapshot import snapshot_of_image

    contents = scan_image(image, context.store, workers=context.workers, progress=progress)
    return snapshot_of_image(facts_of(contents), name, store=context.store)


def difference_of(
    old: "Snapshot", new: "Snapshot", arguments: Namespace, context: Context, progress: "Progress"
) -> "Difference":
    """What changed between two sides that were named, with news, and a note on the platforms that are not looked at."""
    from formation.dataclass import replace
    from formation.release.difference import compare
    from formation.release.platforms import not_compared

    found = compare(old, new)
    return with_news(replace(found, notes=(*found.notes, *not_compared(old, new))), arguments, context, progress)


def with_news(difference: "Difference", arguments: Namespace, context: Context, progress: "Progress") -> "Difference":
    """The difference with what the changelogs say, unless nobody wants to know."""
    from dataclasses import replace

    from formation.release.gather import Gathering
    from formation.store.locking import in_use

    if arguments.no_changelogs:
        return difference
    with context.downloader(progress) as downloader, in_use(context.store):
        gathering = Gathering(difference, context.store, None if arguments.offline else downloader, progress)
        news = gathering.run()
    return replace(difference, news=news, notes=(*difference.notes, *gathering.notes))


def lock_file(context: Context, name: str) -> Path | None:
    """The lock that `name` is, or that lies in the directory or beside the definition that it is; None for an image.

    Raises UsageError for an image that is named as a file.
    """
    path = context.path(name)
    if path.is_dir():
        if (path / "oci-layout").is_file():
            raise _without_transport(name, "oci")
        return path / "formation.lock"
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path.with_suffix(".lock")
    if path.suffix == ".tar" and path.is_file():
        raise _without_transport(name, "docker-archive")
    return path if path.is_file() else None


def _without_transport(name: str, transport: str) -> "UsageError":
    from formation.errors import UsageError, quoted

    return UsageError(f"{name} is no lock, but looks like an image", hint=f"name it {transport}:{quoted(name)}")


def _read(path: Path) -> "tuple[Lock, Definition | ServiceDefinition | None]":
    """The lock, and the definition beside it where there is one."""
    from formation.definition.load import load_any
    from formation.lock.lockfile import read_lock

    beside = path.with_suffix(".yaml")
    return read_lock(path), load_any(beside) if beside.is_file() else None


def _refuse_part(variant: str | None, definition: "Definition | ServiceDefinition | None", name: str) -> None:
    """Raises UsageError where an image of `variant` has a part of its packages, and its lock does not tell which."""
    from formation.definition.values import Definition
    from formation.errors import UsageError

    variants = definition.variants if isinstance(definition, Definition) else ()
    if any(each.name == variant and each.only is not None for each in variants):
        raise UsageError(
            f"the lock of {name} cannot be compared with an image of {variant}: which packages a variant with `only` "
            "has, the image tells and no lock",
            hint="compare two images, or two locks",
        )


def _variant_of(other: "Snapshot | None", definition: "Definition | ServiceDefinition | None") -> str | None:
    """Which variant a lock is compared with; None when that is a lock too: then all of both."""
    from formation.definition.values import RUNTIME, Definition

    if other is None or other.facts is None:
        return None
    # Images of anybody end their versions as they like: debian:13.1.0-slim.
    known = not isinstance(definition, Definition) or other.stated_variant in {
        each.name for each in definition.variants
    }
    return other.stated_variant if known else RUNTIME
