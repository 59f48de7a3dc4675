"""Packages that dpkg would have disappear: others replace all that they have, and more are unpacked after them.

dpkg then runs their postrm and forgets them, in the middle of unpacking, where it cannot go back. Nobody who names a
package wants that, so the build ends. Source: dpkg's src/main/unpack.c, `pkg_disappear_others`; Debian policy
7.6.1.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from formation.dataclass import dataclass
from formation.debian.administration import INFO
from formation.debian.deb822 import parse_stanza
from formation.debian.package import Alternatives, Relation
from formation.debian.relation import parse_provides, parse_relations, provisions_of
from formation.debian.version import provided_satisfies
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


@dataclass(frozen=True, slots=True)
class Dependent:
    """A package as far as its relations go."""

    name: str
    version: str
    provided: tuple[tuple[str, str | None], ...]
    """Names that it satisfies, its own too, and their versions."""
    depends: tuple[Alternatives, ...]
    """What dpkg configures before it."""
    recommends: tuple[Alternatives, ...]

    def satisfies(self, relation: Relation) -> bool:
        """Whether it is what `relation` asks for."""
        return any(
            name == relation.name and provided_satisfies(version, relation.operator, relation.version)
            for name, version in self.provided
        )


def dependent(control: bytes) -> Dependent:
    """What the control file of a package says."""
    stanza = parse_stanza(control)
    name, version, architecture = (stanza.get(field, "") for field in ("Package", "Version", "Architecture"))
    provides = parse_provides(stanza.get("Provides", ""), architecture)
    provided = provisions_of(name, version, stanza.get("Multi-Arch", ""), provides)
    needs = [parse_relations(stanza.get(field, ""), architecture) for field in ("Pre-Depends", "Depends", "Recommends")]
    return Dependent(name, version, ((name, version), *provided), (*needs[0], *needs[1]), tuple(needs[2]))


def is_needed(package: Dependent, others: Sequence[Dependent]) -> bool:
    """Whether one of `others` would miss `package`: no other one is what it asks for."""
    names = {name for name, _ in package.provided}
    needs = (group for other in others for group in (*other.depends, *other.recommends))
    groups = (group for group in needs if any(r.name in names for r in group))
    return any(not any(other.satisfies(r) for other in others for r in group) for group in groups)


def dependencies(package: Dependent, others: Iterable[Dependent]) -> frozenset[str]:
    """The names of those of `others` that `package` depends on, directly or not, and that are unpacked before it."""
    rest = list(others)
    found: set[str] = set()
    pending = [package]
    while pending:
        groups = pending.pop().depends
        for other in [other for other in rest if any(other.satisfies(r) for group in groups for r in group)]:
            rest.remove(other)
            found.add(other.name)
            pending.append(other)
    return frozenset(found)


def _is_last(package: Dependent, others: Iterable[Dependent], arrived: Iterable[Shipped]) -> bool:
    """Whether `package` is among those of `arrived`, and depends on all the rest of them."""
    names = {each.name for each in arrived}
    return package.name in names and names <= {package.name} | dependencies(package, others)


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
    view = TreesView(standing.trees)

    @cache
    def known() -> Mapping[str, Dependent]:
        controls = {digest: package.control["control"] for digest, package in standing.staged.items()}
        controls.update((package.digest, package.control) for package in arrived)
        return {digest: dependent(control) for digest, control in controls.items()}

    def listed(digest: str) -> frozenset[str]:
        if digest in arrivals.segments:
            content = read_listed(store.segments, arrivals.segments[digest])
        else:
            content = view.read(f"{INFO}/{standing.staged[digest].name.in_files}.list")
        return frozenset(path[1:] for path in decode_lines(content)) - {"", "."}

    for digest, paths in sorted(lost.items()):
        names = {owner.name for path in paths if (owner := standing.ownership.owner(path)) is not None}
        gone = paths.union(*(variant.lost.get(digest, ()) for variant in variants))
        left = listed(digest)
        places = {merged_path(path) for path in left}
        if any(not standing.ownership.has_directory(place) for place in places - gone):
            continue
        package = known()[digest]
        others = [other for key, other in known().items() if key != digest]
        # Whatever is unpacked after it, be it a winner or not, has it disappear; what it depends on comes before it.
        if is_needed(package, others) or _is_last(package, others, arrived):
            continue
        # What nobody else has saves it too, such as a directory, or a path as nobody else writes it.
        for other in known().keys() - {digest}:
            left -= listed(other)
            if not left:
                break
        else:
            continue
        raise FormationError(
            f"dpkg would have {package.name} {package.version} disappear: {', '.join(sorted(names))} replaces all its "
            "files, and nothing installed needs it",
            hint=f"leave it out: write -{package.name} under packages:",
        )
