import os
import tarfile
from pathlib import Path

import pytest

from formation.engines.engine import Engine
from formation.engines.load import load
from formation.engines.save import save
from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.oci.archive import write_archive
from formation.oci.archive_reader import read_docker_archive
from formation.oci.config import Execution, HealthCheck
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.store.open_image import open_image
from formation.store.store import Store
from tiny_images import noise, tiny_image

BASE = parse_reference("formation/base:1.0.0")


@pytest.fixture
def engine(tmp_path):
    """Makes an Engine whose client is a shell script."""

    def make(script: str, name="docker") -> Engine:
        client = tmp_path / "bin" / name
        client.parent.mkdir(exist_ok=True)
        client.write_text(f"#!/bin/sh\n{script}\n")
        client.chmod(0o755)
        return Engine(name, {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HERE": str(tmp_path)})

    return make


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_image_is_piped_into_the_engine(engine, tmp_path, name):
    load(tiny_image(), BASE, engine('echo "$@" > $HERE/arguments; cat > $HERE/loaded.tar', name))
    assert (tmp_path / "arguments").read_text() == "load --quiet\n"
    assert read_docker_archive(tmp_path / "loaded.tar", BASE).digest == tiny_image().digest


def test_podman_gets_an_image_with_a_health_check_in_the_format_in_which_it_takes_those(engine, tmp_path):
    image = tiny_image(execution=Execution(health_check=HealthCheck(("CMD", "true"))))
    names = {}
    for name in ("docker", "podman"):
        load(image, BASE, engine(f"cat > $HERE/{name}.tar", name))
        with tarfile.open(tmp_path / f"{name}.tar") as archive:
            names[name] = set(archive.getnames())
    assert names["docker"] - names["podman"] == {"oci-layout", "index.json", f"blobs/sha256/{image.digest[7:]}"}
    loaded = read_docker_archive(tmp_path / "podman.tar", parse_reference("docker.io/formation/base:1.0.0"))
    assert loaded.config == image.config


def test_a_missing_engine_gets_the_hint_to_install_it(tmp_path):
    with pytest.raises(FormationError, match="docker is not installed") as caught:
        load(tiny_image(), BASE, Engine("docker", {"PATH": str(tmp_path)}))
    assert "apt-get install docker.io" in caught.value.hint


def test_an_engine_that_does_not_run_is_unreachable(engine):
    script = 'echo "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?" >&2; exit 1'
    with pytest.raises(UnreachableError, match=r"docker cannot load formation/base:1\.0\.0: Cannot connect") as caught:
        load(tiny_image([{"a": noise(1 << 20)}]), BASE, engine(script))
    assert caught.value.hint == "start it: systemctl start docker"


def test_a_user_without_access_gets_the_hint_about_the_group(engine):
    script = 'echo "permission denied while trying to connect: unix:///var/run/docker.sock" >&2; exit 1'
    with pytest.raises(FormationError) as caught:
        load(tiny_image(), BASE, engine(script))
    assert "group docker" in caught.value.hint


def test_an_engine_that_refuses_tells_its_last_line(engine):
    with pytest.raises(FormationError, match="no space left on device"):
        load(tiny_image(), BASE, engine("cat > /dev/null; echo progress; echo no space left on device >&2; exit 1"))


def test_a_wrong_blob_stops_the_engine(engine, tmp_path):
    image = tiny_image([{"a": noise(1 << 20)}])
    image.source.content[image.manifest.layers[0].digest] = b"wrong"
    with pytest.raises(IntegrityError):
        load(image, BASE, engine("cat > /dev/null; touch $HERE/finished"))


def test_an_image_is_saved_out_of_the_engine(engine, tmp_path):
    with (tmp_path / "image.tar").open("wb") as file:
        write_archive(file, tiny_image(), [BASE])
    docker = engine('[ "$*" = "save formation/base:1.0.0" ] && cat $HERE/image.tar')
    save(docker, BASE, tmp_path / "saved.tar")
    assert (tmp_path / "saved.tar").read_bytes() == (tmp_path / "image.tar").read_bytes()
    name, store = parse_name("docker-daemon:formation/base:1.0.0"), Store(tmp_path / "store")
    with open_image(name, store, directory=Path("/"), environment=docker.environment) as image:
        assert image.layers[0].open().read()
        assert image.digest == tiny_image().digest
    assert list(store.work.iterdir()) == []


def test_an_image_that_the_engine_does_not_have_is_an_error(engine, tmp_path):
    with pytest.raises(FormationError, match="No such image"):
        save(engine("echo Error: No such image: x >&2; exit 1"), BASE, tmp_path / "saved.tar")
