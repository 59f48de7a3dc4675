"""One tag for all architectures of one definition and lock, as far as the store has their images."""

import runpy
from pathlib import Path
from threading import Thread

import pytest

from formation.build import recall as recall_module
from formation.build.recall import (
    BuiltImage,
    Read,
    ask,
    known_images,
    recall,
    remember,
    remember_image,
    tag,
    tag_beside,
)
from formation.install import stage_format
from formation.oci.descriptor import Platform
from formation.oci.image import Image
from formation.oci.media_types import OCI_INDEX, OCI_MANIFEST
from formation.oci.platform_index import VERSION
from formation.oci.reference import parse_reference
from formation.store.blobs import add_image
from formation.store.images import find_image, open_stored
from formation.store.store import Store
from tiny_images import tiny_image

NAME = "formation/base:1.0.0"
REFERENCE = parse_reference(NAME)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def stored(store: Store):
    """An image for an architecture, in the store under the name of its build, `key-ARCHITECTURE`."""

    def make(architecture: str) -> Image:
        image = tiny_image(architecture=architecture, annotations={VERSION: "1.0.0"})
        add_image(store, image)
        remember_image(store, f"key-{architecture}", image.descriptor)
        return image

    return make


def test_a_tag_of_one_image_is_that_image(store, stored):
    image = stored("amd64")
    assert tag(store, [NAME], [image]) == (NAME,)
    assert find_image(store, REFERENCE).descriptor == image.descriptor
    assert image.descriptor.media_type == OCI_MANIFEST


def test_a_tag_of_several_images_is_an_index_that_gives_each_by_its_platform(store, stored):
    images = [stored(name) for name in ("arm64", "amd64")]
    tag(store, [NAME], images)
    assert find_image(store, REFERENCE).descriptor.media_type == OCI_INDEX
    for image in images:
        assert open_stored(store, REFERENCE, image.config.platform).digest == image.digest


def test_an_unchanged_build_keeps_what_was_built_for_other_architectures_since(store, stored):
    own = stored("amd64")
    built = BuiltImage(tag(store, [NAME], [own]), own, 1, False, siblings=("key-arm64", "key-armhf"))
    remember(store, "asked", built, Read({}))
    other = stored("arm64")
    again = recall(store, "asked")
    assert again is not None
    assert (again.image.digest, again.siblings) == (own.digest, built.siblings)
    assert open_stored(store, REFERENCE, Platform("linux", "arm64")).digest == other.digest
    assert open_stored(store, REFERENCE, Platform("linux", "amd64")).digest == own.digest


def test_of_two_builds_at_once_no_image_is_lost(store, stored, monkeypatch):
    first, look = stored("amd64"), known_images
    second: list[Thread] = []

    def another_ends_meanwhile(store, siblings):
        found = look(store, siblings)
        if not second:
            image = stored("arm64")
            second.append(Thread(target=tag_beside, args=(store, [NAME], image, ["key-amd64"])))
            second[0].start()
            second[0].join(0.2)
        return found

    monkeypatch.setattr("formation.build.recall.known_images", another_ends_meanwhile)
    tag_beside(store, [NAME], first, ["key-arm64"])
    second[0].join()
    assert find_image(store, REFERENCE).descriptor.media_type == OCI_INDEX


def test_a_sibling_that_has_lost_a_layer_is_left_out(store, stored):
    image = stored("arm64")
    assert known_images(store, ["key-arm64", "key-armhf"]) != ()
    store.blob(image.manifest.layers[0].digest).unlink()
    assert known_images(store, ["key-arm64", "key-armhf"]) == ()


@pytest.mark.parametrize("left", [b"", b"\0" * 200])
def test_a_record_that_a_power_cut_damaged_says_nothing(store, stored, left):
    image = stored("amd64")
    remember(store, "asked-key", BuiltImage((NAME,), image, 1, False), Read({}))
    assert known_images(store, ["key-amd64"])
    assert recall(store, "asked-key") is not None
    for record in store.builds.iterdir():
        record.write_bytes(left)
    assert known_images(store, ["key-amd64"]) == ()
    assert recall(store, "asked-key") is None


def test_an_image_of_stages_that_did_something_else_is_not_recalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "formation.yaml").write_text("kind: base\n")
    (tmp_path / "formation.lock").write_text("{}\n")
    now = ask(tmp_path, "runtime", "amd64")
    assert now == ask(tmp_path, "runtime", "amd64")
    monkeypatch.setattr(stage_format, "STAGE_FORMAT", stage_format.STAGE_FORMAT - 1)
    before = runpy.run_path(recall_module.__file__, run_name=recall_module.__name__)
    assert before["ask"](tmp_path, "runtime", "amd64") not in (None, now)
