"""Merging hadolint's findings; the program here is a script that prints what hadolint would."""

import json
from pathlib import Path

import pytest

from formation.errors import FormationError
from formation.lint import hadolint
from formation.lint.hadolint import LEFT_OUT, find_hadolint, hadolint_findings
from formation.lint.lint import lint_target
from linting import target, world

ENTRY = {
    "code": "DL3059",
    "column": 1,
    "file": "",
    "level": "info",
    "line": 2,
    "message": "Multiple consecutive\n`RUN`",
}


def program(tmp_path: Path, answer: str, status: int = 0) -> Path:
    (tmp_path / "answer").write_text(answer)
    path = tmp_path / "hadolint"
    path.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\ncat {tmp_path}/answer\necho broken >&2\nexit {status}\n'
    )
    path.chmod(0o755)
    return path


def found(tmp_path: Path, *entries: dict):
    file = target("FROM x\nRUN a\n", directory=tmp_path)
    answer = json.dumps([{**ENTRY, "file": str(file.path), **entry} for entry in entries])
    return hadolint_findings(program(tmp_path, answer), [file], tmp_path, {"PATH": "/usr/bin:/bin"})


def test_a_finding_keeps_its_id_and_place_and_gets_our_name_of_the_file(tmp_path):
    (each,) = found(tmp_path, {})
    assert (each.path, each.line, each.column, each.rule, each.severity) == ("file", 2, 1, "DL3059", "info")
    assert each.message == "Multiple consecutive `RUN`"
    assert each.fix == "see https://github.com/hadolint/hadolint/wiki/DL3059"
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[-2:] == ["--", str(tmp_path / "file")]


def test_rules_that_ours_replace_are_left_out(tmp_path):
    entries = [{"code": code} for code in (*LEFT_OUT, "SC2086", "DL1000")]
    assert [(each.rule, each.severity) for each in found(tmp_path, *entries)] == [
        ("SC2086", "info"),
        ("DL1000", "info"),
    ]


def test_its_findings_may_be_ignored_as_ours(tmp_path):
    text = "FROM formation/base:1.0.0\n# formation-lint ignore=DL3059 two caches\nRUN a\nUSER x\nHEALTHCHECK CMD x\n"
    (each,) = found(tmp_path, {"line": 3})
    result = lint_target(target(text), world(), [each])
    assert (result.findings, result.ignored) == ((), 1)


@pytest.mark.parametrize("answer", ["", "{", "{}x", "[1]", '[{"code": "x"}]', "[" * 10_000])
def test_an_answer_that_is_none_is_an_error(tmp_path, answer):
    with pytest.raises(FormationError, match="hadolint failed: broken"):
        hadolint_findings(program(tmp_path, answer, 1), [target("FROM x", directory=tmp_path)], tmp_path, {})


def test_a_program_that_cannot_be_run_is_an_error(tmp_path):
    (tmp_path / "hadolint").write_text("")
    with pytest.raises(FormationError, match="cannot be run: Permission denied"):
        hadolint_findings(tmp_path / "hadolint", [target("FROM x")], tmp_path, {})


def test_without_dockerfiles_nothing_is_run(tmp_path):
    assert hadolint_findings(tmp_path / "none", [], tmp_path, {}) == ()


def test_it_is_found_beside_python_and_in_path(tmp_path, monkeypatch):
    made = program(tmp_path, "[]")
    monkeypatch.setattr(hadolint.sys, "executable", "/nowhere/python")
    assert find_hadolint({"PATH": ""}) is None
    assert find_hadolint({"PATH": str(tmp_path)}) == made
    monkeypatch.setattr(hadolint.sys, "executable", str(tmp_path / "python"))
    assert find_hadolint({"PATH": ""}) == made


def test_it_gets_a_bounded_memory(tmp_path):
    path = tmp_path / "hadolint"
    path.write_text(f"#!/bin/sh\nulimit -d > {tmp_path}/limit\necho []\n")
    path.chmod(0o755)
    file = target("FROM x", directory=tmp_path)
    assert hadolint_findings(path, [file], tmp_path, {"PATH": "/usr/bin:/bin"}) == ()
    assert int((tmp_path / "limit").read_text()) << 10 == hadolint.MEMORY
