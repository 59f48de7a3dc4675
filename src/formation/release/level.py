"""The levels of a change, and the reasons for them."""

from collections.abc import Iterable
from enum import IntEnum

from formation.dataclass import dataclass


class Level(IntEnum):
    """Which part of the version must grow."""

    NONE = 0
    """Nothing: the two are the same."""
    PATCH = 1
    """The same contract."""
    MINOR = 2
    """More than before, and all that was there before."""
    MAJOR = 3
    """Something that a service may rely on is gone or changed."""

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a change deserves a level."""

    level: Level
    rule: str
    """Stable, for scripts: `package-removed`. docs/versions.md lists them."""
    text: str
    """One sentence, without a full stop."""
    variant: str = ""
    """Of the image that it is about; empty for the only one."""


def level_of(reasons: Iterable[Reason]) -> Level:
    """The gravest level of `reasons`; NONE when there are none."""
    return max((reason.level for reason in reasons), default=Level.NONE)
