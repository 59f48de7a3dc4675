"""The base image itself, built once per run from the real archive, and the engines that run it.

All xdist workers share what is built: the first one that needs it makes it while the others wait.
"""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from built_images import Built, Command
from conftest import require_tool
from engines import Docker, Podman

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def once(run_directory: Path) -> Callable[[str, Callable[[], Any]], Any]:
    """Gives what a function gave, which is JSON, and calls it only once in a run, whatever worker asks first."""

    def once(name: str, make: Callable[[], Any]) -> Any:
        path = run_directory / f"{name}.json"
        with (run_directory / f"{name}.making").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                made = json.dumps(make())
                path.write_text(made)
            return json.loads(path.read_text())

    return once


@pytest.fixture(scope="session")
def formation(shared_store: Path) -> Command:
    """`formation` in the shared store."""
    return Command(shared_store)


@pytest.fixture(scope="session")
def base_project(run_directory: Path, once: Callable[..., Any], formation: Command) -> Path:
    """A copy of docker/base, locked afresh: the archive may have dropped what the repository's lock names."""
    return locked_copy(REPOSITORY / "docker" / "base", run_directory / "base", once, formation)


@pytest.fixture(scope="session")
def base_image(base_project: Path, once: Callable[..., Any], formation: Command) -> Built:
    """The runtime variant of docker/base."""
    return built(base_project, "runtime", once, formation)


@pytest.fixture(scope="session")
def dev_image(base_project: Path, base_image: Built, once: Callable[..., Any], formation: Command) -> Built:
    """The dev variant of docker/base."""
    return built(base_project, "dev", once, formation)


@pytest.fixture(scope="session")
def minimal_image(base_project: Path, base_image: Built, once: Callable[..., Any], formation: Command) -> Built:
    """The minimal variant of docker/base."""
    return built(base_project, "minimal", once, formation)


@pytest.fixture(scope="session")
def services(run_directory: Path, once: Callable[..., Any], formation: Command, base_image: Built) -> Path:
    """Copies of the examples, locked on the built base and compiled here, whose libc is not newer."""
    assert base_image.reference == "formation/base:1.0.0"
    compiler = require_tool("cc")

    def make() -> str:
        directory = run_directory / "services"
        for name in ("form-dns", "form-api"):
            shutil.copytree(
                REPOSITORY / "services" / name, directory / name, ignore=shutil.ignore_patterns("target", "*.lock")
            )
            subprocess.run(["make", f"CC={compiler}"], cwd=directory / name, check=True, capture_output=True)
            formation.succeed("lock", directory / name)
        return str(directory)

    return Path(once("services", make))


@pytest.fixture(scope="session")
def slim_project(run_directory: Path, once: Callable[..., Any], formation: Command) -> Path:
    """A copy of images/debian-slim, locked afresh."""
    return locked_copy(REPOSITORY / "images" / "debian-slim", run_directory / "debian-slim", once, formation)


@pytest.fixture(scope="session")
def trixie_slim(slim_project: Path, once: Callable[..., Any], formation: Command, docker: Docker) -> str:
    """`debian:trixie-slim` in Docker: our own, since no registry can be reached."""
    built(slim_project, "runtime", once, formation).load(docker)
    return "debian:trixie-slim"


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("docker", marks=[pytest.mark.root, pytest.mark.xdist_group("docker")]),
        pytest.param("podman", marks=pytest.mark.xdist_group("podman")),
    ],
)
def engine(request: pytest.FixtureRequest) -> Docker | Podman:
    """Docker, then Podman."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def base(engine: Docker | Podman, base_image: Built) -> str:
    """The reference of the runtime image in the engine, which has it."""
    return base_image.load(engine)


@pytest.fixture(scope="session")
def dev(podman: Podman, dev_image: Built) -> str:
    """The reference of the dev image in Podman. Docker builds the same variant in test_docker_build.py."""
    return dev_image.load(podman)


def locked_copy(source: Path, target: Path, once: Callable[..., Any], formation: Command) -> Path:
    """A copy of a definition's directory, without its lock, locked afresh."""

    def make() -> str:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock", "vendor"))
        formation.succeed("lock", target)
        return str(target)

    return Path(once(target.name, make))


def built(project: Path, variant: str, once: Callable[..., Any], formation: Command) -> Built:
    """The image of a variant, in the shared store."""
    words = ("build", project, "--variant", variant, "--locked", "--json")
    told = once(f"{project.name}-{variant}", lambda: json.loads(formation.succeed(*words)))
    return Built(project, variant, told, formation)
