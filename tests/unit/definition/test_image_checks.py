"""The section `checks` of a definition."""

from pathlib import Path

from formation.contract.from_definition import base_contract, checks_of
from formation.definition.image_checks import Checks
from formation.definition.load import load_any, load_definition

HEAD = "kind: base\nname: formation/base\nversion: 1.0.0\ndistribution: debian/trixie\npackages: [curl]\n"
CHECKS = """\
checks:
  in_path: [curl]
  libraries: [libssl.so.3]
  environment: {LANG: C.*}
  labels: {a: b}
  files:
    - {path: /etc/os-release, type: file, owner: root, mode: "0644", contains: [debian]}
    - {path: /usr/bin/gcc, exists: false}
  commands:
    - {run: curl --version, user: "65532", exit_code: 2, output: [x], no_output: [y]}
"""
VARIANTS = "variants:\n  dev:\n    packages: [gcc]\n    checks: {in_path: [gcc]}\n"


def written(directory: Path, text: str) -> Path:
    path = directory / "formation.yaml"
    path.write_text(text)
    return path


def test_checks_are_read_with_their_lines(tmp_path):
    definition = load_definition(written(tmp_path, HEAD + CHECKS))
    checks = checks_of(definition, "runtime")
    release, gcc = checks.files
    assert (release.path, release.type, release.owner, release.mode) == ("/etc/os-release", "file", "root", 0o644)
    assert (release.contains, gcc.exists) == (("debian",), False)
    assert gcc.place.endswith("formation.yaml:13")
    (command,) = checks.commands
    assert (command.run, command.user, command.exit_code) == (("curl", "--version"), "65532", 2)
    assert (checks.environment, checks.labels) == ((("LANG", "C.*"),), (("a", "b"),))


def test_a_variant_keeps_the_checks_of_what_it_extends(tmp_path):
    definition = load_definition(written(tmp_path, HEAD + CHECKS + VARIANTS))
    assert checks_of(definition, "dev").in_path == ("curl", "gcc")
    contract = base_contract(definition, "dev", "amd64", None)
    assert contract.commands == ("curl", "gcc")
    assert [promise.name for promise in contract.sonames] == ["libssl.so.3"]


def test_checks_decide_neither_lock_nor_image(tmp_path):
    without = load_definition(written(tmp_path, HEAD))
    assert without.digest == load_definition(written(tmp_path, HEAD + CHECKS)).digest
    assert checks_of(without, "runtime") == Checks()


def test_services_have_checks_too(tmp_path):
    text = "kind: service\nname: formation/dns\nversion: 1.0.0\nbase: formation/base:1.0.0\n" + CHECKS
    assert checks_of(load_any(written(tmp_path, text)), "runtime").in_path == ("curl",)
