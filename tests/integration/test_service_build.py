"""The example services, built without a daemon and run as production runs them."""

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from builds import USER_ID, Formation, define, new_store
from built_images import Built, Command
from engines import Docker, Podman
from formation.lock.lockfile import read_lock
from formation.oci.annotations import LAYER_KIND
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store

pytest_plugins = ["small_images"]
pytestmark = pytest.mark.network

NAMES = ("form-api", "form-dns")
SMALL_SERVICE = """\
kind: service
name: test/service
version: 1.0.0
base: oci:../base:1.0.0
packages: [jq, iputils-ping]
users: [{name: app, system: true}]
files:
  - {path: /usr/local/bin/hello, source: hello.sh}
  - {path: /opt/app, source: share/, owner: app, group: app}
  - {path: /etc/app.conf, content: "app = ${name}\\n", variables: {name: small}}
directories:
  - {path: /var/lib/app, mode: "0750"}
user: app
entrypoint: [/usr/local/bin/hello]
"""
HARD = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
PORT_53 = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=0")
PATIENCE = 60


@pytest.fixture(scope="session")
def built_services(services: Path, once: Callable[..., Any], formation: Command) -> dict[str, Built]:
    """Both services in the shared store, by name."""

    def make() -> Any:
        words = ("--locked", "--json")
        return {name: json.loads(formation.succeed("build", services / name, *words)) for name in NAMES}

    told = once("built-services", make)
    return {name: Built(services / name, "runtime", told[name], formation) for name in NAMES}


@pytest.fixture(scope="session")
def loaded(engine: Docker | Podman, built_services: dict[str, Built]) -> dict[str, str]:
    """The references of both services in the engine, which has them."""
    return {name: built.load(engine) for name, built in built_services.items()}


def rebuilt(project: Path, formation: Command, *words: str) -> Image:
    """The image that a build of `project` gives now."""
    told = json.loads(formation.succeed("build", project, "--locked", "--offline", "--json", *words))
    store = Store(formation.store)
    return image_of(StoreBlobs(store), store.blob(told["digest"]).read_bytes())


def digests(image: Image) -> list[str]:
    return [layer.digest for layer in image.manifest.layers]


def copied(project: Path, target: Path) -> Path:
    """The service's directory, with other times."""
    shutil.copytree(project, target, copy_function=shutil.copy)
    return target


def test_a_service_has_the_base_s_layers_and_its_own_above_them(built_services: dict[str, Built], base_image: Built):
    base = base_image.image
    kinds = {"form-api": ["application"], "form-dns": ["packages", "effects", "application"]}
    for name, built in built_services.items():
        image = built.image
        assert digests(image)[: len(base.layers)] == digests(base)
        assert image.config.diff_ids[: len(base.layers)] == base.config.diff_ids
        own = image.manifest.layers[len(base.layers) :]
        assert [layer.annotations[LAYER_KIND] for layer in own] == kinds[name]
        assert len([entry for entry in image.config.history if not entry.empty_layer]) == len(image.layers)


def test_a_service_says_what_it_is_and_what_it_stands_on(built_services: dict[str, Built], base_image: Built):
    image = built_services["form-dns"].image
    says = image.config.execution
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in says.labels.items()}
    assert (labels["base.name"], labels["base.digest"]) == (base_image.reference, base_image.digest)
    assert (labels["title"], labels["version"]) == ("formation/form-dns", "1.0.0")
    assert says.labels.items() <= image.manifest.annotations.items()
    assert (says.user, says.exposed_ports) == ("formation", ("53/tcp", "53/udp"))
    assert (says.working_directory, says.volumes) == ("/app", ("/var/log/formation",))
    assert set(base_image.image.config.execution.environment) <= set(says.environment)
    assert says.health_check is not None and says.health_check.test[:2] == ("CMD", "dig")


def test_a_new_program_changes_the_last_layer_alone(built_services: dict[str, Built], formation: Command, tmp_path):
    before = built_services["form-dns"].image
    project = copied(built_services["form-dns"].project, tmp_path / "form-dns")
    program = project / "target/release/form-dns"
    with program.open("ab") as opened:
        # Random, so that it compresses to what it is.
        opened.write(os.urandom(1 << 20))
    after = rebuilt(project, formation, "--output", f"oci:{tmp_path}/layout")
    assert digests(after)[:-1] == digests(before)[:-1]
    assert digests(after)[-1] != digests(before)[-1]
    assert after.manifest.layers[-1].size < program.stat().st_size + (32 << 10)


def test_the_same_files_give_the_same_image_whoever_builds_wherever(
    built_services: dict[str, Built], formation: Command, tmp_path
):
    for name, built in built_services.items():
        project = copied(built.project, tmp_path / "elsewhere" / name)
        assert rebuilt(project, formation).digest == built.digest


def test_nothing_changed_is_nothing_to_do(built_services: dict[str, Built], formation: Command):
    for built in built_services.values():
        told = json.loads(formation.succeed("build", built.project, "--locked", "--offline", "--json"))
        assert (told["reused"], told["digest"]) == (True, built.digest)


def test_dpkg_and_apt_find_the_image_whole(engine: Docker | Podman, loaded: dict[str, str]):
    def shell(script: str) -> str:
        options = ("--rm", "--network", "host", "--user", "root", "--entrypoint", "sh")
        return engine.run("run", *options, loaded["form-dns"], "-ec", script).stdout

    assert shell("dpkg --audit; dpkg --verify") == ""
    states = set(shell("dpkg-query --show --showformat '${db:Status-Abbrev}\n'").split())
    assert states == {"ii"}
    assert "0 to remove" in shell("apt-get check; apt-get --simulate autoremove")
    assert "jq-1." in shell("apt-get update -q && apt-get install -qy jq && jq --version && dpkg --audit")


@pytest.fixture(scope="session")
def small_service(small: Path, open_directory: Path, shared_store: Path) -> Path:
    """A service with packages on a small base, which is a layout beside it; locked."""
    image = Formation().build(shared_store, small, "--output", f"oci:{open_directory}/base:1.0.0").data["digest"]
    project = open_directory / "service"
    (project / "share/docs").mkdir(parents=True)
    (project / "hello.sh").write_text("#!/bin/sh\njq --version\n")
    (project / "hello.sh").chmod(0o755)
    (project / "share/docs/read.me").write_text("read")
    (project / "share/link").symlink_to("docs/read.me")
    assert define(project, SMALL_SERVICE, Formation(), shared_store) == project
    (base,) = read_lock(project / "formation.lock").base
    assert base.digest == image
    return project


@pytest.fixture(scope="session")
def small_digest(small_service: Path, shared_store: Path) -> str:
    """What root builds of it, with namespaces and overlayfs."""
    return str(Formation().build(shared_store, small_service).data["digest"])


@pytest.mark.root
@pytest.mark.xdist_group("users")
def test_an_ordinary_user_builds_a_service_as_root_does(
    small_service: Path, small_digest: str, as_user: Formation, open_directory: Path, shared_store: Path
):
    store = new_store(open_directory / "service-store", small_service, shared_store)
    for path in (store, *store.rglob("*")):
        os.chown(path, USER_ID, USER_ID)
    assert as_user.build(store, small_service, "--offline").data["digest"] == small_digest


@pytest.mark.root
@pytest.mark.xdist_group("users")
def test_a_service_is_the_same_without_overlayfs(
    small_service: Path, small_digest: str, open_directory: Path, shared_store: Path
):
    store = new_store(open_directory / "service-copies", small_service, shared_store)
    copying = Formation().with_environment(FORMATION_OVERLAY="0")
    assert copying.build(store, small_service, "--offline").data["digest"] == small_digest


@pytest.mark.root
@pytest.mark.xdist_group("users")
def test_a_pruned_store_builds_the_same_again(small_service: Path, small_digest: str, open_directory, shared_store):
    store = new_store(open_directory / "service-pruned", small_service, shared_store)
    start = Formation()
    start.build(store, small_service, "--offline")
    (tree,) = (store / "trees").glob("base-*")
    assert start.run("--store", str(store), "cache", "prune", "--all").status == 0
    assert not tree.exists()
    assert start.build(store, small_service).data["digest"] == small_digest


def test_files_have_owners_modes_and_links_as_the_definition_says(small_digest: str, shared_store: Path):
    store = Store(shared_store)
    image = image_of(StoreBlobs(store), store.blob(small_digest).read_bytes())
    with image.layers[-1].uncompressed() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        found = {member.name: member for member in archive}
    assert {"etc/passwd", "etc/group", "usr/local/bin/hello", "var/lib/app"} <= found.keys()
    link, directory, read_me = found["opt/app/link"], found["var/lib/app"], found["opt/app/docs/read.me"]
    assert (link.linkname, read_me.mode, read_me.uid, read_me.gid) == ("docs/read.me", 0o644, 999, 999)
    assert (directory.mode, directory.uid) == (0o750, 999)
    assert (found["usr/local/bin/hello"].mode, found["usr/local/bin"].mode) == (0o755, 0o755)
    assert len({member.mtime for member in found.values()}) == 1


@pytest.fixture
def running(engine: Docker | Podman, loaded: dict[str, str]) -> Iterator[Callable[..., str]]:
    """Starts a service as production does, and gives its container; all are gone afterwards."""
    started: list[str] = []

    def run(name: str, *options: str) -> str:
        container = engine.run("run", "--detach", *HARD, *options, loaded[name]).stdout.strip()
        started.append(container)
        return container

    yield run
    for container in started:
        engine.run("rm", "--force", "--volumes", container, check=False)


def healthy(engine: Docker | Podman, container: str) -> bool:
    """Whether the image's own health check comes to be green."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if isinstance(engine, Docker):
            state = engine.run("inspect", "--format", "{{.State.Health.Status}}", container).stdout.strip()
            green = state == "healthy"
        else:
            # Podman has no daemon that would run it by itself.
            green = engine.run("healthcheck", "run", container, check=False).returncode == 0
        if green:
            return True
        time.sleep(0.2)
    return False


@pytest.mark.parametrize("name", NAMES)
def test_a_service_runs_hardened_answers_its_health_check_and_stops_at_once(
    name: str, engine: Docker | Podman, running: Callable[..., str]
):
    container = running(name, *PORT_53)
    assert healthy(engine, container)
    inside = engine.run("exec", container, "sh", "-c", "id -un; ls /var/log/formation; touch /usr/x || echo read-only")
    user, log, refused = inside.stdout.split()
    assert (user, refused) == ("formation", "read-only")
    assert log == f"{name.removeprefix('form-')}.log"
    # After a second it would be killed, and end with 137.
    engine.run("stop", "--time", "1", container)
    assert engine.run("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip() == "0"


@pytest.mark.root
def test_compose_runs_both_as_render_compose_says(docker: Docker, built_services: dict[str, Built], tmp_path: Path):
    projects = [built.project for built in built_services.values()]
    for built in built_services.values():
        built.load(docker)
    built.command.succeed("render", "compose", *projects, "--output", tmp_path / "docker-compose.yml")

    def compose(*words: str) -> str:
        return docker.compose(tmp_path, *words, network="none").stdout.strip()

    try:
        compose("up", "--detach", "--no-build")
        containers = {name: compose("ps", "--quiet", name) for name in NAMES}
        assert all(healthy(docker, container) for container in containers.values())
        item = "http://127.0.0.1:8080/items/a"
        docker.run("exec", containers["form-api"], "curl", "-sSf", "-X", "PUT", "--data", "kept", item)
        compose("up", "--detach", "--no-build", "--force-recreate", "form-api")
        again = compose("ps", "--quiet", "form-api")
        assert again != containers["form-api"] and healthy(docker, again)
        assert docker.run("exec", again, "curl", "-sSf", item).stdout == "kept"
    finally:
        compose("down", "--volumes")


def test_programs_that_the_dev_image_compiles_run_on_the_base(
    podman: Podman, dev: str, services: Path, formation: Command, tmp_path: Path
):
    project = tmp_path / "form-api"
    shutil.copytree(services / "form-api", project, ignore=shutil.ignore_patterns("target"))
    nothing = formation("build", project, "--locked", "--offline")
    assert nothing.returncode == 2
    assert "there is no 'target/release/form-api' beside the definition" in nothing.stderr
    assert "hint: its `build:` makes it with: make" in nothing.stderr
    mounted = f"{project}:/build"
    podman.run("run", "--rm", "--network", "none", "--user", "root", "-v", mounted, "-w", "/build", dev, "make")
    formation.succeed("build", project, "--locked", "--offline", "--load", "podman", environment=podman.environment)
    container = podman.run("run", "--detach", *HARD, "formation/form-api:1.0.0").stdout.strip()
    assert healthy(podman, container)
    podman.run("rm", "--force", "--volumes", container)


def test_a_base_that_moved_is_refused_before_anything_is_built(small_service: Path, small: Path, open_directory: Path):
    project = open_directory / "moved" / "service"
    shutil.copytree(small_service, project)
    store = open_directory / "moved" / "store"
    start = Formation()
    shutil.copytree(open_directory / "base", open_directory / "moved" / "base")
    changed = open_directory / "moved" / "small"
    shutil.copytree(small, changed)
    with (changed / "formation.yaml").open("a") as opened:
        opened.write("labels: {moved: away}\n")
    assert start.build(store, changed, "--output", f"oci:{open_directory}/moved/base:1.0.0").status == 0
    ran = start.build(store, project, "--offline")
    assert ran.status == 2
    assert "is stale: the base oci:../base:1.0.0 moved since: it was sha256:" in ran.errors
    assert f"hint: formation --store {store} lock {project}" in ran.errors
