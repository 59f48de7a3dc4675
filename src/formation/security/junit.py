"""An audit as JUnit XML, which CI systems show as tests: one test for each check."""

from collections.abc import Iterable
from xml.etree import ElementTree

from formation.sarif import printable
from formation.security.audit import Report
from formation.security.findings import Check, Finding, Severity, is_as_bad
from formation.security.registry import CHECKS

_NO_XML = dict.fromkeys((0xFFFE, 0xFFFF), "�")


def junit_text(name: str, report: Report, limit: Severity) -> str:
    """The audit of the image `name`. A check fails when it found something as bad as `limit`."""
    reasons = {check.id: reason for check, reason in report.left_out}
    looked_at = [check for check in CHECKS if check.only in (None, report.kind)]
    suite = ElementTree.Element("testsuite", name=_text(f"formation audit {name} ({report.profile})"))
    failures = 0
    for check in looked_at:
        found = [finding for finding in report.findings if finding.check is check]
        case = ElementTree.SubElement(suite, "testcase", classname="formation.audit", name=f"{check.id}: {check.title}")
        bad = [finding for finding in found if is_as_bad(finding.severity, limit)]
        if bad:
            failures += 1
            _failure(case, check, bad)
        elif check.id in reasons:
            ElementTree.SubElement(case, "skipped", message=_text(reasons[check.id]))
        told = [_line(finding) for finding in found if finding not in bad]
        told += [
            f"accepted until {each.exception.until}: {_line(each.finding)} ({each.exception.reason})"
            for each in report.excepted
            if each.finding.check is check
        ]
        if told:
            ElementTree.SubElement(case, "system-out").text = _text("\n".join(told))
    for attribute, number in (("tests", len(looked_at)), ("failures", failures), ("skipped", len(reasons))):
        suite.set(attribute, str(number))
    root = ElementTree.Element("testsuites", {key: suite.get(key, "") for key in ("tests", "failures", "skipped")})
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _failure(case: ElementTree.Element, check: Check, found: Iterable[Finding]) -> None:
    lines = [_line(finding) for finding in found]
    failure = ElementTree.SubElement(
        case, "failure", type=check.severity, message=_text(f"{len(lines)}: {check.title}")
    )
    failure.text = _text("\n".join([*lines, f"why: {check.why}", f"fix: {check.fix}"]))


def _line(finding: Finding) -> str:
    layer = "" if finding.layer is None else f" [layer {finding.layer} {finding.digest}]"
    return f"{finding.severity}: {finding.message}{layer}"


def _text(text: str) -> str:
    return printable(text).translate(_NO_XML)
