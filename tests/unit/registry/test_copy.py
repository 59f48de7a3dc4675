import itertools

import pytest

from formation.errors import UsageError
from formation.oci.archive import write_archive
from formation.oci.descriptor import Platform
from formation.oci.layout import open_layout
from formation.oci.manifest import Index, index_bytes, parse_index
from formation.oci.media_types import OCI_INDEX
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.registry.copy import Place, copy
from formation.registry.open_image import open_image
from formation.store.blobs import add_image
from formation.store.images import find_image, open_stored, tag_image
from tiny_images import tiny_image

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


@pytest.fixture
def place(store, client, tmp_path):
    return Place(store, client, tmp_path, {"PATH": ""}, AMD64)


@pytest.fixture
def index(server):
    """a/b:1 in the registry: an index of two images."""
    images = tiny_image(), tiny_image(architecture="arm64")
    for image in images:
        server.add_image("a/b", image, "")
    return server.add_manifest("a/b", OCI_INDEX, index_bytes(Index(tuple(i.descriptor for i in images))), "1")


def test_an_image_keeps_its_digest_on_its_way_through_every_place(server, place, store, name):
    image = tiny_image()
    first = parse_name("formation/base:1.0.0")
    assert first.reference is not None
    tag_image(store, first.reference, add_image(store, image))
    way = [first, name("a/b:1"), parse_name("oci:layout:x"), parse_name("docker-archive:a.tar:f/b:1"),
           parse_name("oci:second:y"), name("c/d:2"), parse_name("back/again:1")]  # fmt: skip
    for source, target in itertools.pairwise(way):
        assert copy(source, target, place) == image.digest
    assert way[-1].reference is not None
    assert validate(open_stored(store, way[-1].reference)) == ()


def test_an_image_without_a_manifest_of_its_own_is_copied_everywhere(place, tmp_path):
    # As `docker save` writes it before Docker 25.
    with (tmp_path / "classic.tar").open("wb") as file:
        write_archive(file, tiny_image(), [parse_reference("f/b:1")], layout=False)
    way = [parse_name(text) for text in ("docker-archive:classic.tar", "docker-archive:a.tar:f/b:1", "oci:layout:x")]
    digests = {copy(way[0], target, place) for target in way[1:]} | {copy(*way[1:], place)}
    assert len(digests) == 1
    assert validate(open_layout(tmp_path / "layout").image("x")) == ()


@pytest.mark.parametrize("target", ["oci:store/blobs/mine", "docker-archive:store/lock"])
def test_nothing_is_copied_into_the_directory_of_the_store(place, target):
    with pytest.raises(UsageError, match="is in the store"):
        copy(parse_name("oci:layout"), parse_name(target), place)


def test_an_archive_is_copied_through_a_link_to_itself_and_stays_whole(place, tmp_path):
    with (tmp_path / "a.tar").open("wb") as file:
        write_archive(file, tiny_image(), [parse_reference("f/b:1")])
    (tmp_path / "l.tar").symlink_to("a.tar")
    (tmp_path / "loop").symlink_to("loop")
    assert copy(parse_name("docker-archive:a.tar"), parse_name("docker-archive:l.tar"), place) == tiny_image().digest
    assert copy(parse_name("docker-archive:a.tar"), parse_name("oci:x:1"), place) == tiny_image().digest
    with pytest.raises(OSError, match="symbolic links"):
        copy(parse_name("docker-archive:a.tar"), parse_name("docker-archive:loop"), place)


def test_an_index_is_copied_whole(place, store, name, index, tmp_path):
    assert copy(name("a/b:1"), parse_name("oci:layout:1"), place) == index
    assert copy(parse_name("oci:layout:1"), parse_name("c/d:1"), place) == index
    assert copy(parse_name("c/d:1"), name("e/f:1"), place) == index
    reference = parse_name("c/d:1").reference
    assert reference is not None
    assert find_image(store, reference).descriptor.digest == index
    for platform in (AMD64, ARM64):
        assert validate(open_layout(tmp_path / "layout").image("1", platform)) == ()


def test_the_platform_chooses_one_image(server, place, name, index):
    wanted = tiny_image(architecture="arm64").digest
    assert copy(name("a/b:1"), name("c/d:1"), place, ARM64) == wanted
    assert server.repository("c/d").tags["1"] == wanted


def test_an_archive_takes_the_image_of_this_machine(place, name, index, tmp_path):
    assert copy(name("a/b:1"), parse_name("docker-archive:a.tar:x/y:1"), place) == tiny_image().digest
    assert (tmp_path / "a.tar").exists()


def test_a_copy_within_a_registry_is_mounted(server, place, name, index):
    server.requests.clear()
    copy(name("a/b:1"), name("c/d:1"), place)
    assert server.asked("GET", "/blobs/") == []
    assert server.asked("PUT", "/blobs/") == []
    assert len(server.asked("POST", "mount=")) == len(server.repository("c/d").blobs)


def test_a_dry_run_writes_nothing(server, place, name, index, tmp_path):
    assert copy(name("a/b:1"), name("c/d:1"), place, dry_run=True) == index
    assert "c/d" not in server.repositories


@pytest.mark.parametrize("target", ["oci-archive:a.tar", "docker://h/a@sha256:" + "0" * 64])
def test_what_cannot_be_written_is_a_usage_error(place, name, index, target):
    with pytest.raises(UsageError):
        copy(name("a/b:1"), parse_name(target), place)


def test_an_image_in_a_registry_is_opened_without_fetching_its_layers(
    server, place, store, client, name, index, tmp_path
):
    server.requests.clear()
    with open_image(name("a/b:1"), store, client, directory=tmp_path, environment={}, platform=ARM64) as image:
        assert image.config.platform == ARM64
        assert len(server.asked("GET", "/blobs/")) == 1
        assert validate(image) == ()
    assert list(store.work.iterdir()) == []
    assert parse_index(server.repository("a/b").manifests[index][1]).manifests[1].digest == image.digest
