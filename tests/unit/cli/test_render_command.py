import json
import sys
import types

import pytest


@pytest.fixture
def rendering(monkeypatch, formation):
    """The command line, with a definition and renderers that give fixed texts."""
    load = types.ModuleType("formation.definition.load")
    load.load_any = lambda path: path
    render = types.ModuleType("formation.build.render")
    texts = {"Dockerfile": "FROM debian\nRUN x\n", "docker-compose.yml": "services: {}\n"}
    render.render_base = lambda definition: texts
    monkeypatch.setitem(sys.modules, "formation.definition.load", load)
    monkeypatch.setitem(sys.modules, "formation.build.render", render)
    (formation.directory / "base").mkdir()
    return formation


def test_both_files_are_written_beside_the_definition_and_then_are_up_to_date(rendering):
    base = rendering.directory / "base"
    assert rendering("render", "base").stdout == f"wrote {base}/Dockerfile\nwrote {base}/docker-compose.yml\n"
    assert (base / "Dockerfile").read_text() == "FROM debian\nRUN x\n"
    assert rendering("render", "base").stdout == "the files are up to date\n"
    assert rendering("render", "base", "--check").code == 0


def test_a_check_shows_the_difference_and_writes_nothing(rendering):
    rendering("render", "base")
    dockerfile = rendering.directory / "base" / "Dockerfile"
    dockerfile.write_bytes(b"FROM debian\nRUN \xff")
    result = rendering("render", "base", "--check")
    assert result.code == 1
    assert "-RUN �\n\\ no newline at the end\n+RUN x\n" in result.stdout
    assert dockerfile.read_bytes() == b"FROM debian\nRUN \xff"


def test_a_dry_run_writes_nothing(rendering):
    result = rendering("render", "base", "--dry-run", "--json")
    assert json.loads(result.stdout)["stale"] == ["Dockerfile", "docker-compose.yml"]
    assert json.loads(result.stdout)["written"] == []
    assert list((rendering.directory / "base").iterdir()) == []


def test_a_compose_file_may_go_to_stdout(formation):
    assert formation("new", "service", "fresh").code == 0
    before = sorted(formation.directory.iterdir())
    result = formation("render", "compose", "services/fresh", "--output", "-")
    assert (result.code, sorted(formation.directory.iterdir())) == (0, before)
    assert "image: formation/fresh:" in result.stdout
    assert formation("render", "compose", "services/fresh", "--output", "-", "--check").code == 2
