"""`formation build` for several architectures, with the building itself replaced."""

import json
import os
import time
from pathlib import Path

import pytest

from archives import HOUR, served
from formation.build.recall import BuiltImage, known_images, remember_image, tag
from formation.cli import build as build_command
from formation.errors import FormationError
from formation.oci.layout import open_layout
from formation.oci.platform_index import VERSION
from formation.registry.platforms import machine_platform
from formation.store.blobs import add_image
from tiny_images import tiny_image
from workshop import Workshop

TWO = "architectures: [amd64, arm64]\n"
NAME = "formation/base:1.2.3"


@pytest.fixture
def workshop(tmp_path):
    """An archive for two architectures, and a definition for both."""
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish(age=10 * HOUR, architectures=("amd64", "arm64"))
        workshop.define("curl", TWO)
        yield workshop


@pytest.fixture
def built(monkeypatch):
    """Builds a tiny image instead of a real one; gives the architectures in the order in which they were built."""
    order = []

    def build(arguments, context, progress):
        name = arguments.arch or "amd64"
        if name == "s390x":
            raise FormationError("this machine cannot run programs for s390x")
        order.append(name)
        image = tiny_image(architecture=name, annotations={VERSION: "1.2.3"})
        add_image(context.store, image)
        remember_image(context.store, f"key-{name}", image.descriptor)
        siblings = tuple(f"key-{other}" for other in ("amd64", "arm64") if other != name)
        references = tag(context.store, [NAME], (image, *known_images(context.store, siblings)))
        return BuiltImage(references, image, 3, False, siblings=siblings)

    monkeypatch.setattr("formation.cli.build._built", build)
    return order


def test_all_architectures_become_one_index_under_one_name(formation, workshop, built):
    result = formation("build", "base", "--all-architectures", "--json")
    assert result.code == 0, result.stderr
    told = json.loads(result.stdout)
    assert built == ["amd64", "arm64"] == [image["architecture"] for image in told["images"]]
    row = json.loads(formation("images", "--json").stdout)["images"][0]
    assert (row["reference"], row["digest"]) == (NAME, told["digest"]) == (told["reference"], row["digest"])
    assert row["platform"] == "linux/amd64 linux/arm64"


def test_architectures_that_are_named_are_built_in_the_definitions_order(formation, workshop, built):
    result = formation("build", "base", "--arch", "arm64,amd64")
    assert result.code == 0, result.stderr
    assert built == ["amd64", "arm64"]
    assert "arm64     sha256:" in result.stdout


def test_one_architecture_later_keeps_the_image_of_the_other(formation, workshop, built):
    for name in ("arm64", "amd64"):
        assert formation("build", "base", "--arch", name).code == 0
    shown = json.loads(formation("images", "--json").stdout)["images"]
    assert [image["platform"] for image in shown] == ["linux/amd64 linux/arm64"]


def test_a_name_of_several_means_the_image_for_this_machine(formation, workshop, built):
    formation("build", "base", "--all-architectures")
    shown = formation("inspect", NAME)
    mine = machine_platform(os.uname().machine)
    assert shown.code == 0, shown.stderr
    assert f"platform:    {mine}\n" in shown.stdout
    other = formation("inspect", NAME, "--platform", "linux/arm64")
    assert "platform:    linux/arm64\n" in other.stdout


def test_an_index_is_written_to_a_layout_whole(formation, workshop, built, tmp_path):
    result = formation("build", "base", "--all-architectures", "--output", "oci:out", "--json")
    assert result.code == 0, result.stderr
    layout = open_layout(tmp_path / "out")
    assert [entry.digest for entry in layout.index.manifests] == [json.loads(result.stdout)["digest"]]
    for platform in ("linux/amd64", "linux/arm64"):
        assert formation("inspect", "oci:out", "--check", "--platform", platform).code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--arch", "amd64,s390x"), "is not for the architecture 's390x'"),
        (("--arch", "amd64,aarch64"), "hint: did you mean arm64?"),
        (("--arch", "amd64,"), "is not for the architecture ''"),
        (("--all-architectures", "--output", "docker-archive:a.tar"), "holds one image, and 2 are asked for"),
        (("--all-architectures", "--output", "oci:missing/below"), "--output: there is no directory "),
        (("--output", "oci:base/formation.yaml"), "formation.yaml is not a directory, as oci: wants"),
        (("--output", "docker-archive:base"), "base is not a file, as docker-archive: wants"),
        (("--output", "oci:base"), "base is not empty, and no OCI layout"),
        (("--output", "oci:store/mine"), "mine is in the store, which keeps nothing but its own"),
        (("--output", "docker-archive:store/lock"), "lock is in the store"),
        (("--output", "oci:out", "--output", "tar:x"), "images cannot be written to 'tar:x'"),
        (("--all-architectures", "--arch", "amd64"), "not allowed with argument"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is(formation, workshop, built, words, message):
    result = formation("build", "base", *words)
    assert (result.code, built) == (2, [])
    assert message in result.stderr


@pytest.mark.parametrize("output", ["oci:closed/out", "docker-archive:closed/a.tar", "oci:closed"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_built(
    formation, workshop, built, tmp_path, monkeypatch, output
):
    closed = tmp_path / "closed"
    closed.mkdir()
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    result = formation("build", "base", "--output", output)
    assert (result.code, built) == (2, [])
    assert f"--output: {closed} cannot be written to" in result.stderr


@pytest.mark.parametrize("words", [(), ("--all-architectures",)])
def test_every_output_is_written(formation, workshop, built, tmp_path, words):
    outputs = ["oci:one", "oci:two:tag"] + ([] if words else ["docker-archive:three.tar"])
    options = [word for output in outputs for word in ("--output", output)]
    result = formation("build", "base", *words, *options)
    assert result.code == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("also")] == [
        f"also      written to {output}" for output in outputs
    ]
    assert all((tmp_path / output.split(":")[1]).exists() for output in outputs)


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ((), "formation build base --load docker && docker run --rm formation/base:1.2.3"),
        (
            ("--variant", "dev", "--arch", "amd64"),
            "formation build base --variant dev --arch amd64 --load docker && docker run --rm formation/base:1.2.3",
        ),
        (("--load", "podman"), "podman run --rm formation/base:1.2.3"),
    ],
)
def test_the_last_line_runs_what_was_built(formation, workshop, built, monkeypatch, words, run):
    def build(arguments, context, progress, built=build_command._built):
        arguments.arch = arguments.arch or "amd64"
        return built(arguments, context, progress)

    monkeypatch.setattr("formation.cli.build._built", build)
    monkeypatch.setattr("formation.engines.load.load", lambda *_: None)
    result = formation("build", "base", *words)
    assert result.stdout.splitlines()[-1] == f"run       {run}"


def test_each_engine_that_is_named_gets_the_image(formation, workshop, built, monkeypatch):
    engines = []
    monkeypatch.setattr("formation.engines.load.load", lambda _image, _reference, engine: engines.append(engine.name))
    words = ["build", "base", "--arch", "amd64", "--load", "docker", "--load", "podman", "--load", "docker"]
    result = formation(*words)
    assert result.code == 0, result.stderr
    assert engines == ["docker", "podman"]
    assert [line for line in result.stdout.splitlines() if line.startswith("also")] == [
        "also      loaded into docker",
        "also      loaded into podman",
    ]


def test_a_dry_run_says_what_each_architecture_takes(formation, workshop):
    result = formation("build", "base", "--all-architectures", "--dry-run", now=int(time.time()))
    assert result.code == 0, result.stderr
    assert [line.split(" from ")[0] for line in result.stdout.splitlines()] == [
        f"would build formation/test:1.0.0 for {name}" for name in ("amd64", "arm64")
    ]
    assert not (workshop.base / "formation.lock").exists()


def test_all_architectures_of_a_service_become_one_index_too(formation, tmp_path, monkeypatch):
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "formation.yaml").write_text(
        f"kind: service\nname: team/dns\nversion: 1.0.0\nbase: {NAME}\n{TWO}command: [/bin/true]\nuser: nobody\n"
    )

    def build(arguments, context, progress):
        image = tiny_image(architecture=arguments.arch, annotations={VERSION: "1.0.0"})
        add_image(context.store, image)
        return BuiltImage(tag(context.store, ["team/dns:1.0.0"], [image]), image, 0, False)

    monkeypatch.setattr("formation.cli.build_service.built_service", build)
    result = formation("build", "service", "--all-architectures", "--json")
    assert result.code == 0, result.stderr
    row = json.loads(formation("images", "--json").stdout)["images"][0]
    assert (row["digest"], row["platform"]) == (json.loads(result.stdout)["digest"], "linux/amd64 linux/arm64")
