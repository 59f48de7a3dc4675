"""The layers of the base image: well formed, without traces of the machine that built them, shared by both variants."""

import re
from itertools import pairwise
from pathlib import PurePosixPath

import pytest

from formation.entry import encode_path
from formation.lock.lockfile import lock_digest, lock_text, read_lock
from formation.oci.annotations import LAYER_KIND, LOCK_DIGEST, layer_packages
from formation.oci.validate import validate
from formation.tarstream import read_tar

pytestmark = pytest.mark.network

USR_MERGED = ("bin", "lib", "lib64", "sbin")

BELONGS_TO_THE_MACHINE = re.compile(
    r"""
    dev/.+ | proc/.+ | sys/.+ | run/.+ | tmp/.+ | var/tmp/.+ | root/\..*history | root/\.wget-hsts | \.dockerenv
    | etc/(resolv\.conf|hostname|mtab|adjtime) | etc/ssh/ssh_host_.*
    | var/cache/(apt/.*\.bin | apt/archives/.*\.deb | debconf/.*-old | ldconfig/.+)
    | var/lib/apt/lists/.+ | var/lib/dpkg/(.*-old | lock.* | updates/.+ | triggers/Lock) | var/lib/systemd/.*seed
    | .*\.dpkg-(new|tmp|old) | .*/__pycache__(/.*)?
    """,
    re.VERBOSE,
)
"""What a machine writes while it runs, and a builder leaves behind."""

MUST_BE_EMPTY = re.compile(r"etc/machine-id | var/lib/dbus/machine-id | var/log/.+", re.VERBOSE)


@pytest.fixture(scope="module", params=["runtime", "dev"])
def image(request):
    """The image of each variant."""
    return request.getfixturevalue("base_image" if request.param == "runtime" else "dev_image").image


@pytest.fixture(scope="module")
def layers(image):
    """The entries of each layer, base layer first."""
    return [entries(layer) for layer in image.layers]


def entries(layer):
    with layer.uncompressed() as tar:
        return [entry for entry, _ in read_tar(iter(lambda: tar.read(1 << 20), b""), layer.descriptor.digest)]


def test_every_digest_size_and_diff_id_is_right(image):
    assert validate(image) == ()


def test_no_entry_is_there_twice(layers):
    for layer in layers:
        paths = [entry.path for entry in layer]
        assert len(paths) == len(set(paths))


def test_entries_are_sorted_directories_before_the_files_of_each_package(image, layers):
    for described, layer in zip(image.layers, layers, strict=True):
        packages = layer_packages(described.descriptor)
        directories = [encode_path(entry.path) for entry in layer if entry.type == "directory"]
        others = [encode_path(entry.path) for entry in layer if entry.type != "directory"]
        assert directories == sorted(directories)
        if packages:
            assert all(entry.type == "directory" for entry in layer[: len(directories)])
        # Packages follow each other; inside each, names rise.
        falls = sum(before > after for before, after in pairwise(others))
        assert falls < max(1, len(packages))


def test_every_directory_comes_before_what_is_in_it(layers):
    for layer in layers:
        seen = {"."}
        for entry in layer:
            assert entry.path == "" or str(PurePosixPath(entry.path).parent) in seen, entry
            if entry.type == "directory":
                seen.add(entry.path)


def test_nothing_lies_below_what_another_layer_has_as_a_link(layers):
    links = {entry.path for layer in layers for entry in layer if entry.type == "symlink"}
    assert links >= set(USR_MERGED)
    below = [entry for layer in layers for entry in layer if links & set(map(str, PurePosixPath(entry.path).parents))]
    assert below == []


def test_there_are_only_files_directories_and_links_owned_by_known_ids(layers):
    kinds = {entry.type for layer in layers for entry in layer}
    assert kinds == {"file", "directory", "symlink", "hardlink"}
    assert all(max(entry.uid, entry.gid) < 1000 or entry.gid == 65534 for layer in layers for entry in layer)


def test_hard_links_lead_to_files_that_come_before_them(layers):
    for layer in layers:
        files = set()
        for entry in layer:
            assert entry.type != "hardlink" or entry.target in files, entry
            files.add(entry.path)


def test_no_layer_tells_of_the_machine_that_built_it(layers):
    # The empty directories of packages, such as /run/lock, may stay.
    entries = [entry for layer in layers for entry in layer if entry.type != "directory"]
    assert [entry.path for entry in entries if BELONGS_TO_THE_MACHINE.fullmatch(entry.path)] == []
    assert [entry.path for entry in entries if entry.size and MUST_BE_EMPTY.fullmatch(entry.path)] == []


def test_no_time_is_later_than_the_lock(layers, base_project):
    epoch = read_lock(base_project / "formation.lock").epoch
    assert max(entry.mtime for layer in layers for entry in layer) <= epoch


def test_only_the_layers_of_effects_remove_anything(image, layers):
    kinds = [layer.descriptor.annotations[LAYER_KIND] for layer in image.layers]
    assert set(kinds) == {"packages", "effects"}
    for kind, layer in zip(kinds, layers, strict=True):
        whiteouts = [entry.path for entry in layer if PurePosixPath(entry.path).name.startswith(".wh.")]
        assert kind == "effects" or whiteouts == []


def test_the_image_names_the_lock_that_it_is_built_from(image, base_project):
    digest = image.manifest.annotations[LOCK_DIGEST]
    assert digest == lock_digest(lock_text(read_lock(base_project / "formation.lock")))
    assert f'checksum = "{digest}"\n' in (base_project / "formation.lock").read_text()


def test_the_dev_variant_shares_every_layer_of_the_runtime_variant(base_image, dev_image):
    runtime, dev = base_image.image, dev_image.image
    shared = len(runtime.manifest.layers)
    assert dev.manifest.layers[:shared] == runtime.manifest.layers
    assert dev.config.diff_ids[:shared] == runtime.config.diff_ids
    assert len(dev.manifest.layers) > shared
