import fcntl
import json
import os
from contextlib import ExitStack
from dataclasses import replace

from formation.digest import sha256
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.layout import write_layout
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import OCI_INDEX
from formation.oci.reference import parse_reference
from formation.store import prune
from formation.store.blobs import StoreBlobs, add_bytes, add_image
from formation.store.images import keep_pulled, list_images, open_stored, tag_image
from formation.store.locking import in_use
from tiny_images import tiny_image


def test_images_are_a_table(with_image, golden):
    golden("images.txt", with_image("images").stdout)


def test_images_are_data(with_image):
    (image,) = json.loads(with_image("images", "--json").stdout)["images"]
    assert image["reference"] == "formation/base:1.0.0"
    assert image["digest"].startswith("sha256:")
    assert image["layers"] == 3
    assert image["created"] == "2026-01-02T03:04:05Z"
    assert image["size"] > 0


def test_no_images_is_an_answer(formation):
    assert formation("images").stdout == f"no images in {formation.directory}/store\n"
    assert json.loads(formation("images", "--json").stdout) == {"images": []}


def test_an_index_of_platforms_is_one_row_in_which_shared_layers_count_once(formation):
    images = [
        tiny_image([{"etc/hostname": b"shared"}, {"a": name.encode()}], architecture=name)
        for name in ("amd64", "arm64")
    ]
    for image in images:
        add_image(formation.store, image)
    data = index_bytes(Index(tuple(image.descriptor for image in images)))
    descriptor = Descriptor(OCI_INDEX, add_bytes(formation.store, data), len(data))
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), descriptor)
    (row,) = json.loads(formation("images", "--json").stdout)["images"]
    assert (row["platform"], row["layers"]) == ("linux/amd64 linux/arm64", 3)
    assert row["size"] == images[0].size + images[1].size - images[0].manifest.layers[0].size
    assert "linux/amd64 linux/arm64" in formation("images").stdout


def test_what_came_of_an_index_in_part_is_shown_by_a_digest_that_its_registry_knows(formation):
    index = sha256(b"the whole index")
    for name in ("v6", "v7"):
        add_image(formation.store, image := tiny_image([{"v": name.encode()}], architecture="arm"))
        came = replace(image.descriptor, platform=Platform("linux", "arm", name))
        with in_use(formation.store):
            keep_pulled(formation.store, parse_reference("registry.example.com/a:1"), came, index)
    (row,) = json.loads(formation("images", "--json").stdout)["images"]
    assert (row["digest"], row["platform"]) == (index, "linux/arm/v6 linux/arm/v7")


def test_a_damaged_image_is_listed_with_what_is_wrong(with_image):
    digest = json.loads(with_image("images", "--json").stdout)["images"][0]["digest"]
    with_image.store.blob(digest).write_bytes(b"rotten")
    result = with_image("images")
    assert result.code == 0
    assert "does not have the" in result.stdout


def test_an_image_is_forgotten(with_image):
    name = "formation/base:1.0.0"
    assert with_image("images", "--remove", name, "--dry-run").stdout == f"would remove {name}\n"
    assert with_image("images", "--remove", name, "--remove", "other:1").code == 3
    assert with_image("images", "--remove", name, "--json").stdout == json.dumps(
        {"removed": [name], "dry_run": False}, indent=2
    ) + "\n"  # fmt: skip
    assert with_image("images").stdout.startswith("no images")


def test_prune_waits_where_it_is_told_to_and_is_refused_elsewhere(with_image, monkeypatch):
    lock = fcntl.flock
    with ExitStack() as another:
        another.enter_context(in_use(with_image.store))
        refused = with_image("cache", "prune")
        assert (refused.code, "hint: wait until the other formation has ended: --wait" in refused.stderr) == (3, True)

        def end_first(descriptor, how):
            if how == fcntl.LOCK_EX:
                another.close()
            lock(descriptor, how)

        monkeypatch.setattr(fcntl, "flock", end_first)
        waited = with_image("cache", "prune", "--wait")
    assert (waited.code, ": waiting until " in waited.stderr, waited.stdout) == (0, True, "freed 0 B\n")


def test_prune_tells_of_an_image_whose_manifest_is_gone_and_ends(with_image):
    (digest,) = {image.descriptor.digest for image in list_images(with_image.store)}
    with_image.store.blob(digest).unlink()
    pruned = with_image("cache", "prune", "--all")
    assert pruned.code == 0
    assert pruned.stderr.startswith(f"note: the store lacks {digest} of formation/base:1.0.0: ")


def test_an_image_is_inspected(with_image, golden):
    golden("inspect.txt", with_image("inspect", "formation/base:1.0.0").stdout)


def test_an_image_is_inspected_as_data(with_image):
    found = json.loads(with_image("inspect", "formation/base:1.0.0", "--json").stdout)
    assert found["layers"][1]["packages"] == [
        {"name": "adduser", "version": "3.152"},
        {"name": "curl", "version": "8.14.1-2"},
        {"name": "libcurl4t64", "version": "8.14.1-2"},
    ]
    assert [layer["kind"] for layer in found["layers"]] == ["packages", "packages", "effects"]
    assert found["config"]["WorkingDir"] == "/app"
    assert found["lock"].startswith("sha256:")


def test_the_lock_of_an_image_is_printed_as_a_file_with_its_checksum(with_image):
    text = b"# the lock\npackages: []\n"
    printed = with_image("inspect", "formation/base:1.0.0", "--lock").stdout
    assert printed == f'# the lock\npackages: []\nchecksum = "{sha256(text)}"\n'


def test_the_lock_of_an_image_is_json_as_formation_lock_prints_it(formation):
    lock = Lock("sha256:" + "1" * 64, 1767323045, (), {"amd64": ()})
    digest = add_bytes(formation.store, lock_text(lock).encode())
    tag_image(
        formation.store,
        parse_reference("formation/base:1.0.0"),
        add_image(formation.store, tiny_image(annotations={LOCK_DIGEST: digest})),
    )
    assert json.loads(formation("inspect", "formation/base:1.0.0", "--lock", "--json").stdout) == {
        "definition": lock.definition,
        "architectures": ["amd64"],
        "epoch": 1767323045,
        "suites": [],
        "packages": [],
    }


def test_an_image_without_a_lock_says_so(formation):
    write_layout(formation.directory / "layout", tiny_image(), "1")
    result = formation("inspect", "oci:layout:1", "--lock")
    assert result.code == 3
    assert "does not say from which lock" in result.stderr


def test_the_raw_bytes_are_printed_unchanged(with_image):
    image = open_stored(with_image.store, parse_reference("formation/base:1.0.0"))
    assert with_image("inspect", "formation/base:1.0.0", "--raw", "manifest").stdout.encode() == image.manifest_bytes
    assert with_image("inspect", "formation/base:1.0.0", "--raw", "config").stdout.encode() == image.config_bytes


def test_a_check_says_yes_or_what_is_wrong(with_image):
    good = with_image("inspect", "formation/base:1.0.0", "--check")
    assert (good.code, good.stdout) == (0, "every digest, size and diffID is right\n")
    image = open_stored(with_image.store, parse_reference("formation/base:1.0.0"))
    digest = image.layers[1].descriptor.digest
    with_image.store.blob(digest).write_bytes(b"rotten")
    bad = with_image("inspect", "formation/base:1.0.0", "--check", "--json")
    assert bad.code == 1
    assert any(f"layer 1 {digest}" in problem for problem in json.loads(bad.stdout)["problems"])


def test_a_missing_image_is_answered_with_what_is_there(with_image):
    result = with_image("inspect", "formation/base:2.0.0")
    assert result.code == 3
    assert result.stderr == "error: the store has no image formation/base:2.0.0\nhint: it has: formation/base:1.0.0\n"


def test_an_image_from_outside_cannot_steer_the_terminal(formation):
    image = tiny_image(layer_annotations=[{"dev.formation.layer.packages": "evil\x1b[2J=1"}])
    write_layout(formation.directory / "layout", image, "1")
    assert "\x1b" not in formation("inspect", "oci:layout:1").stdout


def test_the_cache_is_shown_by_kind(with_image):
    result = with_image("cache")
    assert result.stdout.startswith(f"{with_image.directory}/store\n\nKIND       ENTRIES")
    data = json.loads(with_image("cache", "--json").stdout)
    assert data["size"] == sum(kind["size"] for kind in data["kinds"])
    assert {kind["kind"]: kind["entries"] for kind in data["kinds"]}["images"] == 1


def test_what_of_the_cache_belongs_to_somebody_else_is_told(with_image, monkeypatch):
    closed = [with_image.store.trees, with_image.store.effects]
    monkeypatch.setattr(prune, "_is_closed", lambda path: path in closed)
    result = with_image("cache")
    assert result.code == 0 and result.stdout.startswith(f"{with_image.directory}/store\n")
    assert [line.split(" cannot be read")[0].split()[-1] for line in result.stderr.splitlines()] == list(
        map(str, closed)
    )
    closed.append(with_image.store.root)
    result = with_image("cache")
    assert (result.code, result.stdout) == (3, "")
    assert f"{with_image.directory}/store: Permission denied" in result.stderr and "--store DIR" in result.stderr


def test_prune_takes_what_was_not_used_for_the_age(with_image):
    now = 2_000_000_000
    for name, days in (("a" * 64, 40), ("b" * 64, 20)):
        path = with_image.store.download(f"sha256:{name}")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"deb")
        os.utime(path, (now - days * 86400, now - days * 86400))
    dry = with_image("cache", "prune", "--dry-run", now=now)
    assert dry.stdout.startswith("would free ") and "downloads        1" in dry.stdout
    assert len(list(with_image.store.downloads.rglob("*.deb"))) == 2
    with_image("cache", "prune", now=now)
    assert [path.name[0] for path in with_image.store.downloads.rglob("*.deb")] == ["b"]
    with_image("cache", "prune", "--older-than", "2w", now=now)
    assert list(with_image.store.downloads.rglob("*.deb")) == []
    assert with_image("inspect", "formation/base:1.0.0", "--lock").code == 0


def test_pruning_all_and_images_empties_the_store(with_image):
    data = json.loads(with_image("cache", "prune", "--all", "--images", "--json").stdout)
    assert data["size"] > 0
    assert not list(StoreBlobs(with_image.store).store.blobs.iterdir())
    assert with_image("cache", "prune").stdout == "freed 0 B\n"
