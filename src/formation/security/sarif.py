"""An audit as SARIF."""

from typing import Any, Final

from formation import __version__
from formation.digest import hexadecimal, sha256
from formation.files import json_text
from formation.sarif import Level, printable, sarif_file, sarif_log, sarif_result, sarif_rule
from formation.security.audit import Report
from formation.security.exceptions import Excepted
from formation.security.findings import Check, Finding, Severity
from formation.security.registry import CHECKS

ROOT: Final = "IMAGE"
"""The name that stands for the root of the image in the addresses of files."""

_LEVELS: Final[dict[Severity, Level]] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "info": "note",
}
_SCORES: Final[dict[Severity, str]] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.5"}
"""For GitHub's property security-severity, which has CVSS's scale."""


def sarif_text(name: str, report: Report, documentation: str) -> str:
    """The audit of the image `name` as a SARIF log; `documentation` is the address of docs/audit.md."""
    image = report.facts.image
    run = {
        "tool": {
            "driver": {
                "name": "formation",
                "semanticVersion": __version__,
                "informationUri": documentation,
                "rules": [_rule(check, documentation) for check in CHECKS],
            }
        },
        "automationDetails": {"id": f"formation-audit/{report.profile}/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": f"{check.id} was not looked at: {printable(reason)}"}}
                    for check, reason in report.left_out
                ],
            }
        ],
        "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the image's file system"}}},
        "results": [
            *(_result(finding, image.digest) for finding in report.findings),
            *(_suppressed(excepted, image.digest) for excepted in report.excepted),
        ],
        "properties": {
            "image": printable(name),
            "digest": image.digest,
            "profile": report.profile,
            "kind": report.kind,
        },
    }
    return json_text(sarif_log(run))


def _rule(check: Check, documentation: str) -> dict[str, Any]:
    return {
        **sarif_rule(check.id, check.title, check.why, check.fix, _LEVELS[check.severity]),
        "helpUri": f"{documentation}#{check.id}",
        "properties": {
            "tags": ["security", "container"],
            "source": check.source,
            "security-severity": _SCORES[check.severity],
        },
    }


def _result(finding: Finding, image: str) -> dict[str, Any]:
    # Without the layer: a finding stays the same one when the image is built again.
    identity = "\0".join((finding.check.id, finding.path, finding.message)).encode("utf-8", "surrogatepass")
    check, text = finding.check, f"{finding.message}. {finding.check.fix}"
    return {
        **sarif_result(check.id, CHECKS.index(check), _LEVELS[finding.severity], text, _location(finding, image)),
        "partialFingerprints": {"formation/v1": hexadecimal(sha256(identity))},
        "properties": {"severity": finding.severity, "security-severity": _SCORES[finding.severity]},
    }


def _location(finding: Finding, image: str) -> dict[str, Any]:
    # Services show no result without a file; what is about none is about the image's own configuration.
    path = finding.path.lstrip("/") or "config.json"
    physical: dict[str, Any] = {"artifactLocation": {**sarif_file(path), "uriBaseId": ROOT}}
    if finding.line:
        physical["region"] = {"startLine": finding.line}
    logical = {"name": finding.digest or image, "kind": "layer" if finding.digest else "image"}
    if finding.layer is not None:
        logical["fullyQualifiedName"] = f"{image}/layers/{finding.layer}"
    return {"physicalLocation": physical, "logicalLocations": [logical]}


def _suppressed(excepted: Excepted, image: str) -> dict[str, Any]:
    exception = excepted.exception
    justification = f"{printable(exception.reason)} (until {exception.until}, {printable(exception.place)})"
    suppression = {"kind": "external", "status": "accepted", "justification": justification}
    return {**_result(excepted.finding, image), "suppressions": [suppression]}
