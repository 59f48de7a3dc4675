import fcntl
import json
import os
import resource
from threading import Thread

import pytest

from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, MalformedError, UsageError
from formation.oci.archive import save_archive
from formation.oci.descriptor import Platform
from formation.oci.layout import write_layout
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.store import images
from formation.store.blobs import StoreBlobs, add_bytes, add_image, has_blob
from formation.store.images import (
    find_image,
    keep_pulled,
    list_images,
    open_stored,
    record_path,
    remove_image,
    tag_image,
)
from formation.store.open_image import open_image
from formation.store.store import Store
from tiny_images import noise, tiny_image

BASE = parse_reference("formation/base:1.0.0")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def keep(store, image, *references):
    descriptor = add_image(store, image)
    for reference in references:
        tag_image(store, parse_reference(reference), descriptor)


def test_an_image_comes_back_from_the_store_as_it_went_in(store):
    keep(store, tiny_image(), "formation/base:1.0.0")
    found = open_stored(store, BASE, Platform("linux", "amd64"))
    assert found.digest == tiny_image().digest
    assert validate(found) == ()


def test_images_are_listed_by_reference(store):
    keep(store, tiny_image(), "b:2", "b:10", "a:1")
    assert [str(image.reference) for image in list_images(store)] == ["a:1", "b:10", "b:2"]


def test_an_empty_store_has_no_images_and_is_not_created_by_looking(store):
    assert list_images(store) == ()
    assert not store.root.exists()


def test_a_tag_moves_to_the_new_image(store):
    keep(store, tiny_image(), "a:1")
    keep(store, tiny_image([{"x": b""}]), "a:1")
    assert find_image(store, parse_reference("a:1")).descriptor.digest == tiny_image([{"x": b""}]).digest


def test_an_image_is_found_by_its_digest(store):
    keep(store, tiny_image(), "a:1")
    digest = tiny_image().digest
    assert str(find_image(store, parse_reference(f"a@{digest}")).reference) == "a:1"
    for wrong in (f"b@{digest}", f"a:2@{digest}", f"a@sha256:{'0' * 64}"):
        with pytest.raises(FormationError):
            find_image(store, parse_reference(wrong))


def test_a_record_that_was_written_before_records_had_an_index_is_still_found_by_its_digest(store):
    index = sha256(b"index")
    reference = parse_reference(f"a@{index}")
    keep_pulled(store, reference, add_image(store, tiny_image()), index)
    record = record_path(store, reference)
    text = json.loads(record.read_text())
    assert text.pop("index") == index
    record.write_text(json.dumps(text))
    assert find_image(store, reference).digests == (tiny_image().digest, index)


def test_a_damaged_record_is_written_anew_by_a_pull(store):
    reference = parse_reference("a:1")
    keep(store, tiny_image(), "a:1")
    record_path(store, reference).write_text("{")
    keep_pulled(store, reference, tiny_image().descriptor, sha256(b"index"))
    assert find_image(store, reference).descriptor.digest == tiny_image().digest


def test_of_two_pulls_of_one_index_at_once_neither_overlooks_the_other(store, monkeypatch):
    read, index, other = images._read_if_whole, sha256(b"index"), []

    def read_as_another_begins(path):
        found = read(path)
        if not other:
            other.append(Thread(target=pull, args=("arm64",)))
            other[0].start()
            with pytest.raises(BlockingIOError), store.images_lock.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return found

    def pull(architecture):
        keep_pulled(store, BASE, add_image(store, tiny_image(architecture=architecture)), index)

    monkeypatch.setattr(images, "_read_if_whole", read_as_another_begins)
    pull("amd64")
    other[0].join()
    for architecture in ("amd64", "arm64"):
        assert open_stored(store, BASE, Platform("linux", architecture)).config.platform.architecture == architecture


def test_a_missing_image_is_answered_with_what_is_there(store):
    keep(store, tiny_image(), "a:1")
    with pytest.raises(FormationError) as caught:
        find_image(store, BASE)
    assert caught.value.hint == "it has: a:1"


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("acme/tree:9", "it has: acme/tree:1.0.0, acme/tree:1.1.0"),
        ("acme/tree", "it has: acme/tree:1.0.0, acme/tree:1.1.0"),
        ("acme/treee:1.0.0", "did you mean acme/tree:1.0.0?"),
        ("tree:1.0.0", "did you mean acme/tree:1.0.0?"),
        # Another image, of which the beginning and the version are the same.
        ("acme/svc:1.0.0", ", and 4 more: formation images"),
        ("other/thing:1", ", and 4 more: formation images"),
        ("aaa/b:x", "aaa/b:6, aaa/b:7, and 2 more: formation images"),
    ],
)
def test_an_unknown_image_is_answered_with_those_of_its_repository_or_the_nearest(store, asked, hint):
    keep(store, tiny_image(), *(f"aaa/b:{number}" for number in range(12)), "acme/tree:1.0.0", "acme/tree:1.1.0")
    with pytest.raises(FormationError) as caught:
        find_image(store, parse_reference(asked))
    assert caught.value.hint.endswith(hint)


def test_a_removed_image_is_gone_and_removing_it_again_is_an_error(store):
    keep(store, tiny_image(), "a:1", "a:2")
    remove_image(store, parse_reference("a:1"))
    assert [str(image.reference) for image in list_images(store)] == ["a:2"]
    with pytest.raises(FormationError):
        remove_image(store, parse_reference("a:1"))


def test_a_reference_with_a_digest_is_not_a_name_to_give(store):
    with pytest.raises(UsageError):
        tag_image(store, parse_reference(f"a@{sha256(b'')}"), tiny_image().descriptor)


def test_a_reference_longer_than_a_file_name_is_kept(store):
    long = "a/" * 120 + "b:" + "c" * 128
    keep(store, tiny_image(), long)
    assert open_stored(store, parse_reference(long)).digest == tiny_image().digest


def test_a_damaged_record_is_an_error_that_names_it(store):
    keep(store, tiny_image(), "a:1")
    record = next(store.images.iterdir())
    record.write_text('{"reference": "A B"}')
    with pytest.raises(MalformedError, match=record.name):
        list_images(store)


def test_a_damaged_blob_is_noticed_when_it_is_read(store):
    keep(store, tiny_image(), "a:1")
    image = open_stored(store, parse_reference("a:1"))
    layer = store.blob(image.layers[0].descriptor.digest)
    # Of the right size: only who reads it can tell.
    for content in (b"rotten", b"x" * layer.stat().st_size):
        layer.write_bytes(content)
        with pytest.raises(IntegrityError) as caught:
            image.layers[0].open().read()
        assert caught.value.hint == f"remove {layer}, then build or pull the image again"
    store.blob(image.digest).write_bytes(b"rotten")
    with pytest.raises(IntegrityError):
        open_stored(store, parse_reference("a:1"))


def test_a_cut_layer_in_the_store_is_replaced_when_the_image_is_added_again(store):
    keep(store, tiny_image(), "a:1")
    digest = tiny_image().layers[0].descriptor.digest
    store.blob(digest).write_bytes(b"cut")
    keep(store, tiny_image(), "a:1")
    assert validate(open_stored(store, parse_reference("a:1"))) == ()


def test_bytes_are_kept_under_their_digest(store):
    assert add_bytes(store, b"x") == sha256(b"x")
    assert has_blob(store, sha256(b"x"), 1)
    assert not has_blob(store, sha256(b"x"), 2)
    assert not has_blob(store, sha256(b"y"))


def test_bytes_that_have_rotted_are_repaired(store):
    add_bytes(store, b"manifest")
    store.blob(sha256(b"manifest")).write_bytes(b"manifesT")
    add_bytes(store, b"manifest")
    assert StoreBlobs(store).open_blob(sha256(b"manifest")).read() == b"manifest"


def test_a_write_that_the_disk_refuses_leaves_the_store_whole(store):
    keep(store, tiny_image(), "a:1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            keep(store, tiny_image([{"x": noise(100_000)}]), "a:1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in store.root.rglob("*") if path.name.startswith(".")]
    assert open_stored(store, parse_reference("a:1")).digest == tiny_image().digest
    assert validate(open_stored(store, parse_reference("a:1"))) == ()


def test_a_digest_that_is_a_path_never_becomes_one(store):
    for call in (lambda d: has_blob(store, d), StoreBlobs(store).open_blob):
        with pytest.raises(MalformedError):
            call("sha256:../../../../etc/passwd")


def test_blobs_can_be_read_by_others_whatever_the_umask(store):
    before = os.umask(0o077)
    try:
        add_bytes(store, b"x")
    finally:
        os.umask(before)
    assert store.blob(sha256(b"x")).stat().st_mode & 0o777 == 0o644


def test_an_image_opens_by_each_kind_of_name(store, tmp_path):
    image = tiny_image()
    keep(store, image, "formation/base:1.0.0")
    write_layout(tmp_path / "layout", image, "1")
    save_archive(tmp_path / "a.tar", image, [BASE])
    names = [
        "formation/base:1.0.0", f"formation/base@{image.digest}", "oci:layout", "oci:layout:1", "oci-archive:a.tar",
        "docker-archive:a.tar", "docker-archive:a.tar:formation/base:1.0.0", f"docker-archive:{tmp_path}/a.tar",
    ]  # fmt: skip
    for name in names:
        with open_image(parse_name(name), store, directory=tmp_path, environment={}) as found:
            assert validate(found) == (), name
            assert found.digest == image.digest


def test_a_daemon_without_its_client_is_an_error_with_a_hint(store, tmp_path):
    name = parse_name("docker-daemon:formation/base:1.0.0")
    with pytest.raises(FormationError, match="docker is not installed"):
        with open_image(name, store, directory=tmp_path, environment={"PATH": str(tmp_path)}):
            pass
