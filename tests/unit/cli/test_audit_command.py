"""`formation audit` as a person types it."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from audited_image import image
from formation.cli.audit_text import audit_text
from formation.lock.lockfile import file_text
from formation.lock.model import Lock, LockedBase
from formation.oci.layout import write_layout
from formation.store.blobs import add_image
from layer_tars import file
from sound_image import STATUS, sound_image

NOW = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
SERVICE = """\
kind: service
name: form/service
version: 1.0.0
base: formation/base:1.0.0
audit:
  exceptions:
    - check: setuid-file
      path: /usr/bin/one
      reason: it drops its rights at once
      until: {until}
    - {{check: sudo, reason: nobody has it anyway, until: 2999-12-31}}
"""
MORE = "\nPackage: more\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"


@pytest.fixture
def audit(formation):
    """The command line, beside oci:clean, oci:spoiled and a definition that accepts a part of the second."""
    spoiled = image([file("usr/bin/one", b"1", mode=0o4755), file("app/\x1b[31m", b"1", mode=0o666)])
    write_layout(formation.directory / "clean", image(), None)
    write_layout(formation.directory / "spoiled", spoiled, None)
    (formation.directory / "formation.yaml").write_text(SERVICE.format(until="2999-12-31"))

    def run(*words: str):
        return formation("audit", *words, now=NOW)

    return run


def test_a_clean_image_passes_in_a_few_lines(audit):
    result = audit("oci:clean", "--profile", "strict")
    assert (result.code, result.stderr.count("error")) == (0, 0)
    assert "oci:clean passes the profile strict as a service: no findings; looked at 2 layers" in result.stdout


def test_the_worst_comes_first_with_what_to_do_and_never_steers_the_terminal(audit):
    result = audit("oci:spoiled")
    assert result.code == 1
    assert result.stdout.startswith("high\n  setuid-file: setuid or setgid programs")
    assert "    fix: Remove the bits" in result.stdout
    assert result.stdout.index("\nmedium\n") > result.stdout.index("/usr/bin/one is setuid")
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize(("limit", "code"), [("critical", 0), ("high", 1), ("low", 1)])
def test_the_limit_decides_the_exit_code(audit, limit, code):
    assert audit("oci:spoiled", "--fail-on", limit).code == code


def test_findings_are_data(audit):
    result = audit("oci:spoiled", "--json")
    told = json.loads(result.stdout)
    assert (result.code, told["ok"], told["kind"], told["profile"]) == (1, False, "service", "service")
    finding = told["findings"][0]
    assert (finding["check"], finding["path"], finding["layer"]) == ("setuid-file", "/usr/bin/one", 2)
    assert finding["layer_digest"].startswith("sha256:")
    assert finding["why"] and finding["fix"] and "CIS Docker 4.8" in finding["source"]


def test_what_a_definition_accepts_is_shown_and_fails_nothing(audit):
    result = audit("oci:spoiled", "--definition", ".")
    assert result.code == 0
    assert "accepted\n  setuid-file: it drops its rights at once (until 2999-12-31," in result.stdout
    assert "high: /usr/bin/one is setuid" in result.stdout
    # How the lines break depends on how long the path of the directory is.
    words = " ".join(result.stdout.split())
    assert "the exception of sudo at" in words and "covers nothing" in words
    told = json.loads(audit("oci:spoiled", "--definition", "formation.yaml", "--json").stdout)
    assert [(each["check"], each["until"]) for each in told["excepted"]] == [("setuid-file", "2999-12-31")]
    assert told["unused_exceptions"][0]["place"].endswith("formation.yaml:11")


def test_an_exception_whose_day_is_over_is_told_and_covers_nothing(audit, formation):
    (formation.directory / "formation.yaml").write_text(SERVICE.format(until="2026-01-31"))
    result = audit("oci:spoiled", "--definition", ".")
    assert result.code == 1
    assert "ended on 2026-01-31: it drops its rights at once" in " ".join(result.stdout.split())


def test_other_forms_are_written_beside_the_text(audit, formation):
    result = audit("oci:spoiled", "--sarif", "a.sarif", "--junit", "a.xml")
    assert result.stdout.startswith("high\n")
    assert json.loads((formation.directory / "a.sarif").read_text())["version"] == "2.1.0"
    assert ElementTree.parse(formation.directory / "a.xml").getroot().get("failures") == "1"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("oci:nowhere",), 3, "is not a directory"),
        (("oci:clean", "--definition", "nowhere"), 2, "there is no definition"),
        (("oci:clean", "--fail-on", "info"), 2, "there is no 'info'"),
    ],
)
def test_what_cannot_be_audited_is_an_error(audit, words, code, message):
    result = audit(*words)
    assert (result.code, message in result.stderr) == (code, True)


def test_an_exception_of_an_unknown_check_is_an_error(audit, formation):
    text = SERVICE.format(until="2999-12-31").replace("check: sudo", "check: sudos")
    (formation.directory / "formation.yaml").write_text(text)
    result = audit("oci:clean", "--definition", ".")
    assert result.code == 2 and "formation.yaml:11: there is no check 'sudos'" in result.stderr


def test_packages_of_the_base_are_known_from_its_image_where_only_the_service_is_defined(audit, formation):
    service = image([file("app/x", b"1")])
    write_layout(formation.directory / "service", service, None)
    definition = formation.directory / "formation.yaml"
    definition.write_text(SERVICE.format(until="2999-12-31"))

    def told(base: str) -> dict[str, str]:
        lock = Lock("sha256:" + "0" * 64, 0, (), {"amd64": ()}, (LockedBase("formation/base:1.0.0", "amd64", base),))
        (formation.directory / "formation.lock").write_text(file_text(lock))
        report = json.loads(audit("oci:service", "--definition", ".", "--json").stdout)
        return {each["check"]: each["reason"] for each in report["not_checked"]} | {
            each["check"]: each["message"] for each in report["findings"]
        }

    base = image()
    assert "needs formation/base:1.0.0 as the lock has it" in told(base.digest)["undeclared-package"]
    add_image(formation.store, base)
    assert "undeclared-package" not in told(base.digest)
    (formation.directory / "formation.lock").unlink()
    report = json.loads(audit("oci:service", "--definition", ".", "--json").stdout)
    reasons = {each["check"]: each["reason"] for each in report["not_checked"]}
    assert reasons["undeclared-package"].startswith(f"needs a lock {formation.directory}/formation.lock")


def test_a_package_that_neither_base_nor_lock_has_is_undeclared(audit, formation):
    base = sound_image()
    write_layout(formation.directory / "more", image([file("var/lib/dpkg/status", (STATUS + MORE).encode())]), None)
    lock = Lock("sha256:" + "0" * 64, 0, (), {"amd64": ()}, (LockedBase("formation/base:1.0.0", "amd64", base.digest),))
    (formation.directory / "formation.lock").write_text(file_text(lock))
    add_image(formation.store, base)
    report = json.loads(audit("oci:more", "--definition", ".", "--json").stdout)
    found = [each["message"] for each in report["findings"] if each["check"] == "undeclared-package"]
    assert found == ["the package more 1 is installed, and not in the lock"]


def test_a_second_look_reads_no_layer(audit, monkeypatch):
    first = audit("oci:spoiled")
    monkeypatch.setattr("formation.contents.image.scan_layer", None)
    assert audit("oci:spoiled").stdout == first.stdout


def test_lines_are_as_wide_as_the_terminal_and_coloured_where_it_can():
    from audited_image import audited

    report = audited(image(user="root"))
    text = audit_text("form/service", report, "high", width=60, colour=True)
    plain = audit_text("form/service", report, "high", width=60, colour=False)
    assert text.startswith("\x1b[31mhigh\x1b[0m\n  \x1b[1muser-root\x1b[0m: the image")
    *lines, verdict = plain.splitlines()
    assert max(map(len, lines)) <= 60
    assert verdict.startswith("form/service fails the profile strict") and verdict.endswith("checks")


def test_a_report_may_have_stdout_instead_of_the_text(audit):
    sarif = audit("oci:spoiled", "--sarif", "-")
    assert sarif.code == 1 and json.loads(sarif.stdout)["version"] == "2.1.0"
    junit = audit("oci:spoiled", "--junit", "-")
    assert junit.code == 1 and ElementTree.fromstring(junit.stdout).tag == "testsuites"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sarif", "-", "--junit", "-"), "only one can have stdout"),
        (("--json", "--sarif", "-"), "only one can have stdout"),
        (("--junit", "clean"), "--junit: 'clean' is a directory"),
        (("--junit", "new/"), "--junit: 'new/' is a directory"),
        (("--sarif", "none/audit.sarif"), "--sarif none/audit.sarif: there is no directory"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_of_first(audit, options, message, tmp_path):
    before = sorted(each.name for each in tmp_path.iterdir())
    result = audit("oci:spoiled", *options)
    assert (result.code, result.stdout) == (2, "") and message in result.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == before
