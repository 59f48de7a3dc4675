"""Marks packages for installation by the rules of apt's classic solver, so that both choose the same packages.

The rules are those of pkgDepCache::MarkInstall in apt 2.6 to 3.0 (docs/resolver.md says which and why). They are not a
search: a choice that turned out wrong is undone only for the package it was made for, and what stays unmet is found at
the end. The order of everything here is therefore part of the result.
"""

from collections.abc import Iterator, Sequence

from formation.dataclass import dataclass
from formation.debian.deep import Steps, run_deep
from formation.debian.package import Alternatives, BinaryPackage, Relation
from formation.debian.universe import Choices

_PRIORITIES = {"": 0, "required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}
_DEEPEST = 3000


@dataclass(frozen=True, slots=True)
class _Mark:
    """A package that must be marked before the one at work can go on."""

    package: BinaryPackage
    follow: bool
    """Whether its dependencies are marked as well."""


_Marking = Steps[_Mark]
"""One call of `_mark`, which yields the marks it needs."""


class Marker:
    """The state of one resolution: what is selected, and what must or must not be."""

    def __init__(self, choices: Choices, installed: Sequence[BinaryPackage], *, recommends: bool) -> None:
        self.choices = choices
        self.recommends = recommends
        self.installed = {package.name: package for package in installed}
        self.selected: dict[str, BinaryPackage] = dict(self.installed)
        self.requested: dict[str, BinaryPackage] = {}
        self._protected: set[str] = set()
        """Names whose state is settled: selected for good, or ruled out when not selected."""
        self._discarded: set[str] = set()
        """Names whose candidate turned out not to be installable."""

    def request(self, packages: Sequence[BinaryPackage]) -> None:
        """Selects `packages`, and then, one by one, what each of them needs."""
        for package in packages:
            self.requested[package.name] = package
            self._protected.add(package.name)
            self._run(self._mark(package, depth=0, follow=False, requested=True))
        for package in packages:
            self._run(self._mark(package, depth=0, follow=True, requested=True))

    def broken(self) -> Iterator[tuple[BinaryPackage, str, Alternatives]]:
        """What is selected although a dependency of it is not met or a conflict holds: package, field, relation."""
        for package in self.selected.values():
            for field, group in positive_groups(package, recommends=False):
                if not self.is_met(group):
                    yield package, field, group
            for field, relation in negative_relations(package):
                if self.rivals(package, relation):
                    yield package, field, (relation,)

    def is_met(self, group: Alternatives) -> bool:
        """Whether a selected package satisfies one of the alternatives."""
        selected = self.selected
        return any(selected.get(match.name) is match for relation in group for match in self.choices.matches(relation))

    def select(self, package: BinaryPackage) -> bool:
        """Selects `package` alone, when its name is neither ruled out nor discarded."""
        return self._run(self._mark(package, depth=0, follow=False, requested=False))

    def is_settled(self, package: BinaryPackage) -> bool:
        """Whether `package` must stay as it is: requested, installed, or the only one that meets a settled need."""
        return package.name in self._protected or package.name in self.installed

    def rivals(self, package: BinaryPackage, relation: Relation) -> list[BinaryPackage]:
        """The selected packages that `package` conflicts with by `relation`. None conflicts with its own name."""
        matches = self.choices.matches(relation)
        return [match for match in matches if match.name != package.name and self.selected.get(match.name) is match]

    def _run(self, marking: _Marking) -> bool:
        return run_deep(
            marking,
            lambda wanted, depth: self._mark(wanted.package, depth=depth, follow=wanted.follow, requested=False),
        )

    def _mark(self, package: BinaryPackage, *, depth: int, follow: bool, requested: bool) -> _Marking:
        name = package.name
        is_selected = self.selected.get(name) is package
        is_kept = is_selected and self.installed.get(name) is package
        settled = name in self._protected
        if not requested and (depth > _DEEPEST or (settled and not is_selected)):
            return False
        if name in self._discarded:
            return False
        if is_selected and not settled and not self._is_lacking(package):
            return True
        if follow and not is_kept and not self._is_satisfiable(package):
            if not settled:
                self._discarded.add(name)
            return False
        if requested:
            self.selected[name] = package
        may_fail = settled or requested
        wanted = list(self._unmet(package, settled=settled)) if follow else []
        worked = not follow or self._remove_rivals(package, settled=settled, requested=requested)
        if not worked and not may_fail:
            return False
        self.selected[name] = package
        if not follow:
            return worked
        self._protected.add(name)
        installed = yield from self._install(package, wanted, settled=settled, requested=requested)
        if not installed and not may_fail:
            self.deselect(name)
            self._discarded.add(name)
        if not settled:
            self._protected.discard(name)
        return worked and installed

    def _is_lacking(self, package: BinaryPackage) -> bool:
        """Whether a selected package has a dependency unmet or a rival selected."""
        if not all(self.is_met(group) for _, group in positive_groups(package, recommends=self.recommends)):
            return True
        return any(self.rivals(package, relation) for _, relation in negative_relations(package))

    def _is_satisfiable(self, package: BinaryPackage) -> bool:
        """Whether each dependency has a candidate at all, whatever became of it since."""
        return all(
            any(self.choices.matches(relation) for relation in group)
            for _, group in positive_groups(package, recommends=False)
        )

    def _unmet(self, package: BinaryPackage, *, settled: bool) -> Iterator[tuple[str, Alternatives]]:
        """The dependencies to look after. A settled package looks after met ones too, to settle what meets them."""
        for field, group in positive_groups(package, recommends=self.recommends):
            if settled or not self.is_met(group):
                yield field, group

    def _remove_rivals(self, package: BinaryPackage, *, settled: bool, requested: bool) -> bool:
        """Deselects what conflicts with `package`; for a settled one, rules it out as well."""
        worked = True
        relations = [relation for _, relation in negative_relations(package)]
        if not settled:
            relations = [relation for relation in relations if self.rivals(package, relation)]
        for relation in relations:
            for rival in self._sorted(relation):
                name = rival.name
                if name == package.name or name in self._discarded:
                    continue
                is_selected = self.selected.get(name) is rival
                if (is_selected and not self._may_deselect(rival)) or self.installed.get(name) is rival:
                    worked = False
                    if not settled and not requested:
                        return False
                    continue
                if is_selected:
                    self.deselect(name)
                if settled:
                    self._discarded.add(name)
                    if name not in self.installed:
                        self._protected.add(name)
        return worked

    def _may_deselect(self, package: BinaryPackage) -> bool:
        return package.name not in self._protected

    def deselect(self, name: str) -> None:
        """Leaves `name` as it is installed, or not installed."""
        if name in self.installed:
            self.selected[name] = self.installed[name]
        else:
            self.selected.pop(name, None)

    def _install(
        self, package: BinaryPackage, wanted: list[tuple[str, Alternatives]], *, settled: bool, requested: bool
    ) -> _Marking:
        """Marks one solution of each wanted dependency; False when one that is no Recommends has none."""
        worked = True
        for field, group in wanted:
            critical = field != "Recommends"
            if self.is_met(group):
                if settled and critical and not (yield from self._settle(group)):
                    worked = False
                continue
            if not critical and self.installed.get(package.name) is package:
                # What an installed package only recommends was decided when it was installed.
                continue
            if not (yield from self._install_one(group, settle=settled and critical)) and critical:
                worked = False
                if not settled and not requested:
                    return False
        return worked

    def _settle(self, group: Alternatives) -> _Marking:
        """Settles the package that meets `group`, when no other could."""
        solutions = {match.name: match for match in self._possible(group)}
        if len(solutions) != 1:
            return True
        (solution,) = solutions.values()
        if solution.name in self._protected:
            return True
        self._protected.add(solution.name)
        return (yield _Mark(solution, follow=True))

    def _install_one(self, group: Alternatives, *, settle: bool) -> _Marking:
        """Marks the first solution of `group` that can be."""
        solutions = [match for relation in group for match in self._sorted(relation)]
        solutions.sort(key=lambda match: match.name not in self.installed)
        solutions = list({match.name: match for match in solutions if not self._is_ruled_out(match)}.values())
        for solution in solutions:
            if solution.name in self._discarded:
                continue
            if settle and len(solutions) == 1:
                if not (yield _Mark(solution, follow=False)):
                    continue
                self._protected.add(solution.name)
            if (yield _Mark(solution, follow=True)):
                return True
        return False

    def _possible(self, group: Alternatives) -> Iterator[BinaryPackage]:
        for relation in group:
            for match in self.choices.matches(relation):
                if match.name not in self._discarded and not self._is_ruled_out(match):
                    yield match

    def _is_ruled_out(self, package: BinaryPackage) -> bool:
        return package.name in self._protected and self.selected.get(package.name) is not package

    def _sorted(self, relation: Relation) -> list[BinaryPackage]:
        """The packages that satisfy `relation` and are not discarded, the preferred first (apt's CompareProviders)."""
        matches = [match for match in self.choices.matches(relation) if match.name not in self._discarded]
        if len(matches) > 1:
            target = self.choices.target(relation)
            matches.sort(key=lambda match: self._preference(match, target))
        return matches

    def _preference(self, package: BinaryPackage, target: str) -> tuple[bool | int, ...]:
        name = package.name
        is_installed = name in self.installed
        return (
            name not in self._protected,
            not (is_installed and package.multi_arch == "same"),
            not is_installed,
            name != target,
            not package.essential,
            not package.important,
            _PRIORITIES.get(package.priority.lower(), _PRIORITIES["extra"]),
            -self.choices.universe.rank(name),
        )


def positive_groups(package: BinaryPackage, *, recommends: bool) -> Iterator[tuple[str, Alternatives]]:
    """What `package` needs, with the field that says so, in apt's order."""
    for group in package.pre_depends:
        yield "Pre-Depends", group
    for group in package.depends:
        yield "Depends", group
    if recommends:
        for group in package.recommends:
            yield "Recommends", group


def negative_relations(package: BinaryPackage) -> Iterator[tuple[str, Relation]]:
    """What `package` cannot be installed with, with the field that says so."""
    for group in package.conflicts:
        yield "Conflicts", group[0]
    for group in package.breaks:
        yield "Breaks", group[0]
