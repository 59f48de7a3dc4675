"""The section `audit` of bases, variants and services."""

from datetime import date
from pathlib import Path

import pytest

from formation.definition.load import load_any, load_definition, load_service
from formation.errors import DefinitionError

BASE = """\
kind: base
name: formation/base
version: 1.0.0
distribution: debian/trixie
packages: [apt]
variants:
  dev:
    packages: [gcc]
    audit:
      exceptions:
        - {check: unsupported, reason: binutils reads our own objects, until: 2027-01-31}
"""
AUDIT = """\
audit:
  exceptions:
    - check: setuid-file
      path: /usr/bin/*
      reason: mount is needed
      until: 2027-06-30
"""
SERVICE = "kind: service\nname: form/dns\nversion: 1.0.0\nbase: formation/base:1.0.0\n"


def written(directory: Path, text: str) -> Path:
    path = directory / "formation.yaml"
    path.write_text(text)
    return path


def test_a_variant_has_its_own_exceptions_beside_those_of_what_it_extends(tmp_path):
    runtime, dev = load_definition(written(tmp_path, BASE + AUDIT)).lineage("dev")
    (exception,) = runtime.exceptions
    assert (exception.check, exception.path, exception.until) == ("setuid-file", "/usr/bin/*", date(2027, 6, 30))
    assert exception.place.endswith("formation.yaml:14")
    assert [(each.check, each.path) for each in dev.exceptions] == [("unsupported", None)]


def test_a_service_has_exceptions_with_their_places(tmp_path):
    (exception,) = load_service(written(tmp_path, SERVICE + AUDIT)).exceptions
    assert (exception.reason, exception.place.rpartition(":")[2]) == ("mount is needed", "7")
    assert load_service(written(tmp_path, SERVICE)).exceptions == ()


@pytest.mark.parametrize("text", [BASE, SERVICE])
def test_what_is_accepted_decides_no_lock(tmp_path, text):
    assert load_any(written(tmp_path, text)).digest == load_any(written(tmp_path, text + AUDIT)).digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2027-06-30", "2027-02-30", ":10: '2027-02-30' is not a day"),
        ("2027-06-30", "soon", ":10: 'soon' is not a day"),
        ("      until: 2027-06-30\n", "", "until"),
        ("reason: mount is needed", "reason: because", ":9: audit.exceptions[0].reason needs at least 10 characters"),
        ("setuid-file", "Setuid File", ":7: there is no check 'Setuid File'"),
        ("/usr/bin/*", "usr/bin/*", ":8: 'usr/bin/*' is not a pattern of absolute paths"),
        ("path:", "paths:", "paths"),
    ],
)
def test_a_wrong_exception_is_an_error_with_its_line(tmp_path, old, new, message):
    with pytest.raises(DefinitionError) as error:
        load_service(written(tmp_path, SERVICE + AUDIT.replace(old, new)))
    assert message in error.value.message


def test_a_check_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DefinitionError, match=r"formation\.yaml:7: there is no check 'lable'") as error:
        load_any(written(tmp_path, SERVICE + AUDIT.replace("setuid-file", "lable")))
    assert error.value.hint == "did you mean 'label'?"
