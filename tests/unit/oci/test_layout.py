import json
import os
from pathlib import Path

import pytest

from formation.errors import FormationError, IntegrityError, MalformedError
from formation.oci.layout import open_layout, write_layout
from tiny_images import noise, tiny_image


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_an_image_comes_back_from_a_layout_as_it_went_in(tmp_path):
    image = tiny_image()
    write_layout(tmp_path / "new" / "layout", image, "1.0.0")
    found = open_layout(tmp_path / "new" / "layout").image("1.0.0")
    assert (found.manifest_bytes, found.config_bytes) == (image.manifest_bytes, image.config_bytes)
    assert [layer.open().read() for layer in found.layers] == [layer.open().read() for layer in image.layers]


def test_a_layout_holds_several_tags(tmp_path):
    one, other = tiny_image(), tiny_image([{"x": b"x"}])
    write_layout(tmp_path, one, "1.0.0")
    write_layout(tmp_path, other, "1.0.1")
    write_layout(tmp_path, one, "latest")
    layout = open_layout(tmp_path)
    assert layout.image("1.0.0").digest == layout.image("latest").digest == one.digest
    assert layout.image("1.0.1").digest == other.digest
    with pytest.raises(FormationError, match=r"its tags: '1\.0\.0', '1\.0\.1', 'latest'"):
        layout.image()
    with pytest.raises(FormationError, match="no image tagged '2'"):
        layout.image("2")


def test_writing_twice_changes_nothing(tmp_path):
    write_layout(tmp_path, tiny_image(), "1")
    before = content(tmp_path)
    write_layout(tmp_path, tiny_image(), "1")
    assert content(tmp_path) == before


def test_an_image_without_a_tag_is_written_once(tmp_path):
    write_layout(tmp_path, tiny_image(), None)
    write_layout(tmp_path, tiny_image(), None)
    layout = open_layout(tmp_path)
    assert len(layout.index.manifests) == 1
    assert layout.image().digest == tiny_image().digest


def test_a_tag_moves_to_the_new_image(tmp_path):
    write_layout(tmp_path, tiny_image(), "latest")
    write_layout(tmp_path, tiny_image([{"x": b""}]), "latest")
    assert len(open_layout(tmp_path).index.manifests) == 1
    assert open_layout(tmp_path).image("latest").digest == tiny_image([{"x": b""}]).digest


def test_entries_of_others_stay_as_they_are(tmp_path):
    write_layout(tmp_path, tiny_image(), "1")
    foreign = {
        "mediaType": "application/vnd.example",
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "urls": ["https://example.com"],
        "data": "eA==",
    }
    index = json.loads((tmp_path / "index.json").read_bytes())
    index["manifests"].insert(0, foreign)
    (tmp_path / "index.json").write_text(json.dumps(index))
    write_layout(tmp_path, tiny_image([{"x": b""}]), "2")
    assert json.loads((tmp_path / "index.json").read_bytes())["manifests"][0] == foreign


def test_a_failed_write_leaves_the_layout_as_it_was(tmp_path):
    write_layout(tmp_path, tiny_image(), "1")
    before = content(tmp_path)
    broken = tiny_image([{"y": noise(5000)}, {"z": b"z"}])
    broken.source.content[broken.manifest.layers[0].digest] = b"wrong"
    with pytest.raises(IntegrityError):
        write_layout(tmp_path, broken, "1")
    assert content(tmp_path) == before


@pytest.mark.parametrize("there", [False, True])
def test_a_failed_write_leaves_nothing_of_a_new_layout(tmp_path, there):
    path = tmp_path / "some" / "where"
    if there:
        path.mkdir(parents=True)
    broken = tiny_image([{"y": noise(5000)}, {"z": b"z"}])
    broken.source.content[broken.manifest.layers[1].digest] = b"wrong"
    with pytest.raises(IntegrityError):
        write_layout(path, broken, "1")
    assert sorted(tmp_path.rglob("*")) == ([path.parent, path] if there else [])
    write_layout(path, tiny_image(), "1")
    assert open_layout(path).image("1").digest == tiny_image().digest


def test_a_write_that_was_killed_before_its_index_can_be_repeated(tmp_path):
    write_layout(tmp_path, tiny_image(), "1")
    (tmp_path / "index.json").unlink()
    write_layout(tmp_path, tiny_image(), "1")
    assert open_layout(tmp_path).image("1").digest == tiny_image().digest


def test_a_cut_blob_is_written_again(tmp_path):
    image = tiny_image()
    write_layout(tmp_path, image, "1")
    blob = tmp_path / "blobs" / "sha256" / image.manifest.layers[0].digest.removeprefix("sha256:")
    blob.write_bytes(b"cut")
    write_layout(tmp_path, image, "1")
    assert open_layout(tmp_path).image("1").layers[0].open().read()


def test_a_directory_with_something_else_is_not_written_to(tmp_path):
    (tmp_path / "precious").write_text("data")
    with pytest.raises(FormationError, match="is not empty and not an OCI layout"):
        write_layout(tmp_path, tiny_image(), "1")
    assert content(tmp_path) == {"precious": b"data"}


def test_nothing_is_written_through_a_symbolic_link(tmp_path):
    (tmp_path / "outside").mkdir()
    layout = tmp_path / "layout"
    layout.mkdir()
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "blobs").symlink_to(tmp_path / "outside")
    with pytest.raises(MalformedError, match="symbolic link"):
        write_layout(layout, tiny_image(), "1")
    assert not any((tmp_path / "outside").iterdir())


def hostile(kind: str, layout: Path) -> None:
    index, marker = layout / "index.json", layout / "oci-layout"
    image = tiny_image()
    blob = layout / "blobs" / "sha256" / image.digest.removeprefix("sha256:")
    config = layout / "blobs" / "sha256" / image.manifest.config.digest.removeprefix("sha256:")
    match kind:
        case "no-marker":
            marker.unlink()
        case "unknown-version":
            marker.write_text('{"imageLayoutVersion": "2.0.0"}')
        case "index-is-fifo":
            index.unlink()
            os.mkfifo(index)
        case "index-is-link":
            index.unlink()
            index.symlink_to("/etc/passwd")
        case "index-too-large":
            index.write_bytes(b" " * (5 << 20))
        case "index-is-manifest":
            index.write_bytes(image.manifest_bytes)
        case "digest-is-path":
            index.write_text(index.read_text().replace(image.digest, "sha256:../../../etc/passwd"))
        case "other-algorithm":
            index.write_text(index.read_text().replace("sha256", "sha512"))
        case "manifest-missing":
            blob.unlink()
        case "manifest-changed":
            blob.write_bytes(image.manifest_bytes.replace(b"2", b"3"))
        case "manifest-is-link":
            blob.unlink()
            blob.symlink_to("/dev/zero")
        case "config-longer":
            config.write_bytes(image.config_bytes + b" ")


@pytest.mark.parametrize(
    "kind",
    ["no-marker", "unknown-version", "index-is-fifo", "index-is-link", "index-too-large", "index-is-manifest",
     "digest-is-path", "other-algorithm", "manifest-missing", "manifest-changed", "manifest-is-link", "config-longer"],
)  # fmt: skip
def test_a_hostile_layout_is_refused(tmp_path, kind):
    write_layout(tmp_path, tiny_image(), "1")
    hostile(kind, tmp_path)
    with pytest.raises(FormationError) as caught:
        open_layout(tmp_path).image("1")
    assert caught.value.exit_code in (3, 4)


def test_what_is_no_directory_is_no_layout(tmp_path):
    with pytest.raises(FormationError, match="is not a directory"):
        open_layout(tmp_path / "missing")
