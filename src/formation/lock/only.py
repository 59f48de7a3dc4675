"""Whether a lock has what minimal variants take: known without a build, and wrong in the definition, not in the lock.

What a minimal variant takes does not decide which packages are locked, so a lock stays fresh when `only` is edited.
"""

from formation.definition.problems import joined_error, nearest
from formation.definition.values import Definition, Variant
from formation.lock.model import Lock


def check_only(definition: Definition, lock: Lock) -> None:
    """Raises DefinitionError, with file and line, that tells every name under `only` that is no package of what the
    variant extends, with the nearest one that is.

    `lock` has packages for every architecture of the definition.
    """
    problems: list[tuple[str, str | None]] = []
    for variant in (each for each in definition.variants if each.only):
        offers = {each: _names(definition, lock, variant, each) for each in definition.architectures}
        for name in variant.only or ():
            lacking = [architecture for architecture, names in offers.items() if name not in names]
            if lacking:
                where = "" if len(lacking) == len(offers) else f" on {', '.join(lacking)}"
                reason = f"`only` of {variant.name} names {name}, which {variant.extends} does not have{where}"
                hint = nearest(name, offers[lacking[0]]) or "name packages that `formation why PACKAGE` knows there"
                problems.append((f"{variant.only_places.get(name, definition.shown_path)}: {reason}", hint))
    if problems:
        raise joined_error(problems)


def _names(definition: Definition, lock: Lock, variant: Variant, architecture: str) -> list[str]:
    """The packages of what `variant` extends."""
    above = frozenset(each.name for each in definition.lineage(variant.name)[:-1])
    return [package.name for package in lock.of(architecture, above)]
