import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, MalformedError
from formation.oci.decompression import decompressed, detect_compression
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import choose_manifest, image_of, read_image
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import OCI_INDEX, OCI_MANIFEST
from formation.oci.strict_json import MAXIMUM_SIZE
from formation.oci.validate import validate
from formation.oci.verified import verified
from tiny_images import Blobs, compress, noise, tar_bytes, tiny_image


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_layer_is_read_compressed_and_uncompressed(compression):
    image = tiny_image([{"a": noise(3 << 20)}, {"b": b"x"}], compression=compression)
    for layer, files in zip(image.layers, [{"a": noise(3 << 20)}, {"b": b"x"}], strict=True):
        with layer.open() as stream, layer.uncompressed() as tar:
            assert sha256(stream.read()) == layer.descriptor.digest
            assert tar.read() == tar_bytes(files)


def test_the_digest_is_that_of_the_raw_bytes_however_they_are_spelled():
    image = tiny_image()
    spaced = image.manifest_bytes.replace(b",", b", ")
    same = image_of(image.source, spaced)
    assert same.manifest == image.manifest
    assert same.digest == sha256(spaced) != image.digest


def test_the_size_counts_a_layer_that_appears_twice_once():
    once, twice = tiny_image([{"a": b"a"}]), tiny_image([{"a": b"a"}, {"a": b"a"}])
    layer = once.layers[0].descriptor.size
    assert twice.size - len(twice.manifest_bytes) - len(twice.config_bytes) == layer


@given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 300))
def test_a_verified_stream_gives_the_right_bytes_or_an_error(promised, found, size):
    stream = verified(io.BytesIO(found), sha256(promised), size, "blob")
    if found == promised and size == len(promised):
        assert stream.read() == promised
    else:
        with pytest.raises(IntegrityError, match=r"^blob does not have the"):
            stream.read()


def test_the_last_byte_of_a_wrong_blob_is_not_handed_out_even_when_its_end_is_not_asked_for():
    stream = verified(io.BytesIO(b"right" + noise(5 << 20)), sha256(b"wrong"), 5 + (5 << 20), "blob")
    with pytest.raises(IntegrityError):
        for _ in range(5 + (5 << 20)):
            stream.read(1 << 16)


def test_a_longer_blob_than_promised_is_refused_before_it_is_read_to_its_end():
    class Endless(io.RawIOBase):
        count = 0

        def read(self, size=-1):
            self.count += size
            return bytes(size)

    source = Endless()
    with pytest.raises(IntegrityError):
        verified(source, sha256(b""), 10, "blob").read()
    assert source.count < 4 << 20


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing", "empty"])
def test_a_damaged_layer_is_an_integrity_error(compression, damage):
    image = tiny_image([{"a": noise(100_000)}], compression=compression)
    layer = image.layers[0]
    stored = image.source.content[layer.descriptor.digest]
    middle = len(stored) // 2
    broken = {
        "cut": stored[:-20],
        "flipped": stored[:middle] + bytes([stored[middle] ^ 0xFF]) + stored[middle + 1 :],
        "trailing": stored + b"garbage",
        "empty": b"",
    }[damage]
    image.source.content[sha256(broken)] = broken
    descriptor = dataclasses.replace(layer.descriptor, digest=sha256(broken), size=len(broken))
    with pytest.raises(IntegrityError):
        dataclasses.replace(layer, descriptor=descriptor).uncompressed().read()


@given(st.binary(max_size=300), st.sampled_from(["gzip", "zstd"]))
def test_any_bytes_decompress_or_are_malformed(data, compression):
    try:
        decompressed(io.BytesIO(data), compression, "layer").read()
    except MalformedError:
        pass


def test_a_bomb_is_read_piece_by_piece():
    bomb = compress(bytes(64 << 20), "gzip")
    assert len(bomb) < 100_000
    with decompressed(io.BytesIO(bomb), "gzip", "layer") as stream:
        assert len(stream.read(1 << 16)) == 1 << 16


def test_a_zstd_frame_with_a_huge_window_is_refused():
    # Frame header: magic, descriptor without flags, window descriptor for 2 TiB, an empty last raw block.
    frame = b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00"
    with pytest.raises(MalformedError, match="cannot be decompressed"):
        decompressed(io.BytesIO(frame), "zstd", "layer").read()


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_compression_is_told_by_the_first_bytes(compression):
    assert detect_compression(compress(tar_bytes({"a": b""}), compression)[:4]) == compression


def index_of(*images):
    blobs = Blobs({})
    for image in images:
        blobs.content |= image.source.content
    data = index_bytes(Index(tuple(image.descriptor for image in images)))
    return blobs, Descriptor(OCI_INDEX, blobs.add(data), len(data))


def test_an_index_gives_the_image_for_a_platform():
    amd64, arm64 = tiny_image(), tiny_image(architecture="arm64")
    blobs, descriptor = index_of(amd64, arm64)
    assert read_image(blobs, descriptor, Platform("linux", "arm64", "v8")).digest == arm64.digest
    with pytest.raises(FormationError, match="no platform was asked for; it has: linux/amd64, linux/arm64"):
        read_image(blobs, descriptor)
    with pytest.raises(FormationError, match="no image for linux/riscv64; it has: linux/amd64, linux/arm64"):
        read_image(blobs, descriptor, Platform("linux", "riscv64"))


def test_attestations_beside_an_image_are_not_taken_for_one():
    image = tiny_image().descriptor
    attestation = Descriptor(OCI_MANIFEST, sha256(b"x"), 1, platform=Platform("unknown", "unknown"))
    assert choose_manifest((image, attestation), None) == image


def test_indexes_nested_for_ever_are_refused():
    image = tiny_image()
    blobs, descriptor = index_of(image)
    for _ in range(5):
        data = index_bytes(Index((descriptor,)))
        descriptor = Descriptor(OCI_INDEX, blobs.add(data), len(data))
    with pytest.raises(FormationError, match="is not an image"):
        read_image(blobs, descriptor)


def test_a_manifest_over_the_limit_is_refused_unread():
    descriptor = Descriptor(OCI_MANIFEST, sha256(b""), MAXIMUM_SIZE + 1)
    with pytest.raises(MalformedError, match="are accepted"):
        read_image(Blobs({}), descriptor)


def test_a_right_image_has_no_problems():
    for compression in ("none", "gzip", "zstd"):
        assert validate(tiny_image(compression=compression)) == ()


def test_every_broken_promise_is_reported_at_once():
    image = tiny_image([{"a": b"a"}, {"b": b"b"}, {"c": b"c"}])
    first, second, third = image.manifest.layers
    image.source.content[first.digest] = b"other"
    del image.source.content[second.digest]
    config = dataclasses.replace(
        image.config, diff_ids=(*image.config.diff_ids[:2], sha256(b"no"), sha256(b"more")), history=()
    )
    manifest = dataclasses.replace(
        image.manifest,
        layers=(first, second, third),
        config=dataclasses.replace(image.manifest.config, media_type="text/plain"),
    )
    problems = validate(dataclasses.replace(image, config=config, manifest=manifest))
    text = "\n".join(problems)
    assert "the manifest has 3 layers, and the config 4 diffIDs" in text
    assert "the config has the media type 'text/plain'" in text
    assert f"layer 0 {first.digest} does not have" in text
    assert f"blob {second.digest} is missing" in text
    assert f"layer 2, uncompressed, does not have the digest {sha256(b'no')}" in text


def test_a_history_that_does_not_fit_the_layers_is_reported():
    image = tiny_image()
    config = dataclasses.replace(image.config, history=image.config.history[:1])
    assert validate(dataclasses.replace(image, config=config)) == (
        "the manifest has 2 layers, and the history 1 entries that made one",
    )
