"""Auditing an image: every check over every layer, judged, and with the exceptions that its definition makes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from formation.contract.facts import Facts
from formation.dataclass import dataclass
from formation.definition.audit_exceptions import AuditException
from formation.security.exceptions import Excepted, divide
from formation.security.findings import (
    SEVERITIES,
    CannotTell,
    Check,
    Finding,
    Hit,
    Kind,
    Profile,
    Severity,
    is_as_bad,
)
from formation.security.registry import CHECKS
from formation.security.subject import Subject

MOST_OF_ONE_CHECK = 500
"""Findings that are kept. Of a copied tree with wrong owners nobody reads more."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found."""

    facts: Facts
    kind: Kind
    profile: Profile
    findings: tuple[Finding, ...]
    """What no exception covers: the worst first, then by check, layer and path."""
    excepted: tuple[Excepted, ...]
    """What one covers, in the same order."""
    expired: tuple[AuditException, ...]
    """Exceptions whose last day is over, and that would have covered something."""
    unused: tuple[AuditException, ...]
    """Exceptions that cover nothing."""
    left_out: tuple[tuple[Check, str], ...]
    """Checks that could not tell, and what they need."""
    more: tuple[tuple[Check, int], ...]
    """Checks that found more than is kept, and how much more."""

    @property
    def counts(self) -> Counter[Severity]:
        """How many findings of each severity there are."""
        return Counter(finding.severity for finding in self.findings)

    def fails(self, limit: Severity) -> bool:
        """Whether there is a finding that is as bad as `limit`, or worse."""
        return any(is_as_bad(finding.severity, limit) for finding in self.findings)


def audit(subject: Subject, exceptions: Sequence[AuditException] = (), checks: Sequence[Check] = CHECKS) -> Report:
    """What `checks` find in `subject`, and what of it the `exceptions` cover today."""
    found: list[Finding] = []
    left_out: list[tuple[Check, str]] = []
    more: list[tuple[Check, int]] = []
    for check in checks:
        if check.only not in (None, subject.kind):
            continue
        try:
            hits, others = _run(check, subject)
        except CannotTell as reason:
            left_out.append((check, str(reason)))
            continue
        if others:
            more.append((check, others))
        found += (_judge(hit, check, subject) for hit in hits)
    today = datetime.fromtimestamp(subject.now, UTC).date()
    divided = divide(sorted(found, key=_order), exceptions, today)
    return Report(
        facts=subject.facts,
        kind=subject.kind,
        profile=subject.profile,
        findings=divided.findings,
        excepted=divided.excepted,
        expired=divided.expired,
        unused=divided.unused,
        left_out=tuple(left_out),
        more=tuple(more),
    )


def _run(check: Check, subject: Subject) -> tuple[Iterable[Hit], int]:
    """What `check` finds, each once, and how much more than is kept. Raises CannotTell."""
    hits: dict[Hit, None] = {}
    others = 0
    for hit in check.run(subject):
        if len(hits) < MOST_OF_ONE_CHECK:
            hits[hit] = None
        else:
            others += hit not in hits
    return hits, others


def _judge(hit: Hit, check: Check, subject: Subject) -> Finding:
    layers = subject.facts.contents.layers
    severity = hit.severity or check.severity_for(subject.kind, subject.profile)
    return Finding(
        check=check,
        severity=severity,
        message=hit.message,
        path=f"/{hit.path}" if hit.path else "",
        layer=hit.layer,
        digest="" if hit.layer is None else layers[hit.layer].digest,
        line=hit.line,
    )


def _order(finding: Finding) -> tuple[int, int, int, str, int, str]:
    layer = -1 if finding.layer is None else finding.layer
    return (
        SEVERITIES.index(finding.severity),
        finding.check.number,
        layer,
        finding.path,
        finding.line,
        finding.message,
    )
