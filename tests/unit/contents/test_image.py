"""All layers of an image: scanned in parallel, remembered, and checked again when their file changed."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elves import elf_bytes
from formation.contents import cache
from formation.contents import image as module
from formation.contents.detectors import DETECTORS
from formation.contents.image import problems, scan_image
from formation.contents.record import decode, encode
from formation.contents.scan import scan_layer
from formation.errors import MalformedError
from formation.oci.image import Image, read_image
from formation.store.blobs import StoreBlobs, add_image
from formation.store.store import Store
from hostile import hostile
from layer_tars import Member, directory, file, image_of_layers, layer_of, symlink, tar_of

LAYERS: list[list[Member]] = [
    [directory("etc"), file("etc/hostname", b"box\n"), file("bin/sh", elf_bytes(needed=("libc.so.6",)))],
    [file("etc/key", b"AKIAIOSFODNN7EXAMPLE\n"), symlink("l", "etc"), file("etc/.wh.hostname")],
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def stored(store: Store) -> Image:
    descriptor = add_image(store, image_of_layers(*LAYERS))
    return read_image(StoreBlobs(store), descriptor)


def layer_file(store: Store, image: Image, number: int) -> Path:
    return store.blob(image.manifest.layers[number].digest)


def test_layers_that_were_scanned_before_are_not_read_again(store, stored, monkeypatch):
    first = scan_image(stored, store, workers=1)
    monkeypatch.setattr(module, "scan_layer", None)
    assert scan_image(stored, store, workers=1).layers == first.layers


def test_a_store_that_takes_nothing_is_read_each_time(store, stored, monkeypatch):
    def refuse(path, data, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(cache, "write_bytes", refuse)
    assert scan_image(stored, store, workers=1) == scan_image(stored, store, workers=1)
    assert not (store.root / "contents").exists()


def test_worker_processes_and_threads_find_the_same(store, stored, monkeypatch):
    alone = scan_image(stored, None, workers=1)
    monkeypatch.setattr(module, "_INLINE", 0)
    assert scan_image(stored, None, workers=2).layers == alone.layers

    class Unsendable(StoreBlobs):
        def __reduce__(self):
            raise TypeError("no")

    shy = Image(Unsendable(store), stored.manifest_bytes, stored.config_bytes, stored.manifest, stored.config)
    assert scan_image(shy, None, workers=2).layers == alone.layers


def test_a_file_that_rotted_since_is_noticed(store, stored):
    scan_image(stored, store, workers=1)
    path = layer_file(store, stored, 0)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"box\n", b"fox\n"))
    found = scan_image(stored, store, workers=1)
    assert {problem.kind for _, problem in problems(found)} == {"digest", "diff-id"}
    path.write_bytes(data)
    assert problems(scan_image(stored, store, workers=1)) == ()


def test_a_copy_of_a_known_layer_is_hashed_and_its_contents_taken_from_the_record(store, stored, monkeypatch):
    scan_image(stored, store, workers=1)
    path = layer_file(store, stored, 0)
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)
    monkeypatch.setattr(module, "scan_layer", None)
    assert problems(scan_image(stored, store, workers=1)) == ()


def test_a_damaged_record_is_made_again(store, stored):
    first = scan_image(stored, store, workers=1)
    for record in store.contents.glob("*.facts"):
        record.write_bytes(record.read_bytes()[:-7])
    assert scan_image(stored, store, workers=1).layers == first.layers


def test_other_detectors_look_again(store, stored):
    scan_image(stored, store, workers=1)
    without = scan_image(stored, store, workers=1, detectors=())
    assert [match for layer in without.layers for match in layer.matches] == []
    again = scan_image(stored, store, workers=1, detectors=DETECTORS)
    assert [match.detector for layer in again.layers for match in layer.matches] == ["aws-key"]


def test_a_layer_that_is_not_what_was_promised_is_not_remembered(store, stored):
    path = layer_file(store, stored, 0)
    path.write_bytes(path.read_bytes().replace(b"box\n", b"fox\n"))
    scan_image(stored, store, workers=1)
    assert len(list(store.contents.glob("*.facts"))) == 1


def test_images_beyond_every_measure_are_refused(stored, monkeypatch):
    monkeypatch.setattr(module, "HEAVIEST", 1000)
    with pytest.raises(MalformedError, match="more files"):
        scan_image(stored, None, workers=1)
    monkeypatch.setattr(module, "MOST_LAYERS", 1)
    with pytest.raises(MalformedError, match="2 layers"):
        scan_image(stored, None, workers=1)


_names = st.binary(min_size=1, max_size=20).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))


@given(st.dictionaries(_names.map(lambda name: "etc/n" + name.decode("utf-8", "surrogateescape")), st.binary()))
def test_what_is_remembered_is_what_was_found(files):
    contents = scan_layer(layer_of(tar_of(*(file(path, content) for path, content in files.items()))))
    assert decode(encode(contents)) == contents


def test_a_record_that_tells_an_enormous_size_is_refused():
    zstd_magic, eight_byte_size = b"\x28\xb5\x2f\xfd", b"\xe0"
    with pytest.raises(MalformedError, match="a size that no record has"):
        decode(zstd_magic + eight_byte_size + (1 << 46).to_bytes(8, "little") + bytes(20))


@hostile
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_record_is_refused(position, value):
    data = bytearray(encode(scan_layer(layer_of(tar_of(file("etc/a", b"content"), file("bin/x", elf_bytes()))))))
    position %= len(data)
    if data[position] == value:
        return
    whole = decode(bytes(data))
    data[position] = value
    try:
        assert decode(bytes(data)) == whole
    except MalformedError:
        pass
