"""`formation verify` as a person types it."""

import json

import pytest

from formation.oci.layout import write_layout
from layer_tars import file
from sound_image import sound_image

DEFINITION = """\
kind: base
name: formation/base
version: 1.0.0
distribution: debian/trixie
packages: [tool]
users:
  - {name: formation, uid: 999, group: formation, groups: [adm], home: /app}
groups:
  - {name: formation, gid: 999}
directories:
  - {path: /var/log/formation, owner: formation, group: formation, mode: "0750"}
volumes: [/var/log/formation]
environment: {LANG: C.UTF-8}
user: formation
working_directory: /app
command: [tool]
variants:
  dev:
    packages: [compiler]
    checks:
      in_path: [cc]
checks:
  in_path: [tool]
  libraries: [libc.so.6]
  files:
    - {path: /etc/tool.conf, contains: ["^on$"]}
  commands:
    - {run: tool --version, output: ["^1"]}
"""


@pytest.fixture
def with_layouts(formation):
    """The command line, beside oci:sound, oci:broken and a definition that the first keeps."""
    write_layout(formation.directory / "sound", sound_image(), None)
    write_layout(formation.directory / "broken", sound_image([file("usr/bin/tool", b"\x1b[31m")]), None)
    (formation.directory / "formation.yaml").write_text(DEFINITION)
    return formation


def test_an_image_that_keeps_its_promises_is_told_so_in_one_line(with_layouts):
    result = with_layouts("verify", "oci:sound")
    assert (result.code, result.stderr.count("error")) == (0, 0)
    assert result.stdout.startswith("oci:sound keeps its promises: 0 errors, 0 warnings; looked at ")


def test_a_definition_is_held_against_the_image(with_layouts):
    result = with_layouts("verify", "oci:sound", "--contract", ".")
    assert "label org.opencontainers.image.title" in result.stdout
    assert "1 command check was left out" in result.stdout
    derived = with_layouts("verify", "oci:sound", "--contract", "formation.yaml", "--derived")
    assert derived.code == 0
    dev = with_layouts("verify", "oci:sound", "--contract", ".", "--variant", "dev", "--derived", "--json")
    findings = json.loads(dev.stdout)["findings"]
    assert [(each["id"], each["place"].rpartition("/")[2]) for each in findings if each["severity"] == "error"] == [
        ("package-missing", "formation.yaml:19"),
        ("command-missing", "formation.yaml"),
    ]


def test_findings_are_grouped_and_never_steer_the_terminal(with_layouts):
    result = with_layouts("verify", "oci:broken")
    assert result.code == 1
    assert result.stdout.startswith("dpkg database\n  error: /usr/bin/tool is not as tool 1.0-1 has it")
    assert "commands" not in result.stdout.splitlines()
    assert "\x1b" not in result.stdout


def test_findings_are_data(with_layouts):
    result = with_layouts("verify", "oci:broken", "--json")
    found = json.loads(result.stdout)
    assert (result.code, found["ok"], found["packages"]) == (1, False, 2)
    assert found["findings"][0] == {
        "topic": "database",
        "id": "package-file-changed",
        "severity": "error",
        "message": "/usr/bin/tool is not as tool 1.0-1 has it: its checksum differs",
        "path": "/usr/bin/tool",
        "layer": 1,
        "place": None,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("oci:sound", "--contract", "nowhere"), "there is no definition"),
        (("oci:sound", "--contract", ".", "--variant", "prod"), "has no variant 'prod'"),
        (("oci:nowhere",), "is not a directory"),
    ],
)
def test_what_cannot_be_looked_at_is_an_error(with_layouts, words, message):
    result = with_layouts("verify", *words)
    assert result.code in (2, 3) and message in result.stderr


def test_a_second_look_reads_no_layer(with_layouts, monkeypatch):
    first = with_layouts("verify", "oci:sound")
    monkeypatch.setattr("formation.contents.image.scan_layer", None)
    assert with_layouts("verify", "oci:sound").stdout == first.stdout


@pytest.mark.parametrize("options", [("--variant", "dev"), ("--derived",), ("--run", "docker")])
def test_an_option_about_a_contract_needs_one(with_layouts, options):
    result = with_layouts("verify", "oci:sound", *options)
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: {options[0]} is about a contract, and none is given\nhint: name the definition: --contract PATH\n"
    )


def test_a_derived_image_is_compared_with_the_base_in_the_store(with_layouts):
    def told() -> list[str]:
        result = with_layouts("verify", "oci:sound", "--contract", ".", "--derived", "--json")
        assert result.code == 0
        return [each["message"] for each in json.loads(result.stdout)["findings"] if each["id"] == "base-unknown"]

    assert "the store has no formation/base:1.0.0" in told()[0]
    assert with_layouts("copy", "oci:sound", "formation/base:1.0.0").code == 0
    assert told() == []
    write_layout(with_layouts.directory / "other", sound_image([file("usr/bin/other", b"1")]), None)
    assert with_layouts("copy", "oci:other", "formation/base:1.0.0").code == 0
    assert "its lowest layers are not those of the formation/base:1.0.0" in told()[0]
