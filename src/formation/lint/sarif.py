"""Findings as SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0), which code hosts show beside the lines."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from formation.lint.findings import Finding
from formation.lint.rules import RULES

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def sarif(findings: Iterable[Finding], version: str) -> dict[str, Any]:
    """One run of the tool, formation `version`."""
    found = list(findings)
    ids = {rule: index for index, rule in enumerate(dict.fromkeys([*RULES, *(each.rule for each in found)]))}
    driver = {
        "name": "formation lint",
        "version": version,
        "rules": [_rule(rule) for rule in ids],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, ids[each.rule]) for each in found],
            }
        ],
    }


def _rule(rule: str) -> dict[str, Any]:
    known = RULES.get(rule)
    if known is None:
        return {"id": rule}
    return {
        "id": rule,
        "name": known.name,
        "shortDescription": {"text": known.title},
        "fullDescription": {"text": known.why},
        "help": {"text": known.fix},
        "defaultConfiguration": {"level": _LEVELS[known.severity]},
    }


def _result(found: Finding, index: int) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": quote(found.path.encode("utf-8", "surrogateescape"), safe="/")},
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    text = f"{found.message}; {found.fix}" if found.fix else found.message
    return {
        "ruleId": found.rule,
        "ruleIndex": index,
        "level": _LEVELS[found.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }
