"""Findings as SARIF, which code hosts show beside the lines."""

from collections.abc import Iterable
from typing import Any, Final

from formation.lint.findings import Finding
from formation.lint.rules import RULES, Severity
from formation.sarif import Level, sarif_file, sarif_log, sarif_result, sarif_rule

_LEVELS: Final[dict[Severity, Level]] = {"error": "error", "warning": "warning", "info": "note"}


def sarif(findings: Iterable[Finding], version: str) -> dict[str, Any]:
    """One run of the tool, formation `version`."""
    found = list(findings)
    ids = {rule: index for index, rule in enumerate(dict.fromkeys([*RULES, *(each.rule for each in found)]))}
    driver = {
        "name": "formation lint",
        "version": version,
        "rules": [_rule(rule) for rule in ids],
    }
    return sarif_log(
        {
            "tool": {"driver": driver},
            "columnKind": "unicodeCodePoints",
            "results": [_result(each, ids[each.rule]) for each in found],
        }
    )


def _rule(id_: str) -> dict[str, Any]:
    rule = RULES.get(id_)
    if rule is None:
        return {"id": id_}
    return {**sarif_rule(id_, rule.title, rule.why, rule.fix, _LEVELS[rule.severity]), "name": rule.name}


def _result(found: Finding, number: int) -> dict[str, Any]:
    location = {
        "artifactLocation": sarif_file(found.path),
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    text = f"{found.message}; {found.fix}" if found.fix else found.message
    return sarif_result(found.rule, number, _LEVELS[found.severity], text, {"physicalLocation": location})
