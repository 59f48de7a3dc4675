"""What decides an image: everything in the key, each variant's own packages in the job, and config and manifest."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from formation.build.base import inputs_of
from formation.build.image import assemble_image, platform_of
from formation.build.plan import Plan, make_job, make_plan, plan_key, sibling_keys
from formation.build.system_files import system_files
from formation.definition.load import load_definition
from formation.definition.values import Definition
from formation.digest import sha256
from formation.errors import FormationError, UsageError
from formation.install.built_layer import BuiltLayer
from formation.install.job import BuiltVariant
from formation.lock.model import Lock, LockedPackage
from formation.oci.annotations import LAYER_KIND, LAYER_PACKAGES, LOCK_DIGEST
from formation.oci.image import read_image
from formation.store.blobs import StoreBlobs
from formation.store.store import Store

TEXT = """\
kind: base
name: formation/test
version: 1.2.3
description: A test
architectures: [amd64, arm64]
archives:
  - {name: own, uri: 'http://example.com', suites: [stable], keys: [./own.asc]}
packages: [hello]
files:
  - {path: /etc/x, source: x}
environment: {B: '2', A: '1'}
volumes: [/var/b, /var/a]
user: nobody
command: [run, it]
labels: {team: platform}
variants:
  dev:
    packages: [gcc]
    environment: {C: '3'}
"""


def locked(name: str, *variants: str) -> LockedPackage:
    return LockedPackage(
        name, "1", "amd64", name, "1", f"sha256:{name}", 10, 1, "own", "stable", "p", variants, "requested", False
    )


LOCK = Lock(
    "sha256:0", 1_600_000_000, (),
    {"amd64": (locked("gcc", "dev"), locked("hello", "runtime"), locked("libc6", "dev", "runtime")), "arm64": ()},
)  # fmt: skip


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    (tmp_path / "formation.yaml").write_text(TEXT)
    (tmp_path / "x").write_text("content")
    (tmp_path / "own.asc").write_text("KEY")
    return load_definition(tmp_path)


def plan(definition: Definition, variant: str = "dev", text: str = "lock") -> Plan:
    return make_plan(definition, LOCK, text, variant, "amd64")


def test_a_variant_gets_its_own_packages_and_shares_the_rest(definition: Definition) -> None:
    job = make_job(plan(definition), Path("/store"), workers=2, overlay=True)
    assert [(v.name, [p.name for p in v.packages]) for v in job.variants] == [
        ("runtime", ["hello", "libc6"]),
        ("dev", ["gcc"]),
    ]
    for variant in job.variants:
        digests = [digest for layer in variant.layers for digest in layer]
        assert sorted(digests) == sorted(package.digest for package in variant.packages)
    runtime = make_job(plan(definition, "runtime"), Path("/store"), workers=2, overlay=True)
    assert runtime.variants == job.variants[:1]
    assert (job.epoch, job.spec.epoch, job.spec.compression) == (LOCK.epoch, LOCK.epoch, "gzip")


CHANGES: dict[str, Callable[[Definition], Plan]] = {
    "variant": lambda d: plan(d, "runtime"),
    "lock": lambda d: plan(d, text="other lock"),
    "version": lambda d: plan(dataclasses.replace(d, version="1.2.4")),
    "description": lambda d: plan(dataclasses.replace(d, description="other")),
    "compression": lambda d: plan(dataclasses.replace(d, compression="zstd")),
    "layers": lambda d: plan(dataclasses.replace(d, layer_budget=3)),
    "left out": lambda d: plan(dataclasses.replace(d, path_excludes=("/x",))),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_the_image_changes_the_key(definition: Definition, what: str) -> None:
    assert plan_key(CHANGES[what](definition)) != plan_key(plan(definition))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/etc/x,", "/etc/y,"),
        ("'1'", "'9'"),
        ("/var/a", "/var/c"),
        ("user: nobody", "user: daemon"),
        ("run, it", "run"),
    ],
)
def test_whatever_changes_in_the_definition_changes_the_key(definition: Definition, old: str, new: str) -> None:
    before = plan_key(plan(definition))
    definition.path.write_text(TEXT.replace(old, new))
    assert plan_key(plan(load_definition(definition.path.parent))) != before


@pytest.mark.parametrize("name", ["x", "own.asc"])
def test_the_content_of_added_files_is_in_the_key(definition: Definition, name: str) -> None:
    before = plan_key(plan(definition))
    (definition.path.parent / name).write_text("changed")
    assert plan_key(plan(definition)) != before


def test_a_file_that_changes_after_the_plan_changes_neither_key_nor_inputs(definition: Definition) -> None:
    """What is built then is refused: the installer compares it with what the plan pinned."""
    made = plan(definition)
    before = plan_key(made), inputs_of(made)
    directory = definition.path.parent
    assert before[1] is not None
    assert before[1].files == {directory / "x": sha256(b"content"), directory / "own.asc": sha256(b"KEY")}
    for name in ("x", "own.asc"):
        (directory / name).write_text("changed")
    assert (plan_key(made), inputs_of(made)) == before


def test_a_line_that_moves_is_not_in_the_key(definition: Definition) -> None:
    before = plan_key(plan(definition))
    definition.path.write_text("# A comment\n" + TEXT)
    assert plan_key(plan(load_definition(definition.path.parent))) == before


def test_a_file_that_cannot_be_read_is_an_error(definition: Definition) -> None:
    (definition.path.parent / "x").unlink()
    with pytest.raises(FormationError, match=r"cannot read .*/x for /etc/x: No such file"):
        plan(definition)


def test_the_place_of_the_definition_is_not_in_the_key(definition: Definition, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("formation.yaml", "x", "own.asc"):
        (elsewhere / name).write_bytes((tmp_path / name).read_bytes())
    assert plan_key(plan(load_definition(elsewhere))) == plan_key(plan(definition))


def test_apt_finds_the_archive_and_its_key_in_the_image(definition: Definition) -> None:
    files = {file.path: file for file in system_files(definition)}
    sources = next(file.content.decode() for path, file in files.items() if path.endswith(".sources") and file.content)
    keyring = next(path for path, file in files.items() if file.content == b"KEY")
    assert "URIs: http://example.com" in sources and f"Signed-By: {keyring}" in sources
    assert all((file.owner, file.group, file.mode) == ("root", "root", 0o644) for file in files.values())


def test_a_key_that_cannot_be_read_is_an_error(definition: Definition) -> None:
    (definition.path.parent / "own.asc").unlink()
    with pytest.raises(UsageError, match=r"cannot read the key .*own\.asc"):
        system_files(definition)


def test_the_image_says_what_the_definition_says(definition: Definition, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def built(kind: str, name: str, *packages: str) -> BuiltLayer:
        digest = "sha256:" + name[0].encode().hex()[0] * 64
        return BuiltLayer(kind, tuple((p, "1") for p in packages), digest, 5, digest, "gzip")

    variants = [
        BuiltVariant("runtime", (built("packages", "a", "hello", "libc6"), built("effects", "b")), 1000),
        BuiltVariant("dev", (built("packages", "c", *(f"p{n}" for n in range(9))), built("effects", "d")), 2000),
    ]
    made = plan(definition)
    descriptor = assemble_image(store, made, variants)
    assert assemble_image(store, made, variants) == descriptor
    image = read_image(StoreBlobs(store), descriptor)
    config = json.loads(image.config_bytes)
    assert config["config"]["Env"] == ["B=2", "A=1", "C=3"]
    assert list(config["config"]["Volumes"]) == ["/var/a", "/var/b"]
    assert (config["config"]["User"], config["config"]["Cmd"]) == ("nobody", ["run", "it"])
    assert config["config"]["Labels"]["team"] == "platform"
    assert config["created"] == "1970-01-01T00:33:20Z" and (config["os"], config["architecture"]) == ("linux", "amd64")
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 4
    assert config["history"][2]["created_by"].endswith("p5=1 and 3 more")
    layers = image.manifest.layers
    assert [layer.annotations[LAYER_KIND] for layer in layers] == ["packages", "effects", "packages", "effects"]
    assert "hello" in layers[0].annotations[LAYER_PACKAGES] and LAYER_PACKAGES not in layers[1].annotations
    assert store.blob(image.manifest.annotations[LOCK_DIGEST]).read_text() == "lock"


@pytest.mark.parametrize(
    ("debian", "oci"), [("amd64", "amd64"), ("arm64", "arm64"), ("armhf", "arm"), ("ppc64el", "ppc64le")]
)
def test_architectures_have_the_names_of_oci(debian: str, oci: str) -> None:
    assert platform_of(debian).architecture == oci


def test_siblings_are_the_builds_of_the_same_for_the_other_architectures(definition: Definition) -> None:
    here, there = (make_plan(definition, LOCK, "lock", "dev", name) for name in ("amd64", "arm64"))
    assert sibling_keys(here) == (plan_key(there),)
    assert sibling_keys(there) == (plan_key(here),)


def test_the_keyring_that_an_archive_names_is_looked_for_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "own.asc").write_text("key")
    (tmp_path / "x").write_text("")
    signed = TEXT.replace("keys: [./own.asc]", "keys: [./own.asc], signed_by: /usr/share/keyrings/own.gpg")
    (tmp_path / "formation.yaml").write_text(signed)
    runtime, dev = make_plan(load_definition(tmp_path), LOCK, "", "dev", "amd64").additions
    assert [(each.archive, each.path) for each in runtime.keyrings] == [("own", "/usr/share/keyrings/own.gpg")]
    assert runtime.keyrings[0].place.endswith("formation.yaml:7") and dev.keyrings == ()
