"""The base image itself, built once per run from the real archive, and the engines that run it.

All xdist workers share what is built: the first one that needs it makes it while the others wait.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engines import Docker, Podman
from formation.definition.load import load_definition
from formation.definition.values import Definition
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Command:
    """Runs `formation` as a process of its own, in a store."""

    store: Path

    def __call__(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What came of `formation WORDS`, whatever its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "formation", *map(str, words), "--store", str(self.store)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=directory,
            env={**os.environ, **(environment or {})},
        )

    def succeed(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> str:
        """The stdout of `formation WORDS`, which must end with exit code 0."""
        ended = self(*words, environment=environment, directory=directory)
        assert ended.returncode == 0, f"formation {' '.join(map(str, words))}\n{ended.stdout}{ended.stderr}"
        return ended.stdout


@dataclass(frozen=True)
class Built:
    """An image that `formation build` left in the shared store."""

    project: Path
    """The directory of its formation.yaml and formation.lock."""
    variant: str
    told: Mapping[str, Any]
    """What `--json` printed."""
    command: Command
    """For further commands in the same store."""

    @property
    def reference(self) -> str:
        return str(self.told["reference"])

    @property
    def digest(self) -> str:
        return str(self.told["digest"])

    @property
    def definition(self) -> Definition:
        return load_definition(self.project)

    @property
    def image(self) -> Image:
        store = Store(self.command.store)
        # By digest: another test may have moved the tag.
        return image_of(StoreBlobs(store), store.blob(self.digest).read_bytes())

    def load(self, engine: Docker | Podman) -> str:
        """Gives the image to `engine`, as `--load` does; its reference there."""
        name = "docker" if isinstance(engine, Docker) else "podman"
        words = ("build", self.project, "--variant", self.variant, "--locked", "--offline", "--load", name)
        self.command.succeed(*words, environment=engine.environment)
        return self.reference


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
