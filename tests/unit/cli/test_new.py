import json

import pytest

FILES = ["formation.yaml", "Dockerfile", ".dockerignore", "run-form-dns.sh", "README.md"]


def test_a_new_service_passes_its_own_check(formation):
    result = formation("new", "service", "form-dns", "--port", "53/udp", "--port", "53/tcp", "--package", "bind9-utils")
    directory = formation.directory / "services/form-dns"
    assert (result.code, result.stdout) == (0, "".join(f"wrote {directory}/{name}\n" for name in FILES))
    assert (directory / "run-form-dns.sh").stat().st_mode & 0o777 == 0o755
    assert formation("render", "services/form-dns", "--check").code == 0
    (directory / "Dockerfile").write_text("FROM scratch\n")
    stale = formation("render", "services/form-dns", "--check")
    assert stale.code == 1
    assert "-FROM scratch" in stale.stdout


def test_nothing_that_exists_is_overwritten_without_force(formation):
    directory = formation.directory / "services/form-dns"
    directory.mkdir(parents=True)
    (directory / "README.md").write_text("mine")
    result = formation("new", "service", "form-dns")
    assert result.code == 2
    assert result.stderr == f"error: {directory} has README.md already\nhint: --force overwrites them\n"
    assert [path.name for path in directory.iterdir()] == ["README.md"]
    assert (directory / "README.md").read_text() == "mine"
    assert formation("new", "service", "form-dns", "--force").code == 0
    assert (directory / "README.md").read_text().startswith("# form-dns\n")


def test_a_dry_run_writes_nothing(formation):
    result = formation("new", "service", "form-dns", "--directory", "elsewhere", "--dry-run", "--json")
    answer = {"directory": f"{formation.directory}/elsewhere/form-dns", "files": FILES, "written": []}
    assert json.loads(result.stdout) == answer
    assert "would write " in formation("new", "service", "form-dns", "--dry-run").stdout
    assert list(formation.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["servce", "a"], "error: kind: there is no 'servce'\nhint: did you mean service?\n"),
        (["service", "A"], "hint: did you mean 'a'?\n"),
        (["service", "a", "--port", "0"], "error: the port 0 is not from 1 to 65535\n"),
    ],
)
def test_a_wrong_word_is_a_usage_error(formation, arguments, message):
    result = formation("new", *arguments)
    assert result.code == 2
    assert result.stderr.endswith(message)
    assert list(formation.directory.iterdir()) == []


def test_services_are_composed_into_one_file(formation):
    formation("new", "service", "one", "--port", "80")
    formation("new", "service", "two", "--port", "81")
    result = formation("render", "compose", "services/one", "services/two", "--output", "deploy/all.yml")
    compose = formation.directory / "deploy/all.yml"
    assert (result.code, result.stdout) == (0, f"wrote {compose}\n")
    assert 'context: "../services/one"' in compose.read_text()
    arguments = ("render", "compose", "services/one", "services/two", "--output", "deploy/all.yml", "--check")
    assert formation(*arguments).code == 0
    assert formation(*arguments[:3], "--output", "deploy/all.yml", "--check").code == 1
    assert formation("render", "compose", "services/one").code == 0
    assert 'context: "./services/one"' in (formation.directory / "docker-compose.yml").read_text()


def test_one_service_is_composed_in_its_own_directory(formation):
    formation("new", "service", "one")
    service = formation.directory / "services/one"
    result = type(formation)(service)("render", "compose", ".")
    assert result.code == 0
    assert 'context: "."' in (service / "docker-compose.yml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "b"], "formation render takes one directory, not 2"),
        (["a", "--output", "b"], "formation render takes no --output"),
        (["compose", "missing"], "there is no definition"),
    ],
)
def test_render_takes_one_directory_or_composes_many(formation, arguments, message):
    result = formation("render", *arguments)
    assert result.code == 2
    assert message in result.stderr
