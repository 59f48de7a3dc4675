"""Whether packages go together as their own control files say: what a lock lost shows here, and not halfway in dpkg."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from formation.debian.package import Relation
from formation.debian.relation import alternatives_text, parse_provides, parse_relations, provisions_of
from formation.debian.version import provided_satisfies
from formation.errors import UsageError
from formation.install.stages import StagePackage, control_fields

_NEEDS = ("Pre-Depends", "Depends")
_EXCLUDES = ("Conflicts", "Breaks")

_Offers = Mapping[str, list[tuple[StagePackage, str | None]]]
"""By name, and by `name:any` where that is met: the packages that are or provide it, and as which version."""


def check_relations(new: Collection[StagePackage], everything: Collection[StagePackage]) -> None:
    """Raises UsageError that tells what packages of `new` need and is not among `everything`, and with which of these
    they cannot be.

    `everything` has the packages of `new` too. What holds among the others is the base's, and not looked at. The rules
    are the resolver's (docs/resolver.md), so a lock that is as it was made passes.
    """
    if not new:
        return
    added = {package.name.in_files for package in new}
    offers = _offers(everything)
    problems = [problem for package in new for problem in _unmet(package, offers)]
    problems += [
        f"{package.name.name} {field}: {relation}, and there is {rival.name.name} {rival.version}"
        for package in everything
        for field, relation, rival in _rivals(package, offers)
        if package.name.in_files in added or rival.name.in_files in added
    ]
    if problems:
        raise UsageError(
            f"the packages of the lock do not go together: {'; '.join(problems)}",
            hint="the lock was edited, or merged badly: formation lock",
        )


def _offers(packages: Iterable[StagePackage]) -> _Offers:
    found: dict[str, list[tuple[StagePackage, str | None]]] = {}
    for package in packages:
        name, architecture = package.name.name, package.name.architecture
        fields = control_fields(package)
        found.setdefault(name, []).append((package, package.version))
        provides = parse_provides(fields.get("Provides", ""), architecture)
        for provided, version in provisions_of(name, package.version, fields.get("Multi-Arch", ""), provides):
            found.setdefault(_target(*provided.partition(":")[::2]), []).append((package, version))
    return found


def _target(name: str, qualifier: str | None) -> str:
    """The name that meets a relation. An image has packages of one architecture, whichever of it a qualifier names."""
    return f"{name}:any" if qualifier == "any" else name


def _matches(relation: Relation, offers: _Offers) -> Iterator[StagePackage]:
    for package, version in offers.get(_target(relation.name, relation.qualifier), ()):
        if provided_satisfies(version, relation.operator, relation.version):
            yield package


def _unmet(package: StagePackage, offers: _Offers) -> Iterator[str]:
    fields = control_fields(package)
    for field in _NEEDS:
        for group in parse_relations(fields.get(field, ""), package.name.architecture):
            if not any(True for relation in group for _ in _matches(relation, offers)):
                yield f"{package.name.name} {package.version} {field}: {alternatives_text(group)}"


def _rivals(package: StagePackage, offers: _Offers) -> Iterator[tuple[str, Relation, StagePackage]]:
    """What `package` cannot be with: the field and relation that say so, and the rival. None is its own."""
    fields = control_fields(package)
    for field in _EXCLUDES:
        for group in parse_relations(fields.get(field, ""), package.name.architecture):
            for rival in _matches(group[0], offers):
                if rival.name.name != package.name.name:
                    yield field, group[0], rival
