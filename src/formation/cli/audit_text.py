"""What `formation audit` prints for people: the worst first, each check once with all that it found."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from formation.cli.text import counted, printable
from formation.security.audit import Report
from formation.security.exceptions import Excepted
from formation.security.findings import SEVERITIES, Finding, Severity
from formation.security.registry import CHECKS

_COLOURS: Final[dict[Severity, str]] = {
    "critical": "1;31",
    "high": "31",
    "medium": "33",
    "low": "36",
    "info": "2",
}
_SHOWN = 12
"""Findings of one check that are printed; --json has all."""
_NARROWEST = 40


def audit_text(name: str, report: Report, limit: Severity, *, width: int, colour: bool) -> str:
    """The report on the image `name`, in lines of at most `width` columns where words allow it; its last line, the
    verdict, is one whatever its length."""
    paint = _Paint(max(width, _NARROWEST), colour)
    lines: list[str] = []
    for severity, findings in groupby(report.findings, key=lambda finding: finding.severity):
        lines += [*([""] if lines else []), paint.heading(severity)]
        for _, group in groupby(findings, key=lambda finding: finding.check.number):
            lines += paint.check(list(group))
    lines += paint.excepted(report.excepted)
    lines += paint.notes(report)
    lines += [*([""] if lines else []), printable(_verdict(name, report, limit))]
    return "".join(f"{line}\n" for line in lines)


def _verdict(name: str, report: Report, limit: Severity) -> str:
    counts = report.counts
    told = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity]) or "no findings"
    accepted = f", {len(report.excepted)} accepted" if report.excepted else ""
    verdict = "fails" if report.fails(limit) else "passes"
    kind = f" as a {report.kind}" if report.profile == "strict" else ""
    checks = sum(check.only in (None, report.kind) for check in CHECKS) - len(report.left_out)
    looked = f"looked at {counted(len(report.facts.contents.layers), 'layer')} with {checks} checks"
    return f"{name} {verdict} the profile {report.profile}{kind}: {told}{accepted}; {looked}"


class _Paint:
    """Lines of a width, with or without colours."""

    def __init__(self, width: int, colour: bool) -> None:
        self._width = width
        self._colour = colour

    def heading(self, severity: Severity) -> str:
        return self._in(_COLOURS[severity], severity)

    def check(self, findings: Sequence[Finding]) -> Iterator[str]:
        check = findings[0].check
        yield from self.wrapped(f"{check.id}: {check.title} ({check.source})", "  ", bold=len(check.id))
        for finding in findings[:_SHOWN]:
            yield from self.wrapped(f"{finding.message}{_layer(finding)}", "    ", hanging="  ")
        if len(findings) > _SHOWN:
            yield f"    and {len(findings) - _SHOWN} more"
        yield from self.wrapped(f"why: {check.why}", "    ", hanging="     ", dim=True)
        yield from self.wrapped(f"fix: {check.fix}", "    ", hanging="     ")

    def excepted(self, excepted: Iterable[Excepted]) -> Iterator[str]:
        by_exception = groupby(sorted(excepted, key=lambda each: each.exception.place), key=lambda each: each.exception)
        for number, (exception, group) in enumerate(by_exception):
            if not number:
                yield from ("", self._in("1", "accepted"))
            found = [each.finding for each in group]
            until = f"until {exception.until}, {exception.place}"
            yield from self.wrapped(f"{exception.check}: {exception.reason} ({until})", "  ", bold=len(exception.check))
            for finding in found[:_SHOWN]:
                yield from self.wrapped(f"{finding.severity}: {finding.message}", "    ", hanging="  ")
            if len(found) > _SHOWN:
                yield f"    and {len(found) - _SHOWN} more"

    def notes(self, report: Report) -> Iterator[str]:
        notes = [
            f"the exception of {each.check} at {each.place} ended on {each.until}: {each.reason}"
            for each in report.expired
        ]
        notes += [f"the exception of {each.check} at {each.place} covers nothing" for each in report.unused]
        notes += [f"{check.id}: {count} more findings were left out" for check, count in report.more]
        notes += [f"{check.id} was not looked at: {reason}" for check, reason in report.left_out]
        if notes:
            yield from ("", self._in("1", "notes"))
        for note in notes:
            yield from self.wrapped(note, "  ", hanging="  ")

    def wrapped(self, text: str, indent: str, *, hanging: str = "", bold: int = 0, dim: bool = False) -> Iterator[str]:
        """`text` in lines; `bold` characters at its start are so."""
        lines = textwrap.wrap(
            printable(text),
            self._width,
            initial_indent=indent,
            subsequent_indent=indent + hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(lines):
            if bold and not number:
                start, end = len(indent), len(indent) + bold
                yield line[:start] + self._in("1", line[start:end]) + line[end:]
            else:
                yield self._in("2", line) if dim else line

    def _in(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour else text


def _layer(finding: Finding) -> str:
    return "" if finding.layer is None else f"  [layer {finding.layer}, {finding.digest[7:19]}]"
