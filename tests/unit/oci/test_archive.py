import bz2
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from formation.digest import sha256
from formation.errors import FormationError, IntegrityError, MalformedError
from formation.oci.archive import save_archive, write_archive
from formation.oci.archive_reader import read_docker_archive, read_oci_archive
from formation.oci.media_types import OCI_LAYER
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from tiny_images import noise, tar_bytes, tiny_image

BASE = parse_reference("formation/base:1.0.0")
LATEST = parse_reference("formation/base:latest")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_archive_gives_back_the_same_image_as_docker_archive_and_as_oci_archive(tmp_path, compression):
    image = tiny_image(compression=compression)
    save_archive(tmp_path / "a.tar", image, [BASE])
    for found in (
        read_docker_archive(tmp_path / "a.tar"),
        read_docker_archive(tmp_path / "a.tar", BASE),
        read_oci_archive(tmp_path / "a.tar"),
        read_oci_archive(tmp_path / "a.tar", "1.0.0"),
    ):
        assert found.digest == image.digest
        assert validate(found) == ()


def test_layers_of_zstd_are_uncompressed_in_an_archive_for_old_dockers(tmp_path):
    image = tiny_image([{"a": noise(100_000)}, {"b": b"b"}, {"a": noise(100_000)}], compression="zstd")
    save_archive(tmp_path / "a.tar", image, [BASE])
    found = read_docker_archive(tmp_path / "a.tar", BASE)
    assert {layer.descriptor.media_type for layer in found.layers} == {OCI_LAYER}
    assert found.config_bytes == image.config_bytes
    assert validate(found) == ()
    again = tmp_path / "again.tar"
    save_archive(again, image, [BASE])
    assert again.read_bytes() == (tmp_path / "a.tar").read_bytes()


def test_an_archive_carries_several_references(tmp_path):
    save_archive(tmp_path / "a.tar", tiny_image(), [BASE, LATEST])
    assert read_docker_archive(tmp_path / "a.tar", LATEST).digest == tiny_image().digest
    assert read_oci_archive(tmp_path / "a.tar", "latest").digest == tiny_image().digest
    with pytest.raises(FormationError) as caught:
        read_docker_archive(tmp_path / "a.tar", parse_reference("other:1"))
    assert caught.value.hint == "it holds: formation/base:1.0.0, formation/base:latest"


def test_the_same_image_gives_the_same_archive_on_a_pipe_as_in_a_file(tmp_path):
    save_archive(tmp_path / "a.tar", tiny_image(), [BASE])

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def tell(self):
            raise OSError("a pipe")

        def seek(self, *_):
            raise OSError("a pipe")

    pipe = Pipe()
    write_archive(pipe, tiny_image(), [BASE])
    assert pipe.getvalue() == (tmp_path / "a.tar").read_bytes()


def test_nothing_in_an_archive_tells_of_the_machine(tmp_path):
    save_archive(tmp_path / "a.tar", tiny_image(), [BASE])
    with tarfile.open(tmp_path / "a.tar") as archive:
        marks = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in archive if m.isreg()}
    assert marks == {(0, 0, 0, "", "", 0o644)}


def test_a_layer_that_appears_twice_is_stored_once(tmp_path):
    image = tiny_image([{"a": b"a"}, {"b": b"b"}, {"a": b"a"}])
    save_archive(tmp_path / "a.tar", image, [BASE])
    with tarfile.open(tmp_path / "a.tar") as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert len(read_docker_archive(tmp_path / "a.tar").layers) == 3


def test_a_failed_save_leaves_the_old_archive(tmp_path):
    save_archive(tmp_path / "a.tar", tiny_image(), [BASE])
    before = (tmp_path / "a.tar").read_bytes()
    broken = tiny_image([{"x": noise(100)}])
    broken.source.content[broken.manifest.layers[0].digest] = b"wrong"
    with pytest.raises(IntegrityError):
        save_archive(tmp_path / "a.tar", broken, [BASE])
    assert (tmp_path / "a.tar").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.tar"]


def old_docker_archive(path, *, link=False):
    """As `docker save` wrote before 25.0: uncompressed layers under names of its own, and no layout."""
    image = tiny_image(compression="none")
    layers = [layer.open().read() for layer in image.layers]
    config = sha256(image.config_bytes).removeprefix("sha256:") + ".json"
    names = ["one/layer.tar", "two/layer.tar"]
    manifest = [{"Config": config, "RepoTags": ["formation/base:1.0.0"], "Layers": names}]
    files = {config: image.config_bytes, "one/layer.tar": layers[0], "manifest.json": json.dumps(manifest).encode()}
    buffer = io.BytesIO(tar_bytes(files if link else {**files, "two/layer.tar": layers[1]}))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        if link:
            member = tarfile.TarInfo("two/layer.tar")
            member.type, member.linkname = tarfile.SYMTYPE, "../real/layer.tar"
            archive.addfile(member)
            real = tarfile.TarInfo("real/layer.tar")
            real.size = len(layers[1])
            archive.addfile(real, io.BytesIO(layers[1]))
    path.write_bytes(buffer.getvalue())
    return image


@pytest.mark.parametrize("link", [False, True])
def test_an_archive_of_an_old_docker_is_read(tmp_path, link):
    image = old_docker_archive(tmp_path / "a.tar", link=link)
    found = read_docker_archive(tmp_path / "a.tar", BASE)
    assert found.config_bytes == image.config_bytes
    assert found.digest == image.digest
    assert validate(found) == ()


def malformed(kind: str) -> bytes:
    image = tiny_image([{"a": noise(50_000)}])
    buffer = io.BytesIO()
    write_archive(buffer, image, [BASE])
    whole = buffer.getvalue()
    loop = io.BytesIO()
    with tarfile.open(fileobj=loop, mode="w") as archive:
        for name, target in (("manifest.json", "x"), ("x", "manifest.json")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    escape = [{"Config": "../../etc/passwd", "RepoTags": None, "Layers": []}]
    pax = tarfile.TarInfo("huge")
    pax.type, pax.size = tarfile.XHDTYPE, 1 << 33
    return {
        "cut": whole[: len(whole) // 2],
        "not-a-tar": noise(10_000),
        "empty": b"",
        "no-manifest": tar_bytes({"x": b""}),
        "link-loop": loop.getvalue(),
        "path-outside": tar_bytes({"manifest.json": json.dumps(escape).encode()}),
        "huge-pax-header": pax.tobuf(tarfile.GNU_FORMAT) + bytes(100_000),
        "manifest-too-large": tar_bytes({"manifest.json": b" " * (5 << 20)}),
        "manifest-not-json": tar_bytes({"manifest.json": b"{"}),
        "layer-missing": tar_bytes(
            {
                "c": image.config_bytes,
                "manifest.json": json.dumps([{"Config": "c", "RepoTags": [], "Layers": ["l"]}]).encode(),
            }
        ),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["cut", "not-a-tar", "empty", "no-manifest", "link-loop", "path-outside", "huge-pax-header", "manifest-too-large",
     "manifest-not-json", "layer-missing"],
)  # fmt: skip
def test_a_malformed_archive_is_refused(tmp_path, kind):
    (tmp_path / "a.tar").write_bytes(malformed(kind))
    with pytest.raises(MalformedError):
        read_docker_archive(tmp_path / "a.tar")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_compressed_archive_gets_the_hint_to_decompress_it(tmp_path, compress):
    (tmp_path / "a.tar").write_bytes(compress(bytes(2000)))
    with pytest.raises(FormationError, match="is compressed"):
        read_docker_archive(tmp_path / "a.tar")


@given(st.binary(max_size=2000), st.integers(0, 5000))
def test_damaged_bytes_are_an_error_of_ours_or_harmless(tmp_path_factory, patch, offset):
    path = tmp_path_factory.mktemp("archive") / "a.tar"
    buffer = io.BytesIO()
    write_archive(buffer, tiny_image(), [BASE])
    data = buffer.getvalue()
    path.write_bytes(data[:offset] + patch + data[offset + len(patch) :])
    try:
        assert validate(read_docker_archive(path)) is not None
    except FormationError:
        pass
