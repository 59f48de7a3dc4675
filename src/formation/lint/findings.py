"""What lint finds: a place, a rule, and what to do about it."""

from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.definition.source import Position
from formation.lint.rules import RULES, Severity
from formation.lint.text import Edit, Text


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken somewhere."""

    path: str
    line: int
    """From 1."""
    column: int
    """From 1."""
    rule: str
    """FL003; of hadolint DL3007 and SC2086."""
    severity: Severity
    message: str
    """One sentence."""
    fix: str
    """What to do; empty when the message says it."""
    edits: tuple[Edit, ...] = ()
    """What `--fix` does; empty: nothing."""


def finding(
    text: Text,
    where: Position | int,
    rule: str,
    message: str,
    *,
    fix: str = "",
    severity: Severity | None = None,
    edits: tuple[Edit, ...] = (),
) -> Finding:
    """A finding of our rule `rule` in `text`, at a position or offset; what is not given is as the rule says."""
    position = text.position(where) if isinstance(where, int) else where
    entry = RULES[rule]
    return Finding(
        text.path, position.line, position.column, rule, severity or entry.severity, message, fix or entry.fix, edits
    )


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """`findings` by place, without those that are there twice."""
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda each: (each.path, each.line, each.column, each.rule, each.message))
    )
