"""Docker builds the base from the Dockerfile beside its definition, and services on top of the native base."""

import json
import shutil
import struct

import pytest

from conftest import missing, require_tool

pytestmark = [pytest.mark.network]

HOST_NETWORK = ("--network", "host")
"""The private daemon has no network of its own; elsewhere a plain `docker build` does."""

SERVICE = """\
FROM formation/base:1.0.0
RUN apt-get update -y && apt-get install -y bind9-utils && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY ./target/release/form-dns /usr/local/bin/
COPY ./scripts/run-form-dns.sh /usr/local/bin/run-form-dns.sh
RUN mkdir -p /var/lib/formation/dns && chown formation:formation /var/lib/formation/dns
EXPOSE 53/udp 53/tcp
USER formation
ENTRYPOINT ["/usr/local/bin/run-form-dns.sh"]
"""

SCRIPT = """\
#!/bin/sh
set -e
echo "options {};" > /var/lib/formation/dns/named.conf
named-checkconf /var/lib/formation/dns/named.conf
echo "$(id -un) in $(pwd)" | tee /var/log/formation/form-dns.log
exec form-dns
"""

FACTS = r"""
echo packages; dpkg-query --show --showformat '${Package}\n' | sort
echo accounts; getent passwd; getent group
echo locked; cut -d: -f1,2 /etc/shadow
echo paths; stat --format '%n %U:%G %u:%g %a %F' PATHS
echo content; md5sum FILES
echo commands; for each in $(echo "$PATH" | tr : ' '); do ls "$each"; done | sort -u
echo libraries; ldconfig -p | cut -d' ' -f1 | sort -u
echo dpkg; dpkg --audit; dpkg --verify | grep -v '^missing  */usr/share/' || true
echo left; ls /var/lib/apt/lists /var/cache/apt/archives /var/log/apt /usr/share/man /tmp
"""


@pytest.fixture(scope="module")
def project(base_project, tmp_path_factory, trixie_slim):
    """A copy of docker/base as a person with Docker checks it out; its starting image is there."""
    target = tmp_path_factory.mktemp("docker") / "base"
    return shutil.copytree(base_project, target, ignore=shutil.ignore_patterns("*.lock"))


@pytest.fixture(scope="module")
def native(docker, base_image):
    """What the native build of the runtime variant promises."""
    return contract(docker, base_image.load(docker), base_image.definition)


def contract(engine, reference, definition):
    """The config of an image, and what can be seen inside it, by kind. The time of the build is no part of it."""
    (inspected,) = json.loads(engine.run("image", "inspect", reference).stdout)
    config = inspected["Config"]
    kept = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir")
    (runtime,) = definition.lineage("runtime")
    files = [file.path for file in runtime.files]
    paths = [*(directory.path for directory in runtime.directories), *files, "/tmp", "/root", "/etc/shadow", "/"]
    script = FACTS.replace("PATHS", " ".join(paths)).replace("FILES", " ".join(files))
    # One command for another image's packages too: whatever is in it, it reads the same facts.
    said = engine.run("run", "--rm", "--user", "root", "--entrypoint", "sh", reference, "-ec", script).stdout
    return {name: config.get(name) or None for name in kept} | sections(said)


def sections(said):
    names = ["packages", "accounts", "locked", "paths", "content", "commands", "libraries", "dpkg", "left"]
    found = {}
    for line in said.splitlines():
        if names and line == names[0]:
            found[names.pop(0)] = current = []
        else:
            current.append(line)
    return found


@pytest.mark.root
def test_docker_compose_builds_both_variants_with_the_contract_of_the_native_build(docker, project, native, base_image):
    require_tool("docker-compose")
    docker.compose(project, "build")
    assert contract(docker, "formation/base:latest", base_image.definition) == native
    script = "gcc --version && clang --version && protoc --version && pkg-config --libs libssl libbpf && dpkg --audit"
    said = docker.run("run", "--rm", "formation/base:latest-dev", "sh", "-ec", script).stdout
    assert "-lssl" in said
    (inspected,) = json.loads(docker.run("image", "inspect", "formation/base:latest-dev").stdout)
    assert "compilers" in inspected["Config"]["Labels"]["org.opencontainers.image.description"]


@pytest.mark.root
@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "BuildKit"])
def test_docker_builds_the_runtime_variant_with_the_contract_of_the_native_build(
    docker, project, native, base_image, buildkit
):
    require_builder(docker, buildkit)
    words = ("build", *HOST_NETWORK, "-t", "formation/base:latest", project)
    docker.run(*words, environment={"DOCKER_BUILDKIT": buildkit})
    found = contract(docker, "formation/base:latest", base_image.definition)
    assert found == native
    assert found["left"] and "gcc" not in found["commands"]


def test_the_dockerfile_and_the_compose_file_are_what_the_definition_says(formation, base_project):
    ended = formation("render", base_project, "--check")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr


@pytest.fixture
def service(tmp_path):
    """A service's directory as a person has it: a Dockerfile, a binary and a script."""
    (tmp_path / "target" / "release").mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "Dockerfile").write_text(SERVICE)
    for path, content in (("target/release/form-dns", greeting()), ("scripts/run-form-dns.sh", SCRIPT.encode())):
        (tmp_path / path).write_bytes(content)
        (tmp_path / path).chmod(0o755)
    return tmp_path


def greeting():
    """A static ELF program for x86-64 Linux that writes `served` and ends: write(1, text, 7), exit(0)."""
    text = b"served\n"
    code = bytes.fromhex("b801000000bf01000000488d3510000000ba070000000f05b83c00000031ff0f05") + text
    start, size = 0x400078, 0x78 + len(code)
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000) + code


@pytest.mark.root
@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "BuildKit"])
def test_docker_builds_and_runs_a_service_on_the_native_base(docker, base_image, service, buildkit):
    require_builder(docker, buildkit)
    check_service(docker, base_image.load(docker), service, {"DOCKER_BUILDKIT": buildkit})


def test_podman_builds_and_runs_a_service_on_the_native_base(podman, base_image, service):
    check_service(podman, base_image.load(podman), service, {})


def check_service(engine, base, service, environment):
    """Builds and runs the service; its layers must lie above all those of the base."""
    engine.run("build", *HOST_NETWORK, "-t", "formation/form-dns:1.0.0", service, environment=environment)
    said = engine.run("run", "--rm", "--network", "none", "formation/form-dns:1.0.0").stdout
    assert said == "formation in /app\nserved\n"
    (built,) = json.loads(engine.run("image", "inspect", "formation/form-dns:1.0.0").stdout)
    assert set(built["Config"]["ExposedPorts"]) == {"53/udp", "53/tcp"}
    (below,) = json.loads(engine.run("image", "inspect", base).stdout)
    count = len(below["RootFS"]["Layers"])
    assert built["RootFS"]["Layers"][:count] == below["RootFS"]["Layers"]
    assert len(built["RootFS"]["Layers"]) > count
    engine.run("rmi", "--force", "formation/form-dns:1.0.0")


def require_builder(docker, buildkit):
    """Skips the test where Docker does not have the builder; BuildKit is a part of it until 22, then a plug-in."""
    if buildkit == "1" and not docker.has_buildkit:
        missing("this docker has no BuildKit (docker-buildx)")
