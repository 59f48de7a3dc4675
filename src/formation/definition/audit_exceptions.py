"""What a definition accepts of the things that an audit finds in its image."""

from datetime import date

from formation.dataclass import dataclass, field


@dataclass(frozen=True, slots=True)
class AuditException:
    """Findings that are accepted, for a while."""

    check: str
    """Id of the check."""
    path: str | None
    """A pattern of paths in the image; `*` takes slashes too. None: whatever the finding is about."""
    reason: str
    until: date
    """The last day on which it holds."""
    place: str = field(default="", compare=False)
    """`FILE:LINE`."""
