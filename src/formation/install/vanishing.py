"""Packages that dpkg would have disappear: others that come after them replace all that they have.

dpkg then runs their postrm and forgets them, in the middle of unpacking, where it cannot go back. Nobody who names a
package wants that, so the build ends. Source: dpkg's src/main/unpack.c, `pkg_disappear_others`; Debian policy 7.6.1.
"""

from collections.abc import Iterable, Mapping, Sequence

from formation.dataclass import dataclass
from formation.debian.administration import INFO
from formation.debian.deb822 import parse_stanza
from formation.debian.package import Alternatives, Relation
from formation.debian.relation import parse_provides, parse_relations, provisions_of
from formation.debian.version import satisfies
from formation.entry import decode_lines
from formation.errors import FormationError
from formation.install.arrivals import Arrivals
from formation.install.conflicts import Shipped
from formation.install.placement import merged_path
from formation.install.segment_record import read_listed
from formation.install.standing import Standing
from formation.install.variant import Variant
from formation.install.view import TreesView
from formation.store.store import Store

_STRONG = ("Pre-Depends", "Depends", "Recommends")


@dataclass(frozen=True, slots=True)
class Dependent:
    """A package as far as its relations go."""

    name: str
    version: str
    provided: tuple[tuple[str, str | None], ...]
    """Names that it satisfies, its own too, and their versions."""
    needs: tuple[Alternatives, ...]
    """What it depends on and recommends."""

    def satisfies(self, relation: Relation) -> bool:
        """Whether it is what `relation` asks for. A name without a version satisfies no relation with one."""
        return any(
            name == relation.name and (relation.operator is None or version is not None)
            and satisfies(version or "", relation.operator, relation.version)
            for name, version in self.provided
        )  # fmt: skip


def dependent(control: bytes) -> Dependent:
    """What the control file of a package says."""
    stanza = parse_stanza(control)
    name, version, architecture = (stanza.get(field, "") for field in ("Package", "Version", "Architecture"))
    provides = parse_provides(stanza.get("Provides", ""), architecture)
    provided = provisions_of(name, version, stanza.get("Multi-Arch", ""), provides)
    needs = [group for field in _STRONG for group in parse_relations(stanza.get(field, ""), architecture)]
    return Dependent(name, version, ((name, version), *provided), tuple(needs))


def is_needed(package: Dependent, others: Sequence[Dependent]) -> bool:
    """Whether one of `others` would miss `package`: no other one is what it asks for."""
    names = {name for name, _ in package.provided}
    groups = (group for other in others for group in other.needs if any(r.name in names for r in group))
    return any(not any(other.satisfies(r) for other in others for r in group) for group in groups)


def check_vanishing(
    store: Store,
    arrivals: Arrivals,
    standing: Standing,
    variants: Iterable[Variant],
    arrived: Sequence[Shipped],
    lost: Mapping[str, frozenset[str]],
) -> None:
    """Raises FormationError when a package disappears now that those of `arrived` come.

    `lost` has the paths that packages lose to them or to each other, by the digest of their .deb; what they lost before
    is known to `variants`.
    """
    controls = {digest: package.control["control"] for digest, package in standing.staged.items()}
    controls.update((package.digest, package.control) for package in arrived)
    view = TreesView(standing.trees)

    def listed(digest: str) -> frozenset[str]:
        if digest in arrivals.segments:
            content = read_listed(store.segments, arrivals.segments[digest])
        else:
            content = view.read(f"{INFO}/{standing.staged[digest].name.in_files}.list")
        return frozenset(path[1:] for path in decode_lines(content)) - {"", "."}

    for digest, paths in sorted(lost.items()):
        winners = {owner.digest: owner for path in paths if (owner := standing.ownership.owner(path)) is not None}
        if winners.keys().isdisjoint(package.digest for package in arrived):
            # It comes after them: dpkg leaves it without a file.
            continue
        gone = paths.union(*(variant.lost.get(digest, ()) for variant in variants))
        left = listed(digest)
        places = {merged_path(path) for path in left}
        if any(not standing.ownership.has_directory(place) for place in places - gone):
            continue
        # What nobody else has saves it too, such as a directory, or a path as nobody else writes it.
        for other in controls.keys() - {digest}:
            left -= listed(other)
        package = dependent(controls[digest])
        others = [dependent(control) for other, control in controls.items() if other != digest]
        if not left and not is_needed(package, others):
            names = ", ".join(sorted({owner.name for owner in winners.values()}))
            raise FormationError(
                f"dpkg would have {package.name} {package.version} disappear: {names} replaces all its files, and "
                "nothing installed needs it",
                hint=f"leave it out: write -{package.name} under packages:",
            )
