"""What becomes of packages that lose files to others: they are unpacked without them, or only their lists change."""

from collections.abc import Iterable, Mapping, Sequence

from formation.dataclass import replace
from formation.install.arrivals import Arrivals
from formation.install.conflicts import Shipped
from formation.install.placement import SegmentSpec
from formation.install.standing import Standing
from formation.install.vanishing import check_vanishing
from formation.install.variant import Variant
from formation.store.store import Store


def without_lost_files(
    store: Store,
    arrivals: Arrivals,
    standing: Standing,
    variants: Iterable[Variant],
    variant: Variant,
    winners: Sequence[Shipped],
    lost: Mapping[str, frozenset[str]],
) -> dict[str, SegmentSpec]:
    """How packages of `variant` are to be unpacked, by the digest of their .deb, without what is `lost` to `winners`.

    Packages of the variants below stay as they are unpacked: `variant` takes down what their lists must not name.
    Raises FormationError when one disappears.
    """
    if not lost:
        return {}
    check_vanishing(store, arrivals, standing, variants, winners, lost)
    own = {package.digest for package in variant.packages}
    for digest in lost.keys() - own:
        variant.lost[digest] = variant.lost.get(digest, frozenset()) | lost[digest]
    specs = {digest: arrivals.spec(digest) for digest in lost.keys() & own}
    return {digest: replace(spec, omit=spec.omit | lost[digest]) for digest, spec in specs.items()}
