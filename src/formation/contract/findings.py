"""What a verification finds: one value for each broken promise, so that all of them can be told at once."""

from collections.abc import Iterable
from typing import Literal, get_args

from formation.dataclass import dataclass

Topic = Literal[
    "image",
    "layers",
    "base",
    "packages",
    "database",
    "accounts",
    "directories",
    "files",
    "configuration",
    "commands",
    "libraries",
    "checks",
]
"""What a finding is about."""

TOPICS: tuple[Topic, ...] = get_args(Topic)
"""In the order in which people read them: what is broken at the root first."""

Severity = Literal["error", "warning"]
"""An error breaks a promise; a warning is worth a look, and breaks none."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was promised."""

    topic: Topic
    id: str
    """Stable, for scripts: `package-missing`. docs/verify.md lists them."""
    message: str
    """One sentence."""
    severity: Severity = "error"
    path: str = ""
    """In the image, with its leading slash; empty when it is about no path."""
    layer: int | None = None
    """From 0, the base layer first; None when it is about no layer."""
    place: str = ""
    """`FILE:LINE` of the definition that promises it; empty when nobody's does."""


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """`findings` by topic, then errors first, then by layer and path, without those that are there twice."""
    order = {topic: number for number, topic in enumerate(TOPICS)}
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda each: (
                order[each.topic],
                each.severity != "error",
                -1 if each.layer is None else each.layer,
                each.path,
                each.id,
                each.message,
            ),
        )
    )
