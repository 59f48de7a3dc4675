"""`formation verify` on real images: ours, those that Docker builds, from every source, without any false finding."""

import json
import shutil

import pytest

from built_images import Command
from formation.definition.load import FILE_NAME

pytestmark = pytest.mark.network

CHECKS = """
checks:
  in_path: [curl, openssl, apt-get]
  libraries: [libssl.so.3, libc.so.6]
  files:
    - {path: /etc/os-release, contains: ["^ID=debian$"]}
    - {path: /usr/bin/gcc, exists: false}
  commands:
    - {run: curl --version, output: ["^curl 8"], user: formation}
    - {run: [sh, -c, "echo to stderr >&2; exit 3"], exit_code: 3, output: ["^to stderr$"]}
    - {run: touch /etc/x, user: formation, exit_code: 1, no_output: ["^ok"]}
"""


@pytest.fixture(scope="module")
def contract(base_project, tmp_path_factory):
    """The definition of the base with a section `checks`, and its lock."""
    target = shutil.copytree(base_project, tmp_path_factory.mktemp("contract") / "base")
    with (target / FILE_NAME).open("a") as file:
        file.write(CHECKS)
    return target


def findings(command, *words, environment=None):
    """Exit code and (id, message) of each finding of `formation verify WORDS`."""
    ended = command("verify", *words, "--json", environment=environment)
    assert ended.stdout, ended.stderr
    return ended.returncode, [(each["id"], each["message"]) for each in json.loads(ended.stdout)["findings"]]


@pytest.mark.parametrize("variant", ["base_image", "dev_image"])
def test_our_own_images_keep_their_contract_without_one_finding(request, variant):
    image = request.getfixturevalue(variant)
    assert findings(image.command, image.reference, "--contract", image.project) == (0, [])
    assert findings(image.command, image.reference) == (0, [])


def test_command_checks_run_in_the_engine_and_leave_nothing_there(engine, base_image, contract):
    name = type(engine).__name__.lower()
    words = (base_image.reference, "--contract", contract, "--run", name)
    assert findings(base_image.command, *words, environment=engine.environment) == (0, [])
    assert "formation-verify" not in engine.run("images").stdout
    assert "formation-verify" not in engine.run("ps", "--all").stdout


@pytest.mark.root
def test_what_docker_saves_is_held_to_the_same_contract(docker, base_image, contract):
    reference = base_image.load(docker)
    words = (f"docker-daemon:{reference}", "--contract", contract, "--run", "docker")
    assert findings(base_image.command, *words, environment=docker.environment) == (0, [])


@pytest.mark.root
def test_the_image_that_docker_builds_keeps_the_contract_too(docker, base_image, contract, trixie_slim):
    docker.run("build", "--network", "host", "-t", "formation/verified:1", base_image.project)
    words = ("docker-daemon:formation/verified:1", "--contract", contract, "--run", "docker")
    code, found = findings(base_image.command, *words, environment=docker.environment)
    assert (code, found) == (0, [])


BAD_SERVICE = """\
FROM formation/base:1.0.0
RUN rm /usr/bin/curl && chmod 777 /app && echo broken > /usr/bin/openssl && userdel formation
ENV LANG=C
"""


@pytest.mark.root
def test_a_service_that_spoils_the_base_is_told_everything_at_once(docker, base_image, tmp_path):
    base_image.load(docker)
    (tmp_path / "Dockerfile").write_text(BAD_SERVICE)
    docker.run("build", "--network", "none", "-t", "formation/bad:1", tmp_path)
    words = ("docker-daemon:formation/bad:1", "--contract", base_image.project, "--derived")
    code, found = findings(base_image.command, *words, environment=docker.environment)
    assert code == 1
    assert {id_ for id_, _ in found} >= {
        "package-file-missing",
        "package-file-changed",
        "directory-mode",
        "user-missing",
        "environment-value",
    }


def test_an_image_of_every_other_source_is_looked_at(base_image, registry, tmp_path):
    remote = f"docker://{registry.address}/formation/verified:1"
    for target in (remote, "oci:layout:1", f"docker-archive:base.tar:{base_image.reference}"):
        base_image.command.succeed("copy", base_image.reference, target, directory=tmp_path)
    elsewhere = Command(tmp_path / "store")
    for source in (remote, f"oci:{tmp_path}/layout:1", f"docker-archive:{tmp_path}/base.tar"):
        assert findings(elsewhere, source, "--contract", base_image.project) == (0, [])
    assert "no images" in elsewhere.succeed("images")
