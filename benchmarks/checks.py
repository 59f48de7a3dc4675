"""Benchmarks of `formation verify` and `formation audit`: an image whose layers nobody has looked at, and again."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from contestants import FORMATION
from measure import Cost, measure

BASE = "formation/base:1.0.0"


class Checks:
    """The checks of one variant that `store` has."""

    def __init__(self, definition: Path, variant: str, scratch: Path, store: Path) -> None:
        self._image = BASE if variant == "runtime" else f"{BASE}-{variant}"
        self._definition, self._scratch, self._store = definition, scratch, store

    def verify(self) -> Cost:
        """Looks at what the image keeps of what it promises itself."""
        return self._run("verify", self._image)

    def verify_contract(self) -> Cost:
        """Holds it to the definition and its lock as well."""
        return self._run("verify", self._image, "--contract", self._definition)

    def audit(self) -> Cost:
        """Runs the 48 checks. No finding fails it: the dev variant has compilers."""
        return self._run("audit", self._image)

    def both_cold(self) -> Cost:
        """One after the other, the first of them with layers that are unknown."""
        first = self.cold("verify")
        second = self.audit()
        largest = max(first.largest_process, second.largest_process)
        return Cost(first.seconds + second.seconds, largest, None)

    def cold(self, check: str) -> Cost:
        """`check`, one of the methods above, after what is known of every layer was taken away."""
        shutil.rmtree(self._store / "contents", ignore_errors=True)
        cost: Cost = getattr(self, check)()
        return cost

    def _run(self, *words: str | Path) -> Cost:
        command: Sequence[str | Path] = [FORMATION, *words, "--json", "--store", self._store]
        return measure(command, log=self._scratch / "checks.log")
