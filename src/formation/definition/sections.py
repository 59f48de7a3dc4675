"""The top level and the variants of a definition as one kind of thing, each knowing what it extends."""

from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.definition import grammar
from formation.definition.data_path import DataPath
from formation.definition.model import BaseDefinition, Section, VariantEntry
from formation.definition.problems import Problem, nearest
from formation.definition.service_model import ServiceModel
from formation.definition.source import Source
from formation.definition.values import RUNTIME


@dataclass(frozen=True, slots=True)
class Part:
    """One variant, or a whole service, as written."""

    name: str
    path: DataPath
    """Where it is in the document: () for runtime and services."""
    section: Section | ServiceModel
    extends: str | None
    lineage: tuple["Part", ...]
    """All that it extends, `runtime` first, without itself."""


def parts_of(model: BaseDefinition, problems: list[Problem]) -> tuple[Part, ...]:
    """The variants, `runtime` first, each after the one it extends; the file's order otherwise.

    A variant that extends an unknown one, or itself through others, is reported and treated as extending `runtime`.
    """
    extends = {name: _checked(model, name, entry, problems) for name, entry in model.variants.items()}
    extends.pop(RUNTIME, None)
    _break_cycles(extends, problems)
    done = {RUNTIME: Part(RUNTIME, (), model, None, ())}
    waiting = [name for name in model.variants if name != RUNTIME]
    while waiting:
        for name in [name for name in waiting if extends[name] in done]:
            base = done[extends[name]]
            lineage = (*base.lineage, base)
            done[name] = Part(name, ("variants", name), model.variants[name], base.name, lineage)
            waiting.remove(name)
    return tuple(done.values())


def package_lines(parts: Iterable[Part], source: Source) -> dict[str, int]:
    """Package name → the line, from 1, that first mentions it."""
    lines: dict[str, int] = {}
    for part in parts:
        for index, line in enumerate(part.section.packages):
            name = grammar.package_request(line.removeprefix("-")).name
            lines.setdefault(name, source.position((*part.path, "packages", index)).line)
    return lines


def _checked(model: BaseDefinition, name: str, entry: VariantEntry, problems: list[Problem]) -> str:
    path: DataPath = ("variants", name)
    if name == RUNTIME:
        problems.append(Problem(path, f"the variant {RUNTIME!r} is the top level", "move its keys there"))
    elif entry.extends != RUNTIME and entry.extends not in model.variants:
        known = [RUNTIME, *(other for other in model.variants if other not in (name, RUNTIME))]
        hint = nearest(entry.extends, known) or f"variants are {', '.join(known)}"
        problems.append(Problem((*path, "extends"), f"{name} extends the unknown variant {entry.extends!r}", hint))
    else:
        return entry.extends
    return RUNTIME


def _break_cycles(extends: dict[str, str], problems: list[Problem]) -> None:
    for name in extends:
        chain = [name]
        while (above := extends.get(chain[-1])) is not None and above not in chain:
            chain.append(above)
        if above == name:
            reason = f"{name} extends itself" + (f" through {', '.join(chain[1:])}" if len(chain) > 1 else "")
            problems.append(Problem(("variants", name, "extends"), reason, "a chain of variants ends at runtime"))
            extends[name] = RUNTIME
