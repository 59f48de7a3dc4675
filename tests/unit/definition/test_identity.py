"""`Definition.digest`: which edits make a lock stale."""

from pathlib import Path

import pytest

from formation.definition.load import load_definition

TEXT = """kind: base
name: formation/test
version: 1.0.0
distribution: debian/trixie
packages: [curl, -wget]
variants: {dev: {packages: [gcc]}}
"""


def digest(directory: Path, text: str) -> str:
    (directory / "formation.yaml").write_text(text)
    return load_definition(directory).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0.0", "1.0.1"),
        ("formation/test", "formation/other"),
        ("kind: base", "kind: base\ndescription: other\nlabels: {a: b}\ntags: [x]\nlayers: {compression: zstd}"),
        ("kind: base", "kind: base\nusers: [{name: a}]\nfiles: [{path: /a, content: b}]\ncommand: [sh]"),
        ("kind: base", "kind: base\nleave_out: {locales: false}"),
        ("packages: [curl, -wget]", "packages:\n  - curl # comment\n  - -wget"),
    ],
)
def test_an_edit_that_chooses_no_package_keeps_the_lock_fresh(tmp_path: Path, old: str, new: str):
    assert digest(tmp_path, TEXT.replace(old, new)) == digest(tmp_path, TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("curl", "curl=8.0"),
        ("-wget", "wget"),
        (", -wget", ""),
        ("gcc", "clang"),
        ("dev:", "tools:"),
        ("debian/trixie", "debian/bookworm"),
        ("kind: base", "kind: base\nrecommends: true"),
        ("kind: base", "kind: base\nessential: false"),
        ("kind: base", "kind: base\narchitectures: [amd64, arm64]"),
    ],
)
def test_an_edit_that_may_choose_other_packages_makes_the_lock_stale(tmp_path: Path, old: str, new: str):
    assert digest(tmp_path, TEXT.replace(old, new)) != digest(tmp_path, TEXT)


def test_another_key_in_a_key_file_makes_the_lock_stale(tmp_path: Path):
    text = TEXT + "archives: [{name: own, uri: 'https://packages.example.com', suites: [x], keys: [own.asc]}]\n"
    (tmp_path / "own.asc").write_text("one")
    before = digest(tmp_path, text)
    (tmp_path / "own.asc").write_text("two")
    assert digest(tmp_path, text) != before
