from formation.oci.manifest import parse_index
from formation.oci.platform_index import VERSION, platform_index, version_of
from tiny_images import tiny_image

AMD64, ARM64 = (tiny_image(architecture=name, annotations={VERSION: "1.2.3"}) for name in ("amd64", "arm64"))


def test_the_same_images_give_the_same_index_in_whatever_order_they_come():
    assert platform_index([AMD64, ARM64], "1.2.3") == platform_index([ARM64, AMD64], "1.2.3")


def test_an_index_says_the_version_and_for_which_platform_each_image_is():
    index = parse_index(platform_index([ARM64, AMD64], "1.2.3"))
    assert index.annotations == {VERSION: "1.2.3"}
    found = [(entry.digest, str(entry.platform)) for entry in index.manifests]
    assert found == [(AMD64.digest, "linux/amd64"), (ARM64.digest, "linux/arm64")]


def test_an_image_that_says_no_version_has_none():
    assert version_of(AMD64) == "1.2.3"
    assert version_of(tiny_image()) == ""
