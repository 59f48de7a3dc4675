"""Relationship fields of a package: `a (>= 1) | b:any, c [amd64] <!nocheck>` (Policy 7.1)."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from formation.debian.package import Alternatives, Relation
from formation.errors import MalformedError

_RELATION = re.compile(
    r"""\s* (?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*)
        (?: : (?P<qualifier>[a-z0-9][a-z0-9-]*) )? \s*
        (?: \( \s* (?P<operator><<|<=|=|>=|>>|<|>) \s* (?P<version>[^\s()<=>]+) \s* \) \s* )?
        (?: \[ (?P<architectures>[^\]]*) \] \s* )?
        (?P<profiles> (?: < [^<>]* > \s* )* )""",
    re.VERBOSE | re.ASCII,
)
_OBSOLETE_OPERATORS = {"<": "<=", ">": ">="}
_MOST_RELATIONS = 20_000


def parse_relations(text: str, architecture: str) -> tuple[Alternatives, ...]:
    """The groups of alternatives of a relationship field, in the order written.

    A relation that is restricted to other architectures than `architecture`, or to a build profile, is left out, as
    dpkg does when it builds a package; a group that has no other alternative is left out with it.

    Raises MalformedError when `text` is not a relationship field.
    """
    if text.count(",") > _MOST_RELATIONS or text.count("|") > _MOST_RELATIONS:
        raise MalformedError(f"a relationship field has more than {_MOST_RELATIONS} relations")
    groups = [_parse_group(group, architecture) for group in text.split(",")]
    return tuple(group for group in groups if group)


def parse_provides(text: str, architecture: str) -> tuple[Relation, ...]:
    """The relations of a Provides field. One with a version other than `(= …)` is left out, as apt does.

    Raises MalformedError when `text` is not a relationship field.
    """
    groups = parse_relations(text, architecture)
    return tuple(relation for group in groups for relation in group if relation.operator in (None, "="))


def provisions_of(
    name: str, version: str, multi_arch: str, provides: Iterable[Relation]
) -> Iterator[tuple[str, str | None]]:
    """The names, and the versions of them, that a package satisfies beside its own.

    A name may carry a qualifier: `python3:any` is provided by a python3 that is Multi-Arch: allowed, so that a
    dependency on it needs no rule of its own (apt's debListParser::ParseProvides does the same).
    """
    for provided in provides:
        if provided.qualifier:
            yield f"{provided.name}:{provided.qualifier}", provided.version
            continue
        if multi_arch == "allowed":
            yield f"{provided.name}:any", provided.version
        if provided.name != name or provided.version not in (None, version):
            yield provided.name, provided.version
    if multi_arch == "allowed":
        yield f"{name}:any", version


def alternatives_text(alternatives: Iterable[Relation]) -> str:
    """`a (>= 1) | b`."""
    return " | ".join(map(str, alternatives))


@lru_cache(maxsize=1 << 16)
def _parse_group(text: str, architecture: str) -> Alternatives:
    """The alternatives between two commas; none when there is nothing, or nothing for this architecture."""
    if not text or text.isspace():
        return ()
    parsed = (_parse_relation(alternative.strip(), architecture) for alternative in text.split("|"))
    return tuple(relation for relation in parsed if relation)


def _parse_relation(text: str, architecture: str) -> Relation | None:
    match = _RELATION.fullmatch(text)
    if match is None:
        raise MalformedError(f"{text[:100]!r} is not a relation to a package")
    name, qualifier, operator, version, architectures, profiles = match.groups()
    if architectures is not None and not _architecture_listed(architecture, architectures.split(), text):
        return None
    if profiles and not any(
        all(term.startswith("!") for term in profile.split()) for profile in re.findall("<([^<>]*)>", profiles)
    ):
        # No build profile is active, so only a list of negated ones applies.
        return None
    return Relation(name, qualifier, _OBSOLETE_OPERATORS.get(operator, operator), version)


def _architecture_listed(architecture: str, listed: list[str], text: str) -> bool:
    """Whether `[amd64 linux-any]` or `[!i386]` includes `architecture`."""
    negated = [entry.startswith("!") for entry in listed]
    if not listed or any(negated) != all(negated):
        raise MalformedError(f"{text[:100]!r} lists architectures with and without an exclamation mark, or none")
    included = any(_matches_wildcard(architecture, entry.removeprefix("!")) for entry in listed)
    return included != negated[0]


def _matches_wildcard(architecture: str, wildcard: str) -> bool:
    """Whether `amd64` is `any`, `linux-any`, `any-amd64` or itself (Policy 11.1)."""
    system, _, cpu = architecture.rpartition("-")
    wanted_system, dash, wanted_cpu = wildcard.rpartition("-")
    if not dash:
        return wildcard in ("any", architecture)
    return wanted_cpu in ("any", cpu) and wanted_system in ("any", system or "linux")
