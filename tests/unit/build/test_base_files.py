"""What is read in a base, for its services."""

import pytest

from elves import elf_bytes
from formation.build.base_facts import facts_for_lock, needs_files
from formation.build.base_files import BaseFiles, read_base
from formation.build.service_tree import found
from formation.errors import IntegrityError
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.image import read_image
from formation.progress import Silent
from formation.store.blobs import StoreBlobs, add_bytes, add_image
from formation.store.store import Store
from services import service_in
from tiny_images import tiny_image

STATUS = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12\n"
LAYERS = (
    {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": b"root:x:0:\nadm:x:4:\n",
        "etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n",
        "etc/ld.so.conf.d/libc.conf": b"# libc default\n/usr/local/lib\n",
        "var/lib/dpkg/status": STATUS,
        "usr/lib/libz.so.1": elf_bytes(interpreter=None, soname="libz.so.1"),
        "etc/apt/sources.list": b"deb http://deb.debian.org/debian trixie main\n",
    },
    {
        "etc/passwd": b"root:x:0:0:a\x0cb:c:/root:/bin/sh\nformation:x:999:999::/:/bin/sh\n+nis\n",
        "etc/.wh.group": b"",
        "etc/dpkg/dpkg.cfg": b"no-debsig\nlog /var/log/dpkg.log\n",
        "etc/dpkg/dpkg.cfg.d/formation": b"#\npath-exclude=/usr/share/man/*\npath-include = /usr/share/man/man1/*\n",
    },
)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def stored(store: Store, layers=LAYERS, **arguments):
    """An image in the store."""
    image = tiny_image(layers, **arguments)
    return read_image(StoreBlobs(store), add_image(store, image))


def read(store: Store, image) -> BaseFiles:
    return read_base(image, "formation/base:1.0.0", store, workers=1, progress=Silent())


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_layers_of_a_base_are_read_as_one(store, compression):
    files = read(store, stored(store, compression=compression))
    assert files.users == {"root", "formation"}
    assert files.groups == frozenset()
    assert files.library_directories == ("/usr/local/lib",)
    assert files.has_database
    assert found(files.tree, "/usr/lib/libz.so.1").elf.soname == "libz.so.1"
    assert files.path_filters == (("/usr/share/man/*",), ("/usr/share/man/man1/*",))


def test_a_layer_that_is_not_what_its_digest_says_is_an_error(store):
    image = stored(store)
    blob = store.blob(image.manifest.layers[0].digest)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"formation/base:1.0.0 has a layer that cannot be relied on"):
        read(store, image)


def test_a_lock_needs_packages_archives_and_the_time_of_the_base(store, tmp_path):
    image = stored(store)
    service = service_in(tmp_path / "service", "packages: [curl]\n")
    facts = facts_for_lock(service, "amd64", image, read(store, image), store)
    assert facts.digest == image.digest
    assert facts.epoch == 1767323045
    assert [str(package.name) for package in facts.installed] == ["libc6"]
    assert [(archive.uri, archive.suites) for archive in facts.archives] == [
        ("http://deb.debian.org/debian", ("trixie",))
    ]


def test_archives_of_the_service_s_own_leave_those_of_the_base_unread(store, tmp_path):
    image = stored(store, ({"etc/apt/sources.list.d/x.sources": b"nonsense"},))
    service = service_in(tmp_path / "service", "distribution: debian/trixie\npackages: [curl]\n")
    facts = facts_for_lock(service, "amd64", image, read(store, image), store)
    assert (facts.installed, facts.archives) == (None, ())


def test_a_lock_that_cannot_be_read_any_more_leaves_the_sources_of_the_base(store, tmp_path):
    digest = add_bytes(store, b"format = 99\n")
    image = stored(store, annotations={LOCK_DIGEST: digest})
    service = service_in(tmp_path / "service", "packages: [curl]\n")
    assert len(facts_for_lock(service, "amd64", image, read(store, image), store).archives) == 1


def test_only_packages_need_a_look_into_the_base(tmp_path):
    assert not needs_files(service_in(tmp_path))
    assert needs_files(service_in(tmp_path, "packages: [curl]\n"))
    assert needs_files(service_in(tmp_path, "packages: [-curl]\n"))
