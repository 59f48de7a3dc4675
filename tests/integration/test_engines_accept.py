"""Docker, Podman and skopeo take Formation's archives and layouts, and what they write is read back."""

import io
import json
import os

import pytest

from formation.engines.engine import Engine
from formation.engines.load import load
from formation.oci.annotations import LAYER_KIND
from formation.oci.archive import save_archive, write_archive
from formation.oci.archive_reader import read_docker_archive, read_oci_archive
from formation.oci.config import Execution
from formation.oci.layout import open_layout, write_layout
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.store.open_image import open_image
from formation.store.store import Store
from tiny_images import tiny_image

REFERENCE = parse_reference("formation/accepted:1.0.0")
OTHER = parse_reference("formation/accepted:1.0")


def image_with(compression="gzip"):
    """An image of three layers, one of them twice, annotated as built ones are."""
    files = [{"etc/one": b"1"}, {"etc/two": b"2"}, {"etc/one": b"1"}]
    return tiny_image(
        files,
        compression=compression,
        execution=Execution(environment=("A=b",), command=("/x",), volumes=("/v",), labels={"l": "1"}),
        annotations={"dev.formation.lock.digest": "sha256:" + "0" * 64},
        layer_annotations=[{LAYER_KIND: "packages"}, {LAYER_KIND: "effects"}],
    )


def archive_bytes(image, *references):
    buffer = io.BytesIO()
    write_archive(buffer, image, references)
    return buffer.getvalue()


@pytest.mark.root
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_docker_loads_an_archive(docker, compression):
    image = image_with(compression)
    docker.run("load", input=archive_bytes(image, REFERENCE, OTHER))
    for reference in (REFERENCE, OTHER):
        (found,) = json.loads(docker.run("image", "inspect", str(reference)).stdout)
        assert found["RootFS"]["Layers"] == list(image.config.diff_ids)
        assert found["Config"]["Env"] == ["A=b"]
        assert found["Config"]["Labels"] == {"l": "1"}
        assert found["Config"]["Volumes"] == {"/v": {}}
    docker.run("rmi", "--force", str(REFERENCE), str(OTHER))


@pytest.mark.root
def test_docker_gives_back_what_it_was_given(docker, tmp_path):
    image = image_with()
    engine = Engine("docker", environment_of(docker))
    load(image, REFERENCE, engine)
    name = parse_name(f"docker-daemon:{REFERENCE}")
    with open_image(name, Store(tmp_path), directory=tmp_path, environment=engine.environment) as found:
        assert found.config.diff_ids == image.config.diff_ids
        assert validate(found) == ()
    docker.run("rmi", "--force", str(REFERENCE))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_podman_loads_an_archive_under_its_name(podman, tmp_path, compression):
    image = image_with(compression)
    save_archive(tmp_path / "a.tar", image, [REFERENCE])
    podman.run("load", "--input", tmp_path / "a.tar")
    (found,) = json.loads(podman.run("image", "inspect", str(REFERENCE)).stdout)
    assert found["RootFS"]["Layers"] == list(image.config.diff_ids)
    # Podman finds a short name both below docker.io, where a layout's annotation puts it, and below localhost.
    assert found["RepoTags"][0] in ("docker.io/formation/accepted:1.0.0", "localhost/formation/accepted:1.0.0")
    (tmp_path / "Dockerfile").write_text(f"FROM {REFERENCE}\nCOPY Dockerfile /\n")
    podman.run("build", "--tag", "formation/above:1", tmp_path)
    podman.run("rm", podman.run("create", str(REFERENCE)).stdout.strip())
    podman.run("rmi", "--force", "formation/above:1", str(REFERENCE))


def test_podman_loads_several_references_of_one_image(podman, tmp_path):
    save_archive(tmp_path / "a.tar", image_with(), [REFERENCE, OTHER])
    podman.run("load", "--input", tmp_path / "a.tar")
    for reference in (REFERENCE, OTHER):
        podman.run("image", "inspect", str(reference))
    podman.run("rmi", "--force", str(REFERENCE), str(OTHER))


def test_podman_takes_an_image_through_a_pipe(podman):
    load(image_with(), REFERENCE, Engine("podman", environment_of(podman)))
    podman.run("image", "inspect", str(REFERENCE))
    podman.run("rmi", "--force", str(REFERENCE))


def test_skopeo_copies_an_archive_and_keeps_the_digest(skopeo, tmp_path):
    image = image_with()
    save_archive(tmp_path / "a.tar", image, [REFERENCE])
    skopeo.run("copy", f"oci-archive:{tmp_path}/a.tar:1.0.0", f"oci:{tmp_path}/copied:1.0.0")
    found = open_layout(tmp_path / "copied").image("1.0.0")
    assert found.digest == image.digest
    assert validate(found) == ()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_skopeo_copies_an_archive_as_docker_would_read_it(skopeo, tmp_path, compression):
    image = image_with(compression)
    save_archive(tmp_path / "a.tar", image, [REFERENCE])
    skopeo.run("copy", f"docker-archive:{tmp_path}/a.tar:{REFERENCE}", f"oci:{tmp_path}/docker:1.0.0")
    assert open_layout(tmp_path / "docker").image("1.0.0").config.diff_ids == image.config.diff_ids


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_copies_a_layout_and_keeps_the_digest(skopeo, tmp_path, compression):
    image = image_with(compression)
    write_layout(tmp_path / "layout", image, "1.0.0")
    write_layout(tmp_path / "layout", tiny_image(), "other")
    skopeo.run("copy", f"oci:{tmp_path}/layout:1.0.0", f"oci-archive:{tmp_path}/out.tar:1.0.0")
    assert read_oci_archive(tmp_path / "out.tar", "1.0.0").digest == image.digest


def test_a_docker_archive_of_skopeo_is_read(skopeo, tmp_path):
    image = image_with()
    write_layout(tmp_path / "layout", image, "1.0.0")
    skopeo.run("copy", f"oci:{tmp_path}/layout:1.0.0", f"docker-archive:{tmp_path}/out.tar:{REFERENCE}")
    found = read_docker_archive(tmp_path / "out.tar", REFERENCE)
    assert found.config.diff_ids == image.config.diff_ids
    assert validate(found) == ()


def environment_of(engine):
    """The environment in which the client of a fixture runs."""
    return {**os.environ, **engine.environment}
