"""What is installed so far: what the next stage, and whatever is added after it, stands on."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from formation.dataclass import replace
from formation.errors import FormationError
from formation.install.conflicts import Shipped
from formation.install.effects_record import Effects
from formation.install.foundation import Foundation
from formation.install.ownership import Ownership
from formation.install.relations import check_relations
from formation.install.stages import Stage, StagePackage
from formation.install.top import Top


class Standing:
    """Grows with every stage, and with every variant that is complete."""

    def __init__(self) -> None:
        self.before: Stage | None = None
        """What everything so far ends with; None when there is nothing."""
        self.staged: dict[str, StagePackage] = {}
        """All packages, by the digest of their .deb; those of a base by other names."""
        self.ownership = Ownership()
        self._trees: list[Path] = []
        self._unchecked: tuple[StagePackage, ...] = ()

    @property
    def trees(self) -> tuple[Path, ...]:
        """Everything that is there, top first."""
        return tuple(self._trees)

    @property
    def last_stage(self) -> Stage:
        """`before`. Raises FormationError when there is nothing."""
        if self.before is None:
            raise FormationError("the image would have no package at all", hint="name one under packages:")
        return self.before

    def start(self, foundation: Foundation) -> None:
        """Takes down a base. Nothing is there yet."""
        self._trees.append(foundation.tree)
        self.before = foundation.before
        self.staged.update(foundation.staged)
        self.ownership.start(foundation.shipped, foundation.directories, foundation.unowned)

    def add_packages(self, packages: Mapping[str, StagePackage]) -> None:
        """Takes down packages, by the digest of their .deb, whose stages come next."""
        self.staged.update(packages)
        self._unchecked = tuple(packages.values())

    def check_relations(self) -> None:
        """Raises UsageError when the packages that came last do not go together, or not with those before.

        For before the first stage that has to be run: where all are known, all were configured together before.
        """
        check_relations(self._unchecked, tuple(self.staged.values()))
        self._unchecked = ()

    def yielded(self, digests: Iterable[str], later: AbstractSet[str]) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """What packages lose to those that are there, and those among them, unless it is diverted.

        As `Ownership.yielded` says, by the digest of their .deb; packages without any are left out. `later` are those
        whose stage is yet to come.
        """
        present = self.staged.keys() - later
        found = ((digest, self.ownership.yielded(digest, present)) for digest in digests)
        return {digest: paths for digest, paths in found if paths}

    def add_stage(self, stage: Stage, effects: Effects) -> None:
        """What comes next stands on what `stage` has done."""
        self._trees[:0] = [effects.tree, effects.files]
        self.before = stage

    def renew(self, packages: Mapping[str, StagePackage], shipped: Sequence[Shipped], effects: Effects) -> None:
        """Takes down packages, by the digest of their .deb, that took the place of other versions with these effects.

        `shipped` are the same packages.
        """
        names = {package.name for package in shipped}
        self.staged = {key: each for key, each in self.staged.items() if each.name.name not in names}
        self.staged.update(packages)
        self.ownership.renew(shipped, effects)

    def add_top(self, top: Top, additions: Path) -> None:
        """What comes above a top layer stands on its additions, and repeats its directories as it left them."""
        self._trees.insert(0, additions)
        last = self.last_stage
        self.before = replace(last, key=hashlib.sha256(f"{last.key} {top.digest}".encode()).hexdigest())
        self.ownership.add_top(top.entries)
