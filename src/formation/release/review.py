"""A release looked at as a whole: all its variants, what each changed, and the version that this deserves."""

from collections.abc import Iterable, Sequence

from formation.dataclass import dataclass
from formation.release.difference import Difference
from formation.release.level import Level, Reason, level_of
from formation.release.levels import judge
from formation.release.taken import Taken
from formation.release.versions import Verdict, judge_version


@dataclass(frozen=True, slots=True)
class VariantDifference:
    """What changed in one variant."""

    variant: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Review:
    """What a release changes."""

    parts: tuple[VariantDifference, ...]
    """The runtime variant first."""
    reasons: tuple[Reason, ...]
    """The gravest first; what a variant has of the runtime variant is told once."""
    level: Level
    verdict: Verdict | None
    """None when nothing says which version came before."""
    notes: tuple[str, ...]
    taken: Taken | None = None
    """What is in the way of the version that is judged, where it is large enough; None: nothing."""

    @property
    def enough(self) -> bool:
        """Whether the version that is judged may be given to the change."""
        return self.taken is None and (self.verdict is None or self.verdict.enough)

    @property
    def unknown(self) -> bool:
        """Whether nothing changed of what was compared, and more than that may have: then no version is enough."""
        decided = self.level or self.verdict is None or not self.enough
        return not decided and not self.files_compared

    @property
    def files_compared(self) -> bool:
        """Whether two images were compared each time, and not a lock, which says nothing of files."""
        return all(side.facts is not None for each in self.differences for side in (each.old, each.new))

    @property
    def differences(self) -> tuple[Difference, ...]:
        return tuple(part.difference for part in self.parts)


def review(
    parts: Sequence[VariantDifference],
    previous: str | None,
    version: str | None,
    *,
    new_variants: Iterable[str] = (),
    lost_variants: Iterable[str] = (),
    notes: Iterable[str] = (),
    taken: Taken | None = None,
) -> Review:
    """The review of `parts` as the release `version` after `previous`.

    `new_variants` follow no image of a release before, `lost_variants` have none in this one. `notes` are told before
    those of the comparisons; `taken` is in the way of `version`. Raises UsageError for what is no version.
    """
    found: dict[tuple[Level, str, str], Reason] = {}
    for name in new_variants:
        _add(found, Reason(Level.MINOR, "variant-added", f"the variant {name} is new"))
    for name in lost_variants:
        _add(found, Reason(Level.MAJOR, "variant-removed", f"the variant {name} is gone"))
    for part in parts:
        difference = part.difference
        variant = "" if part.variant == "runtime" else part.variant
        for reason in judge(difference.packages, difference.changes, difference.files, difference.layers):
            _add(found, Reason(reason.level, reason.rule, reason.text, variant))
    reasons = tuple(sorted(found.values(), key=lambda reason: -reason.level))
    level = level_of(reasons)
    verdict = None if previous is None else judge_version(previous, level, version)
    told = dict.fromkeys([*notes, *(note for part in parts for note in part.difference.notes)])
    # One that is too small anyway gives way to what the change deserves, and not to the next after it.
    way = taken if verdict is None or verdict.enough else None
    return Review(tuple(parts), reasons, level, verdict, tuple(told), way)


def _add(found: dict[tuple[Level, str, str], Reason], reason: Reason) -> None:
    found.setdefault((reason.level, reason.rule, reason.text), reason)
