"""The README's tour runs as it is written, in a checkout after `make base`."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from built_images import Built, Command
from conftest import require_tool
from engines import Docker, Podman, find_tool
from formation.store.images import list_images, remove_image
from formation.store.store import Store
from tour import run_steps, steps

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()

pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("docker")]

DOCKER = """\
#!/bin/sh
# The daemon of the tests has no network but the host's.
case $1 in
run | build) command=$1; shift; set -- "$command" --network host "$@" ;;
esac
exec {client} "$@"
"""
COMPOSE = """\
#!{python}
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from engines import compose_file
file = compose_file({program!r}, Path.cwd(), Path({directory!r}) / "compose.yaml", "host", {{}})
os.execv({program!r}, [{program!r}, "--project-directory", ".", "--file", str(file), *sys.argv[1:]])
"""


@pytest.fixture
def checkout(base_project: Path, base_image: Built, dev_image: Built, tmp_path: Path) -> Path:
    """A directory with what the tour uses of a checkout; the store has what `make base` made, and the dev variant."""
    directory = tmp_path / "formation"
    shutil.copytree(base_project, directory / "docker/base")
    (directory / ".venv").mkdir()
    (directory / ".venv/bin").symlink_to(Path(sys.executable).parent)
    return directory


@pytest.fixture
def environment(docker: Docker, shared_store: Path, tmp_path: Path) -> dict[str, str]:
    """That of a person who has a Docker daemon, and an empty home."""
    tools = tmp_path / "bin"
    home = tmp_path / "home"
    tools.mkdir()
    (home / ".config/containers").mkdir(parents=True)
    (home / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    compose = {"tests": str(REPOSITORY / "tests"), "directory": str(tmp_path), "program": find_tool("docker-compose")}
    scripts = {
        "docker": DOCKER.format(client=docker.client),
        "docker-compose": COMPOSE.format(python=sys.executable, **compose),
    }
    for name, text in scripts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return {
        **docker.environment,
        "DOCKER_CONFIG": str(home / ".docker"),
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PATH": f"{tools}{os.pathsep}{docker.environment['PATH']}",
        "FORMATION_STORE": str(shared_store),
    }


def free_port() -> str:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


@pytest.fixture
def run_tour(checkout: Path, environment: dict[str, str]) -> Callable[..., None]:
    """Runs sections of the README with more environment. What is replaced in them is here, and nothing else is."""

    def run(*headings: str, **more: str) -> None:
        replaced = {"8080": free_port(), "localhost:5000": f"localhost:{free_port()}"}
        run_steps(steps(README, "A tour", *headings), checkout, {**environment, **more}, replaced)

    return run


def test_the_base_and_a_service_are_built_run_changed_and_checked(run_tour: Callable[..., None], docker: Docker):
    require_tool("curl")
    try:
        run_tour("The base", "A service", "Check it")
    finally:
        # Of a tour that failed on its way.
        left = docker.run("ps", "--all", "--quiet", "--filter", "ancestor=formation/form-hello:0.1.0").stdout.split()
        if left:
            docker.run("rm", "--force", "--volumes", *left)


def test_a_release_a_patch_and_a_feature_are_published_and_pulled(
    run_tour: Callable[..., None], podman: Podman, shared_store: Path
):
    # A store that is kept from run to run has the releases of the last one.
    store = Store(shared_store)
    for image in list_images(store):
        if image.reference.repository == "acme/base":
            remove_image(store, image.reference)
    for tool in ("openssl", "curl", "docker-registry", "skopeo"):
        require_tool(tool)
    run_tour("Publish it", **podman.environment)


def test_the_definition_can_be_locked_in_all_its_variants(formation: Command, tmp_path: Path):
    shown = README.split("## The definition\n```yaml\n")[1].split("```")[0]
    # The archive has the next version one day.
    (tmp_path / "formation.yaml").write_text(re.sub(r"openssl=\S+", "openssl", shown))
    formation.succeed("lock", tmp_path)
    for package in ("apt", "openssl", "build-essential"):
        formation.succeed("why", package, tmp_path)
