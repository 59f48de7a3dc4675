"""Why some requests cannot be met: which package needs what, who asked for it, and what there is instead."""

from collections import deque
from collections.abc import Container, Iterator, Sequence

from formation.debian.marking import Marker, negative_relations, positive_groups
from formation.debian.package import Alternatives, BinaryPackage, Relation
from formation.debian.relation import alternatives_text
from formation.debian.version import satisfies
from formation.errors import UnresolvableError

_MOST_LINES = 24
_DEEPEST = 200
"""How far down a reason is looked for: the message ends long before, and an archive decides how long a chain is."""


def unresolvable(
    marker: Marker, requests: Sequence[BinaryPackage], exact: Container[str], without: frozenset[str]
) -> UnresolvableError:
    """The error for a marking that left something broken. `exact` are the names that are requested in one version.

    Its message names the requests that cannot be met, and under each, indented by one step a level, the chain from it
    down to what is missing or in conflict. Its hint names versions that would do and were not chosen.
    """
    explanation = _Explanation(marker, {package.name for package in requests}, exact, without)
    lines: list[str] = []
    blamed: list[str] = []
    for package in requests:
        if package.name in explanation.unsound and (reasons := explanation.why_not(package, depth=1)):
            blamed.append(package.name)
            lines += reasons
    if not lines:
        broken = list(marker.broken())
        blamed = sorted({package.name for package, _, _ in broken})
        lines = [f"  {package.name} {field}: {alternatives_text(group)}" for package, field, group in broken]
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"  and {len(lines) - _MOST_LINES} more reasons"]
    subject = f"{', '.join(blamed[:-1])} and {blamed[-1]}" if len(blamed) > 1 else blamed[0]
    hint = None
    if explanation.advice:
        # What is requested without a version already is to be written in another way, and not once more.
        more = (
            ""
            if any(request.partition("/")[0] in explanation.requested for request in explanation.advice)
            else " as well"
        )
        hint = f"request {' and '.join(explanation.advice)}{more}"
    return UnresolvableError("\n".join([f"{subject} cannot be installed:", *lines]), hint=hint)


class _Explanation:
    """Walks down from requests to the dependencies that have no solution."""

    def __init__(self, marker: Marker, requested: set[str], exact: Container[str], without: frozenset[str]) -> None:
        self.unsound = _unsound(marker)
        """Names that are selected although they, or what they need, cannot be installed."""
        self.advice: dict[str, None] = {}
        """Requests that would bring a version which is needed and not chosen."""
        self._marker = marker
        self._choices = marker.choices
        self.requested = requested
        self._exact = exact
        self._without = without
        self._visited: set[str] = set()

    def why_not(self, package: BinaryPackage, *, depth: int) -> list[str]:
        """The reasons against `package`, one a line; empty when there is none, or it is told already."""
        if package.name in self._visited:
            return []
        self._visited.add(package.name)
        if self._marker.selected.get(package.name) is package and package.name not in self.unsound:
            return []
        indent = "  " * depth
        if depth > _DEEPEST:
            return [f"{indent}{package.name} {package.version} cannot be installed"]
        lines = list(self._conflicts(package, indent))
        for field, group in positive_groups(package, recommends=False):
            if not _is_met_soundly(self._marker, group, self.unsound) and (
                reasons := self._why_unmet(group, depth + 1)
            ):
                lines += [f"{indent}{package.name} {package.version} {field}: {alternatives_text(group)}", *reasons]
        return lines

    def _why_unmet(self, group: Alternatives, depth: int) -> list[str]:
        """The reasons against every alternative; empty when one has none."""
        lines: list[str] = []
        for relation in group:
            matches = self._choices.matches(relation)
            if not matches:
                lines.append("  " * depth + self._what_there_is(relation))
            for match in matches:
                reasons = self.why_not(match, depth=depth)
                if not reasons:
                    return []
                lines += reasons
        return lines

    def _what_there_is(self, relation: Relation) -> str:
        """What can be had of a name although it does not satisfy `relation`."""
        name = self._choices.target(relation)
        if name in self._without:
            return f"{name} is left out by the definition"
        candidate = self._choices.candidate(name)
        if candidate:
            if name in self._marker.installed:
                return f"{name} {candidate.version} is installed and stays as it is"
            return f"the archives have {name} {candidate.version}{self._not_chosen(candidate, relation)}"
        provided = self._choices.universe.providers(name)
        if provided:
            offers = {f"{each.name} as {version or 'no version'}" for each, version in provided if self._kept(each)}
            told = [f"{name} is provided by {', '.join(sorted(offers)[:5])}"] if offers else []
            out = sorted({each.name for each, _ in provided if not self._kept(each)})
            return "; ".join([*told, *(f"{each} is left out by the definition" for each in out)])
        return f"no archive has {name}, and nothing provides it"

    def _kept(self, package: BinaryPackage) -> bool:
        return package.name not in self._without

    def _not_chosen(self, candidate: BinaryPackage, relation: Relation) -> str:
        """The other versions of `candidate`, each once. One that satisfies `relation` becomes advice."""
        others: dict[str, BinaryPackage] = {}
        for package in self._choices.universe.versions(candidate.name):
            if package.version != candidate.version:
                others.setdefault(package.version, package)
        fitting = [each for each in others.values() if satisfies(each.version, relation.operator, relation.version)]
        # What is requested in one version cannot be requested in another.
        if fitting and candidate.name not in self._exact:
            self.advice[f"{candidate.name}/{fitting[0].suite}"] = None
        told = ", ".join(f"{each.version} of {each.suite}" for each in others.values())
        return f" (not chosen: {told})" if told else ""

    def _conflicts(self, package: BinaryPackage, indent: str) -> Iterator[str]:
        """One line for each selected package that `package` cannot be with."""
        for field, relation in negative_relations(package):
            for rival in self._marker.rivals(package, relation):
                yield (
                    f"{indent}{package.name} {package.version} {field}: {relation}, "
                    f"and {self._who_asked(rival)} needs {rival.name} {rival.version}"
                )
        for other in self._marker.selected.values():
            for field, relation in negative_relations(other):
                if other.name != package.name and package in self._choices.matches(relation):
                    yield (
                        f"{indent}{other.name} {other.version} {field}: {relation}, which is {package.name} "
                        f"{package.version}; {self._who_asked(other)} needs {other.name}"
                    )

    def _who_asked(self, package: BinaryPackage) -> str:
        """The shortest chain from `package` back to a request: `b (for c, as requested)`."""
        pullers: dict[str, str] = {}
        waiting = deque(name for name in self._marker.selected if name in self.requested)
        seen = set(waiting)
        while waiting and package.name not in seen:
            puller = self._marker.selected[waiting.popleft()]
            for _, group in positive_groups(puller, recommends=self._marker.recommends):
                for match in (match for relation in group for match in self._choices.matches(relation)):
                    if match.name not in seen and self._marker.selected.get(match.name) is match:
                        seen.add(match.name)
                        pullers[match.name] = puller.name
                        waiting.append(match.name)
        if package.name in self._marker.installed:
            return "what is installed"
        if package.name not in pullers:
            return "a request"
        chain = [pullers[package.name]]
        while chain[-1] in pullers:
            chain.append(pullers[chain[-1]])
        return " for ".join(chain)


def _unsound(marker: Marker) -> set[str]:
    """The selected packages that are broken, or have a dependency that only such packages meet."""
    unsound = {package.name for package, _, _ in marker.broken()}
    while True:
        more = {
            package.name
            for package in marker.selected.values()
            if package.name not in unsound
            and not all(
                _is_met_soundly(marker, group, unsound) for _, group in positive_groups(package, recommends=False)
            )
        }
        if not more:
            return unsound
        unsound |= more


def _is_met_soundly(marker: Marker, group: Alternatives, unsound: set[str]) -> bool:
    return any(
        marker.selected.get(match.name) is match and match.name not in unsound
        for relation in group
        for match in marker.choices.matches(relation)
    )
