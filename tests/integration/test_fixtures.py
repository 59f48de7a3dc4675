"""The ground that the other integration tests stand on: engines that run an image, and a registry that keeps one."""

import hashlib
import io
import json
import os
import select
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

import pytest

from conftest import require_tool
from engines import CommandFailed, Docker, EngineUnavailable, Podman, Registry, Server, Skopeo

IMAGE = "formation-fixture:1"


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `docker load` archive of one layer, made by hand around Debian's static busybox."""
    busybox = Path(require_tool("busybox"))
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        binary = tarfile.TarInfo("bin/busybox")
        binary.mode, binary.size = 0o755, busybox.stat().st_size
        with busybox.open("rb") as file:
            tar.addfile(binary, file)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/busybox", "echo", "it runs"]},
        # Without it Podman builds nothing above the image: "history lists 2 non-empty layers, but we have 3".
        "history": [{"created_by": "test_fixtures.py"}],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    path = tmp_path_factory.mktemp("image") / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (
            ("layer.tar", layer.getvalue()),
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context whose image greets from a file."""
    (tmp_path / "Dockerfile").write_text(
        f'FROM {IMAGE}\nRUN ["/bin/busybox", "true"]\nCOPY greeting /\nCMD ["/bin/busybox", "cat", "/greeting"]\n'
    )
    (tmp_path / "greeting").write_text("built and run\n")
    (tmp_path / "docker-compose.yml").write_text(
        'version: "3.4"\nservices:\n  greet:\n    image: formation-composed:1\n    build: .\n'
    )
    return tmp_path


@pytest.mark.root
def test_docker_loads_and_runs_an_image(docker: Docker, archive: Path) -> None:
    docker.run("load", "--input", archive)
    assert docker.run("run", "--rm", IMAGE).stdout == "it runs\n"


@pytest.mark.root
@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_docker_builds_with_both_builders(docker: Docker, archive: Path, context: Path, buildkit: str) -> None:
    if buildkit == "1" and not docker.has_buildkit:
        pytest.skip("this docker has no BuildKit (docker-buildx)")
    docker.run("load", "--input", archive)
    built = docker.run(
        "build", "--quiet", "--network", "host", context, environment={"DOCKER_BUILDKIT": buildkit}
    ).stdout.strip()
    assert docker.run("run", "--rm", built).stdout == "built and run\n"


@pytest.mark.root
def test_docker_compose_builds_and_runs_a_service(docker: Docker, archive: Path, context: Path) -> None:
    require_tool("docker-compose")
    docker.run("load", "--input", archive)
    docker.compose(context, "build")
    assert docker.run("run", "--rm", "formation-composed:1").stdout == "built and run\n"


@pytest.mark.root
def test_docker_is_not_the_one_of_the_machine(docker: Docker) -> None:
    answer = json.loads(docker.run("info", "--format", "{{json .}}").stdout)
    assert answer["DockerRootDir"].startswith(f"{docker.directory}/")


def test_podman_loads_and_runs_an_image(podman: Podman, archive: Path) -> None:
    podman.run("load", "--input", archive)
    assert podman.run("run", "--rm", IMAGE).stdout == "it runs\n"


def test_podman_builds_an_image(podman: Podman, archive: Path, context: Path) -> None:
    podman.run("load", "--input", archive)
    built = podman.run("build", "--quiet", context).stdout.strip()
    assert podman.run("run", "--rm", built).stdout == "built and run\n"


def test_podman_keeps_its_images_in_the_directory_of_the_run(podman: Podman, archive: Path) -> None:
    podman.run("load", "--input", archive)
    information = json.loads(podman.run("info", "--format", "json").stdout)
    assert Path(information["store"]["graphRoot"]).is_relative_to(podman.directory)
    assert (podman.directory / "root" / "overlay-images" / "images.json").exists()


def test_skopeo_copies_to_the_registry_and_podman_pulls_from_it(
    skopeo: Skopeo, registry: Registry, podman: Podman, archive: Path
) -> None:
    reference = f"{registry.address}/fixture:1"
    skopeo.run("copy", "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{reference}")
    with urllib.request.urlopen(f"http://{registry.address}/v2/fixture/tags/list") as answer:
        assert json.load(answer) == {"name": "fixture", "tags": ["1"]}
    podman.run("pull", "--tls-verify=false", reference)
    assert podman.run("run", "--rm", reference).stdout == "it runs\n"


def test_skopeo_writes_an_image_layout(skopeo: Skopeo, archive: Path, tmp_path: Path) -> None:
    skopeo.run("copy", f"docker-archive:{archive}", f"oci:{tmp_path}/layout:1")
    assert json.loads((tmp_path / "layout" / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_the_registry_forgets_nothing_and_allows_deletes(skopeo: Skopeo, registry: Registry, archive: Path) -> None:
    reference = f"docker://{registry.address}/deleted:1"
    skopeo.run("copy", "--dest-tls-verify=false", f"docker-archive:{archive}", reference)
    skopeo.run("delete", "--tls-verify=false", reference)
    with pytest.raises(CommandFailed, match="manifest unknown"):
        skopeo.run("inspect", "--tls-verify=false", reference)


def test_a_server_that_ends_before_it_answers_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no room today"):
        Server(
            [sys.executable, "-c", "print('no room today')"],
            log=tmp_path / "log",
            environment={},
            answers=lambda: False,
        )


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from engines import Server; from pathlib import Path\n"
        "log = Path('log')\n"
        "server = Server(['sh', '-c', 'echo started; exec sleep 600'], log=log, environment={},\n"
        "                answers=lambda: 'started' in log.read_text())\n"
        "print(server.process.pid, flush=True); sys.stdin.read(); os._exit(0)"
    )
    command = [sys.executable, "-c", starter, str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        server = os.pidfd_open(int(process.stdout.readline()))
        process.communicate()
    ended, _, _ = select.select([server], [], [], 60)
    os.close(server)
    assert ended


def test_the_store_of_the_person_who_runs_the_tests_is_left_alone(shared_store: Path) -> None:
    assert Path(os.environ["FORMATION_STORE"]) == shared_store
    assert shared_store != Path.home() / ".cache" / "formation"
