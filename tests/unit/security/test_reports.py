"""An audit for machines: SARIF that the official schema accepts, and JUnit XML, whatever is in the image."""

import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from audited_image import audited, image
from formation.definition.audit_exceptions import AuditException
from formation.security.junit import junit_text
from formation.security.registry import CHECKS
from formation.security.sarif import sarif_text
from layer_tars import file

SCHEMA = Path(__file__).parents[2] / "schemas" / "sarif-2.1.0-rtm.5.json"
EXCEPTION = AuditException("world-writable-file", "/app/*", "scratch\x1b", date(2027, 1, 31), "formation.yaml:7")
NETRC = file("root/.netrc", b"machine")
SPOILED = image(
    [NETRC, file("app/scratch", b"1", mode=0o666), file("app/\udcff \x01%&<key>", b"2", mode=0o4755)],
    user="root",
    exposed_ports=("53/udp",),
)


def sarif(report) -> dict:
    text = sarif_text("form/service:1.0.0\udcff", report, "https://example.com/audit.md")
    text.encode()
    return json.loads(text)


@pytest.fixture(scope="module")
def report():
    return audited(SPOILED, [EXCEPTION], referrers=None)


def test_the_schema_of_sarif_accepts_the_log_of_any_image(report):
    validator = jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))
    validator.validate(sarif(report))
    validator.validate(sarif(audited(image())))


def test_a_result_names_its_rule_its_file_and_its_layer(report):
    (run,) = sarif(report)["runs"]
    result = next(each for each in run["results"] if each["ruleId"] == "secret-file")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "secret-file"
    assert (result["level"], result["properties"]["severity"]) == ("error", "critical")
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "root/.netrc", "uriBaseId": "IMAGE"}
    assert location["logicalLocations"][0]["name"] == report.facts.contents.layers[2].digest
    assert location["logicalLocations"][0]["kind"] == "layer"


def test_the_name_of_a_file_is_an_address(report):
    (run,) = sarif(report)["runs"]
    result = next(each for each in run["results"] if each["ruleId"] == "setuid-file")
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "app/%FF%20%01%25%26%3Ckey%3E"
    assert "\x01" not in result["message"]["text"]


def test_a_finding_is_the_same_one_when_the_image_is_built_with_other_layers(report):
    def marks(report):
        results = sarif(report)["runs"][0]["results"]
        return {each["partialFingerprints"]["formation/v1"] for each in results if each["ruleId"] == "secret-file"}

    again = audited(image([file("app/more", b"x")], [NETRC]))
    assert marks(report) == marks(again) and marks(again)


def test_an_accepted_finding_is_suppressed_with_its_reason(report):
    results = sarif(report)["runs"][0]["results"]
    (accepted,) = [each for each in results if "suppressions" in each]
    assert accepted["ruleId"] == "world-writable-file"
    assert accepted["suppressions"][0]["justification"] == "scratch� (until 2027-01-31, formation.yaml:7)"


def test_what_was_not_looked_at_is_in_the_log(report):
    (invocation,) = sarif(report)["runs"][0]["invocations"]
    (note,) = invocation["toolExecutionNotifications"]
    assert note["message"]["text"].startswith("attestation was not looked at")


def test_junit_has_a_test_for_each_check_and_fails_those_that_are_bad_enough(report):
    root = ElementTree.fromstring(junit_text("form/service\x1b", report, "high"))
    cases = {case.get("name", "").partition(":")[0]: case for case in root.iter("testcase")}
    assert list(cases) == [check.id for check in CHECKS]
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == ["user-root", "setuid-file", "secret-file"]
    assert root.get("failures") == "3"
    assert "fix: chmod" not in (cases["setuid-file"].findtext("failure") or "")
    assert "medium: port 53/udp" in (cases["privileged-port"].findtext("system-out") or "")
    assert "accepted until 2027-01-31" in (cases["world-writable-file"].findtext("system-out") or "")
    assert cases["attestation"].find("skipped") is not None
    strict = ElementTree.fromstring(junit_text("form/service", report, "medium"))
    assert strict.get("failures") == "4"
