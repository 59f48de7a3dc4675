"""What `--output` and `--load` give: Docker, Podman and skopeo all take the base image, whole and with its digest."""

import json

import pytest

from formation.oci.archive_reader import read_docker_archive
from formation.oci.layout import open_layout
from formation.oci.validate import validate

pytestmark = pytest.mark.network

REFERENCE = "formation/base:1.0.0"


@pytest.fixture(scope="module")
def outputs(base_image, tmp_path_factory):
    """A directory with the layout `layout` and the archive `base.tar` of the runtime image."""
    directory = tmp_path_factory.mktemp("outputs")
    for output in ("oci:layout", "docker-archive:base.tar"):
        words = ("build", base_image.project, "--locked", "--offline", "--output", output)
        assert f"written to {output}" in base_image.command.succeed(*words, directory=directory)
    return directory


def test_both_outputs_are_the_image_and_sound(outputs, base_image):
    layout = open_layout(outputs / "layout").image("1.0.0")
    archive = read_docker_archive(outputs / "base.tar")
    for image in (layout, archive):
        assert image.config_bytes == base_image.image.config_bytes
        assert validate(image) == ()
    assert layout.digest == base_image.digest


def test_an_output_that_is_written_again_stays_the_same(outputs, base_image):
    before = {path: path.read_bytes() for path in outputs.rglob("*.json")} | {0: (outputs / "base.tar").read_bytes()}
    for output in ("oci:layout", "docker-archive:base.tar"):
        words = ("build", base_image.project, "--locked", "--offline", "--output", output)
        base_image.command.succeed(*words, directory=outputs)
    after = {path: path.read_bytes() for path in outputs.rglob("*.json")} | {0: (outputs / "base.tar").read_bytes()}
    assert after == before


def test_a_layout_takes_another_tag_and_the_other_variant(outputs, base_image, tmp_path):
    words = ("build", base_image.project, "--locked", "--offline", "--output")
    for output in ("oci:layout:one", "oci:layout:two"):
        base_image.command.succeed(*words, output, directory=tmp_path)
    layout = open_layout(tmp_path / "layout")
    assert layout.image("one").digest == layout.image("two").digest == base_image.digest


def test_docker_and_podman_load_the_archive(engine, outputs, base_image):
    engine.run("load", "--input", outputs / "base.tar")
    (inspected,) = json.loads(engine.run("image", "inspect", REFERENCE).stdout)
    assert inspected["RootFS"]["Layers"] == list(base_image.image.config.diff_ids)
    assert "is a base image" in engine.run("run", "--rm", "--network", "none", REFERENCE).stdout


def test_podman_pulls_the_layout_and_keeps_its_digest(podman, outputs, base_image):
    identity = podman.run("pull", "--quiet", f"oci:{outputs}/layout:1.0.0").stdout.strip()
    (inspected,) = json.loads(podman.run("image", "inspect", identity).stdout)
    assert inspected["Digest"] == base_image.digest
    assert "is a base image" in podman.run("run", "--rm", "--network", "none", identity).stdout


def test_skopeo_copies_the_layout_to_a_registry_and_back_with_its_digest(skopeo, registry, outputs, base_image):
    remote = f"docker://{registry.address}/formation/base:1.0.0"
    skopeo.run("copy", "--dest-tls-verify=false", f"oci:{outputs}/layout:1.0.0", remote)
    assert json.loads(skopeo.run("inspect", "--tls-verify=false", remote).stdout)["Digest"] == base_image.digest
    skopeo.run("copy", "--src-tls-verify=false", remote, f"oci:{outputs}/pulled:1.0.0")
    assert validate(open_layout(outputs / "pulled").image("1.0.0")) == ()


def test_skopeo_copies_the_archive(skopeo, outputs, base_image):
    skopeo.run("copy", f"docker-archive:{outputs}/base.tar:{REFERENCE}", f"oci:{outputs}/copied:1.0.0")
    assert open_layout(outputs / "copied").image("1.0.0").config.diff_ids == base_image.image.config.diff_ids
