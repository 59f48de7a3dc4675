"""Which platforms a name stands for, as `release check` and `diff` tell it, wherever the image is."""

import tarfile
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fake_registry import FakeRegistry
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.image import Image, image_of
from formation.oci.manifest import Index, index_bytes
from formation.oci.media_types import OCI_INDEX
from formation.oci.platform_index import platform_index
from formation.oci.reference import parse_reference
from formation.store.blobs import add_bytes, add_image
from formation.store.images import tag_image
from sound_image import sound_image
from tiny_images import Blobs

AMD64 = ("--platform", "linux/amd64", "--no-changelogs", "--plain-http")


def keep(command, name: str, *entries: Descriptor) -> Descriptor:
    """Puts an index of these into the store of `command`, under `name`."""
    data = index_bytes(Index(entries))
    index = Descriptor(OCI_INDEX, add_bytes(command.store, data), len(data))
    tag_image(command.store, parse_reference(name), index)
    return index


def added(command, images: Sequence[Image]) -> list[Descriptor]:
    return [add_image(command.store, image) for image in images]


def named_by_os(image: Image, os: str) -> Image:
    """`image`, whose config says that it is for another operating system."""
    blobs = Blobs(dict(image.source.content))  # type: ignore[attr-defined]
    config = image.config_bytes.replace(b'"os":"linux"', f'"os":"{os}"'.encode())
    manifest = image.manifest_bytes.replace(image.manifest.config.digest.encode(), blobs.add(config).encode())
    size = f'"size":{image.manifest.config.size}'.encode()
    manifest = manifest.replace(size, f'"size":{len(config)}'.encode())
    return image_of(blobs, manifest)


@pytest.fixture
def both(formation):
    """The command line with formation/base:1.0.0 for amd64 and arm64 in its store, and one:1.0.0 for amd64 alone."""
    images = [sound_image(), sound_image(architecture="arm64")]
    keep(formation, "formation/base:1.0.0", *added(formation, images))
    tag_image(formation.store, parse_reference("formation/one:1.0.0"), images[0].descriptor)
    return formation


def first_line(command, old: str, new: str = "formation/one:1.0.0") -> str:
    return command("release", "check", "--old", old, "--new", new, *AMD64).stdout.splitlines()[0]


def test_an_architecture_that_is_gone_from_a_layout_is_told_with_and_without_its_tag(both):
    assert both("copy", "formation/base:1.0.0", "oci:both:1.0.0").code == 0
    with tarfile.open(both.directory / "both.tar", "w") as archive:
        archive.add(both.directory / "both", ".")
    for old in ("oci:both:1.0.0", "oci:both", "oci-archive:both.tar"):
        assert first_line(both, old) == "major  platform arm64 removed"


def test_images_beside_each_other_in_a_layout_are_those_that_it_stands_for(both):
    for platform in ("linux/amd64", "linux/arm64"):
        tag = platform.replace("linux/", "1.0.0-")
        assert both("copy", "formation/base:1.0.0", f"oci:both:{tag}", "--platform", platform).code == 0
    assert first_line(both, "oci:both") == "major  platform arm64 removed"
    # One tag of them is one image.
    assert first_line(both, "oci:both:1.0.0-amd64") == "nothing changed since 1.0.0; 1.0.0 is enough"


def test_an_index_in_an_index_is_looked_into(both):
    inner = keep(both, "formation/inner:1.0.0", *added(both, [sound_image(), sound_image(architecture="arm64")]))
    keep(both, "formation/nested:1.0.0", inner)
    assert first_line(both, "formation/nested:1.0.0") == "major  platform arm64 removed"
    with FakeRegistry() as server:
        published = f"docker://{server.host}/team/base:1.0.0"
        assert both("copy", "formation/nested:1.0.0", published, "--plain-http").code == 0
        assert first_line(both, published) == "major  platform arm64 removed"


def test_a_registry_is_asked_once_what_a_tag_stands_for(both):
    with FakeRegistry() as server:
        published = f"docker://{server.host}/team/base"
        assert both("publish", "formation/base:1.0.0", published, "--plain-http").code == 0
        server.requests.clear()
        assert first_line(both, f"{published}:latest") == "major  platform arm64 removed"
        assert sum(each.path.endswith("/manifests/latest") for each in server.requests) == 1


def test_platforms_that_debian_lacks_have_one_name_in_indexes_and_alone(formation):
    arm, mips = sound_image(architecture="arm"), sound_image(architecture="mips64le")
    # Configs leave out what an index says of an ARM.
    entries = {"arm": replace(arm.descriptor, platform=Platform("linux", "arm", "v7")), "mips64le": mips.descriptor}
    for name, image in (("arm", arm), ("mips64le", mips)):
        tag_image(formation.store, parse_reference(f"x/{name}:1.0.0"), add_image(formation.store, image))
        keep(formation, f"x/{name}-index:1.0.0", entries[name])
        sides = ("--old", f"x/{name}:1.0.0", "--new", f"x/{name}-index:1.0.0")
        found = formation("release", "check", *sides, "--platform", f"linux/{name}", "--no-changelogs")
        assert (found.code, found.stdout) == (0, "nothing changed since 1.0.0; 1.0.0 is enough\n")
    keep(formation, "x/all:1.0.0", *entries.values())
    there = formation("diff", "x/all:1.0.0", "x/all:1.0.0", "--platform", "linux/arm/v7", "--no-changelogs").stdout
    assert "note: the images for armhf were compared, and those for linux/mips64le were not" in there


def test_windows_is_no_architecture_of_debian(both):
    windows = named_by_os(sound_image(), "windows")
    keep(both, "x/old:1.0.0", *added(both, [sound_image(), windows]))
    assert first_line(both, "x/old:1.0.0") == "major  platform windows/amd64 removed"


def test_an_index_lists_one_platform_where_it_holds_one(both):
    data = platform_index([sound_image()], "1.0.0")
    index = Descriptor(OCI_INDEX, add_bytes(both.store, data), len(data))
    tag_image(both.store, parse_reference("x/index:1.0.0"), index)
    assert first_line(both, "x/index:1.0.0") == "nothing changed since 1.0.0; 1.0.0 is enough"
