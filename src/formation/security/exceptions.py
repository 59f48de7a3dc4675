"""What of an audit's findings the exceptions of a definition cover."""

import fnmatch
from collections.abc import Sequence
from datetime import date

from formation.dataclass import dataclass
from formation.definition.audit_exceptions import AuditException
from formation.security.findings import Finding


@dataclass(frozen=True, slots=True)
class Excepted:
    """A finding, and why it is accepted."""

    finding: Finding
    exception: AuditException


@dataclass(frozen=True, slots=True)
class Divided:
    """Findings and exceptions, sorted out."""

    findings: tuple[Finding, ...]
    """What nothing covers today, in the order given."""
    excepted: tuple[Excepted, ...]
    expired: tuple[AuditException, ...]
    """Those that would cover a finding, if their last day were not over."""
    unused: tuple[AuditException, ...]
    """Those that cover nothing, expired ones too."""


def divide(findings: Sequence[Finding], exceptions: Sequence[AuditException], today: date) -> Divided:
    """`findings` without those that an exception covers on the day `today`; the first one that does is named."""
    left: list[Finding] = []
    excepted: list[Excepted] = []
    used: set[AuditException] = set()
    expired: dict[AuditException, None] = {}
    for finding in findings:
        covering = [each for each in exceptions if covers(each, finding)]
        used.update(covering)
        valid = [each for each in covering if today <= each.until]
        if valid:
            excepted.append(Excepted(finding, valid[0]))
            continue
        expired.update(dict.fromkeys(covering))
        left.append(finding)
    unused = tuple(each for each in exceptions if each not in used)
    return Divided(tuple(left), tuple(excepted), tuple(expired), unused)


def covers(exception: AuditException, finding: Finding) -> bool:
    """Whether `exception` is about `finding`, on whatever day. With a path it never covers what is about no path."""
    if exception.check != finding.check.id:
        return False
    return exception.path is None or (bool(finding.path) and fnmatch.fnmatchcase(finding.path, exception.path))
