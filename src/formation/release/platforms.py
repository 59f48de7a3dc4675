"""Which platforms the two sides of a comparison are for: of an index, the image for one of them is looked at."""

from collections.abc import Iterator

from formation.dataclass import replace
from formation.release.changes import Change
from formation.release.snapshot import Snapshot


def platform_changes(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """The platforms that came or went."""
    before, after = _known(old), _known(new)
    if old.kind == new.kind == "image" and len(before) == len(after) == 1 and before != after:
        yield Change("platform", "changed", "architecture", "", before[0], after[0])
    elif old.kind == new.kind or (old.platforms and new.platforms):
        yield from (Change("platform", "removed", name) for name in before if name not in after)
        yield from (Change("platform", "added", name) for name in after if name not in before)


def not_compared(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """A note on the platforms that both sides are for, and that are not looked at."""
    after, looked_at = _known(new), {*old.packages, *new.packages}
    left = [name for name in _known(old) if name in after and name not in looked_at]
    if left and old.facts is not None and new.facts is not None:
        images = f"the images for {', '.join(old.packages)}"
        yield f"{images} were compared, and those for {', '.join(left)} were not: --platform chooses"


def of_release(old: Snapshot, new: Snapshot, architectures: tuple[str, ...]) -> tuple[Snapshot, Snapshot]:
    """The two sides with their platforms, where `new` is what a definition for these `architectures` makes.

    Without, where all that is known of `old` is for what this image is: its release may have had others. What the name
    of `old` stands for goes before what its lock was made for: some of that may never have been published.
    """
    locked = () if old.lock is None else (*old.lock.packages, *(base.architecture for base in old.lock.base))
    known = old.platforms or tuple(dict.fromkeys(locked))
    return replace(old, platforms=known), replace(new, platforms=architectures if known else ())


def lock_missing(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """A note where `old`, an image, is without its lock, so that less is compared than that of `new` would allow."""
    if old.facts is not None and old.lock is None and new.lock is not None:
        known = "only names and versions of its packages are known, not their suites and bytes"
        others = "" if old.platforms else f", and nothing of other architectures than {', '.join(old.packages)}"
        yield f"the lock of {old.name} is neither beside it nor in the store: {known}{others}"


def _known(side: Snapshot) -> tuple[str, ...]:
    return side.platforms or tuple(side.packages)
