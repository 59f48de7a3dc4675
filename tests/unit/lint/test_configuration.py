"""formation-lint.yaml, and what it decides."""

from datetime import date
from pathlib import Path

import pytest

from formation.errors import DefinitionError, UsageError
from formation.lint.configuration import Configuration, read_configuration
from linting import SERVICE, findings, rules


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "formation-lint.yaml"
    path.write_text(text)
    return read_configuration(path)


def test_every_key_may_be_left_out(tmp_path):
    assert read(tmp_path, "{}") == Configuration()


def test_versions_are_supported_to_their_last_day(tmp_path):
    configuration = read(tmp_path, 'supported: {"1.0": 2027-01-14, "1.1": 2027-01-15, "1.2.3": , "2": }\n')
    assert configuration.supported == {
        "1.0": date(2027, 1, 14), "1.1": date(2027, 1, 15), "1.2.3": None, "2": None,
    }  # fmt: skip
    unsupported = {
        version
        for version in ("1.0.7", "1.0.7-dev", "1.1.0", "1.2.3", "1.2.4", "2.9.9", "3.0.0", "10.0.0")
        if "FL006" in rules(SERVICE.replace("1.0.0", version), configuration=configuration)
    }
    assert unsupported == {"1.0.7", "1.0.7-dev", "1.2.4", "3.0.0", "10.0.0"}
    (ended,) = findings(SERVICE, configuration=configuration)
    assert ended.message == "formation/base:1.0.0 is not supported: the support of 1.0 ended on 2027-01-14"


def test_a_list_of_supported_versions_has_no_ends(tmp_path):
    configuration = read(tmp_path, 'supported: ["1.1", "2"]\n')
    assert rules(SERVICE, configuration=configuration) == ["FL006"]
    assert rules(SERVICE.replace("1.0.0", "1.1.4"), configuration=configuration) == []


def test_other_bases_may_be_ours(tmp_path):
    configuration = read(tmp_path, "bases: [platform/base, tiny]\n")
    assert rules(SERVICE, configuration=configuration) == ["FL002"]
    for base in ("platform/base", "r.example.com/platform/base", "tiny", "r.example.com:5000/x/tiny"):
        assert rules(SERVICE.replace("formation/base", base), configuration=configuration) == []


def test_a_rule_that_is_off_finds_nothing(tmp_path):
    configuration = read(tmp_path, "ignore: {FL010: they drop root themselves, DL3059: for the cache}\n")
    assert rules(SERVICE.replace("USER formation\n", ""), configuration=configuration) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: [a]", ":1: unknown key 'base'"),
        ("[]", ":1: a mapping is expected"),
        ("bases: a", ":1: `bases` is a list"),
        ("\nsupported: {one: }", ":2: 'one' is no version"),
        ('supported: {"1.0": soon}', ":1: 'soon' is no date"),
        ("supported: 1", "`supported` names versions"),
        ("ignore: {FL999: why}", "there is no rule 'FL999'"),
        ("ignore: {FL010: }", "FL010 is ignored without a reason"),
        ("ignore: [FL010]", "`ignore` maps rules to reasons"),
        ("hadolint: 1", "`hadolint` is true or false"),
        ("registry: [x]", "`registry` is a host"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_wrong_file_names_the_line(tmp_path, text, message):
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path, text)
    assert message in caught.value.message


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_configuration(tmp_path / "none.yaml")
