"""The base of a service, wherever it is kept."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from formation.build.opened_base import Places, created, lock_of, open_base
from formation.errors import DefinitionError, IntegrityError, UnreachableError
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.layout import write_layout
from formation.oci.reference import parse_reference
from formation.store.blobs import add_bytes, add_image, has_blob
from formation.store.images import tag_image
from formation.store.store import Store
from services import HEAD, service_in
from tiny_images import tiny_image


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def opened(tmp_path, store):
    """Opens the base that a service names."""

    def opened(base: str, *, architecture: str = "amd64", pull=None):
        service = service_in(tmp_path / "service", head=HEAD.replace("formation/base:1.0.0", base))
        return open_base(service, architecture, Places(store, {}, pull))

    return opened


def complete(store: Store, image) -> bool:
    return all(has_blob(store, layer.digest, layer.size) for layer in image.manifest.layers)


def docker_save(path: Path, image) -> None:
    """Writes what `docker save` of a Docker without containerd gives: uncompressed layers, no OCI manifest."""
    layers = {f"{layer.diff_id[7:19]}/layer.tar": layer.uncompressed().read() for layer in image.layers}
    config = f"{image.manifest.config.digest[7:]}.json"
    manifest = [{"Config": config, "RepoTags": ["team/base:1.0"], "Layers": list(layers)}]
    with tarfile.open(path, "w") as archive:
        members = {**layers, config: image.config_bytes, "manifest.json": json.dumps(manifest).encode()}
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_a_base_in_the_store_is_opened_by_its_tag(store, opened):
    image = tiny_image()
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, image))
    assert opened("formation/base:1.0.0").digest == image.digest


def test_a_layout_beside_the_definition_comes_into_the_store_with_its_lock(tmp_path, store, opened):
    image = tiny_image(annotations={LOCK_DIGEST: "sha256:" + "1" * 64})
    write_layout(tmp_path / "service" / "layout", image, "1.0")
    found = opened("oci:layout:1.0")
    assert found.digest == image.digest
    assert complete(store, found)
    assert opened("oci:layout").digest == image.digest


def test_a_docker_archive_with_uncompressed_layers_comes_into_the_store(tmp_path, store, opened):
    image = tiny_image()
    (tmp_path / "service").mkdir()
    docker_save(tmp_path / "service" / "base.tar", image)
    found = opened("docker-archive:base.tar")
    assert complete(store, found)
    assert found.config.diff_ids == image.config.diff_ids
    assert opened("docker-archive:base.tar:team/base:1.0").digest == found.digest


def test_a_registry_is_asked_through_what_pulls(store, opened):
    image = tiny_image()
    asked = []

    def pull(name, platform):
        asked.append((str(name.reference), str(platform)))
        add_image(store, image)
        return image

    assert opened("docker://registry.example.com/formation/base:1.0.0", pull=pull).digest == image.digest
    assert asked == [("registry.example.com/formation/base:1.0.0", "linux/amd64")]


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("formation/base:1.0.0", "the store has no image formation/base:1.0.0"),
        ("oci:nothing", "nothing"),
        ("docker-archive:nothing.tar", "nothing.tar"),
    ],
)
def test_an_unknown_base_is_told_with_file_and_line(opened, tmp_path, base, reason):
    with pytest.raises(DefinitionError) as error:
        opened(base)
    assert error.value.message.startswith(f"{tmp_path}/service/formation.yaml:4: ")
    assert reason in error.value.message


def hint_for(opened, base: str) -> str:
    with pytest.raises(DefinitionError) as error:
        opened(base)
    return error.value.hint


def test_the_hint_for_a_missing_base_is_to_build_it_where_its_definition_is(tmp_path, opened):
    directory = tmp_path / "docker" / "base"
    directory.mkdir(parents=True)
    (directory / "formation.yaml").write_text(
        "kind: base\nname: formation/base\nversion: 1.0.0\ndistribution: debian/trixie\npackages: [tzdata]\n"
        "variants: {dev: {extends: runtime, packages: [gcc]}}\n"
    )
    assert hint_for(opened, "formation/base:1.0.0") == f"build the base first: formation build {directory}"
    assert hint_for(opened, "formation/base:1.0.0-dev").endswith(f" {directory} --variant dev")
    assert hint_for(opened, "formation/base:9.9.9").startswith("build it first: formation build DIR; or")


def test_the_hint_for_a_missing_base_names_what_the_store_has(store, opened):
    descriptor = add_image(store, tiny_image())
    for name in ("formation/base:1.0.0", "formation/base:1.0.0-dev", "team/other:2"):
        tag_image(store, parse_reference(name), descriptor)
    assert hint_for(opened, "formation/base:9.9.9") == "the store has formation/base:1.0.0, formation/base:1.0.0-dev"
    assert hint_for(opened, "formation/bas:1.0.0") == "did you mean 'formation/base:1.0.0'?"
    assert hint_for(opened, "debian:trixie") == (
        "build it first: formation build DIR; or take it from a registry: docker://REGISTRY/debian:trixie"
    )
    assert hint_for(opened, "registry.example.com/debian:trixie").endswith(
        " docker://registry.example.com/debian:trixie"
    )


def test_a_registry_that_does_not_answer_is_told_with_file_and_line(tmp_path, opened):
    def pull(name, platform):
        raise UnreachableError("no answer", hint="try again")

    with pytest.raises(UnreachableError) as error:
        opened("docker://registry.example.com/formation/base:1.0.0", pull=pull)
    assert error.value.message == f"{tmp_path}/service/formation.yaml:4: no answer"
    assert error.value.hint == "try again"


def test_a_base_for_another_architecture_is_told(store, opened):
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, tiny_image(architecture="arm64")))
    with pytest.raises(DefinitionError, match=r"formation/base:1.0.0 is for linux/arm64, and the service for amd64"):
        opened("formation/base:1.0.0")
    assert opened("formation/base:1.0.0", architecture="arm64").config.platform.architecture == "arm64"


def test_a_base_whose_layer_was_pruned_is_told(store, opened):
    image = tiny_image()
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, image))
    store.blob(image.manifest.layers[0].digest).unlink()
    with pytest.raises(DefinitionError, match="and not its layer"):
        opened("formation/base:1.0.0")


def test_a_damaged_base_stays_an_integrity_error(store, opened):
    image = tiny_image()
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, image))
    store.blob(image.manifest.config.digest).write_bytes(image.config_bytes.replace(b"amd64", b"arm64"))
    with pytest.raises(IntegrityError):
        opened("formation/base:1.0.0")


LOCK = f"""\
format = 1
definition = "sha256:{"1" * 64}"
architectures = ["amd64"]
epoch = 2026-11-22T02:09:05Z
""".encode()


def test_the_lock_of_a_base_is_read_where_it_was_kept(store):
    image = tiny_image(annotations={LOCK_DIGEST: add_bytes(store, LOCK)})
    assert lock_of(image, store).definition == f"sha256:{'1' * 64}"


def test_a_lock_that_is_gone_damaged_or_of_another_version_is_none(store):
    assert lock_of(tiny_image(), store) is None
    assert lock_of(tiny_image(annotations={LOCK_DIGEST: "sha256:" + "1" * 64}), store) is None
    digest = add_bytes(store, LOCK)
    store.blob(digest).write_bytes(LOCK.replace(b"amd64", b"arm64"))
    assert lock_of(tiny_image(annotations={LOCK_DIGEST: digest}), store) is None
    other = add_bytes(store, LOCK.replace(b"format = 1", b"format = 99"))
    assert lock_of(tiny_image(annotations={LOCK_DIGEST: other}), store) is None


def test_the_lock_in_a_layout_comes_along(tmp_path, store, opened):
    other = Store(tmp_path / "other")
    digest = add_bytes(other, LOCK)
    image = tiny_image(annotations={LOCK_DIGEST: digest})
    write_layout(tmp_path / "service" / "layout", image, None)
    (tmp_path / "service" / "layout" / "blobs" / "sha256" / digest[7:]).write_bytes(LOCK)
    assert lock_of(opened("oci:layout"), store) is not None


def test_the_time_of_a_base_is_that_of_its_config():
    assert created(tiny_image()) == 1767323045
