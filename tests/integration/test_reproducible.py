"""One lock, one digest: builds with everything different, compared in digests, config and layer bytes (decision 7)."""

import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from builds import SMALL as SMALL_TEXT
from builds import USER_ID, Formation, define, layers, new_store
from built_images import Built
from formation.oci.decompression import decompressed
from formation.store.store import Store

pytest_plugins = ["small_images"]
pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("reproducible")]

OTHER_DAY = """
import time
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + {days} * 86400
time.time_ns = lambda: real_ns() + {days} * 86400 * 10**9
"""


@pytest.fixture(scope="module")
def reference(small: Path, shared_store: Path, open_directory: Path) -> tuple[Path, str]:
    """A store with what root builds in the ordinary way, from nothing but downloads, and the image's digest."""
    Formation().build(shared_store, small)
    store = new_store(open_directory / "reference", small, shared_store)
    return store, Formation().build(store, small).data["digest"]


@pytest.fixture
def disk(open_directory: Path) -> Iterator[Path]:
    """Another file system."""
    directory = open_directory / "disk"
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
    yield directory
    subprocess.run(["umount", directory], check=True)


def on_another_day(start: Formation, directory: Path, days: int) -> Formation:
    """With a clock that is some days wrong."""
    directory.mkdir(exist_ok=True)
    (directory / "sitecustomize.py").write_text(OTHER_DAY.format(days=days))
    path = ":".join(filter(None, [str(directory), start.environment.get("PYTHONPATH")]))
    return start.with_environment(PYTHONPATH=path)


def same(one: tuple[Path, str], other: tuple[Path, str]) -> None:
    """Asserts that two stores have the same image: manifest, config and layers, byte for byte."""
    assert one[1] == other[1]
    for digest in (one[1], *layers(*one)):
        assert Store(one[0]).blob(digest).read_bytes() == Store(other[0]).blob(digest).read_bytes()


def test_a_user_with_everything_different_builds_the_same_image(
    small: Path, shared_store: Path, reference: tuple[Path, str], as_user: Formation, disk: Path, open_directory: Path
) -> None:
    """Another user, directory, file system, host name, time zone, language, umask, day, and one core."""
    elsewhere = disk / "a directory with späces"
    elsewhere.mkdir()
    for name in ("formation.yaml", "formation.lock"):
        (elsewhere / name).write_bytes((small / name).read_bytes())
    store = new_store(disk / "store", small, shared_store)
    for path in (store, *store.rglob("*")):
        os.chown(path, USER_ID, USER_ID)
    start = on_another_day(as_user, open_directory / "next-year", 400)
    start = start.with_environment(
        TZ="Pacific/Kiritimati", LANG="tr_TR.UTF-8", LC_ALL="de_DE.ISO-8859-1", PYTHONHASHSEED="7", PYTHONUTF8="0"
    )
    start = start.after("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec taskset 1 "$@"', "sh")
    ran = Formation(start.prefix, start.python, start.environment, disk, 0o077).build(store, elsewhere)
    same(reference, (store, ran.data["digest"]))


def test_root_with_everything_else_different_builds_the_same_image(
    small: Path, shared_store: Path, reference: tuple[Path, str], tmp_path: Path
) -> None:
    """No namespaces, umask 0, the day before yesterday, and as many cores as there are."""
    store = new_store(tmp_path / "store", small, shared_store)
    start = on_another_day(Formation(directory=tmp_path, umask=0), tmp_path / "past", -2)
    start = start.with_environment(TZ="America/St_Johns", LC_ALL="POSIX", LANGUAGE="fr", PYTHONHASHSEED="8")
    start = start.after("setpriv", "--bounding-set=-sys_admin,-mknod", "--inh-caps=-sys_admin,-mknod")
    same(reference, (store, start.build(store, small).data["digest"]))


def test_the_base_image_is_the_same_for_a_user(
    base_project: Path, base_image: Built, shared_store: Path, as_user: Formation, open_directory: Path
) -> None:
    store = new_store(open_directory / "base-user", base_project, shared_store)
    for path in (store, *store.rglob("*")):
        os.chown(path, USER_ID, USER_ID)
    ran = as_user.build(store, base_project)
    same((shared_store, base_image.digest), (store, ran.data["digest"]))


def test_a_warm_store_gives_the_same_image(small: Path, reference: tuple[Path, str]) -> None:
    """Everything is there; then without the stages; then without the layers."""
    store, digest = reference
    told = Formation().build(store, small).data
    assert (told["digest"], told["reused"]) == (digest, True)
    for names in (("builds", "effects"), ("builds", "layers")):
        for name in names:
            (store / name).rename(store / f"{name}.away")
        told = Formation().build(store, small).data
        assert (told["digest"], told["reused"]) == (digest, False)
        for name in names:
            subprocess.run(["rm", "-rf", store / f"{name}.away"], check=True)


def test_nothing_in_the_image_tells_when_it_was_built(small: Path, shared_store: Path, tmp_path: Path) -> None:
    """No file has a time of the build, in its metadata or in its text."""
    store = new_store(tmp_path / "store", small, shared_store)
    began = int(time.time()) - 1
    digest = Formation().build(store, small).data["digest"]
    ended = int(time.time()) + 1
    found = []
    for layer in layers(store, digest)[1:]:
        with Store(store).blob(layer).open("rb") as file:
            stream = decompressed(file, "gzip", layer)
            data = b""
            while chunk := stream.read(1 << 20):
                data += chunk
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            for member in archive:
                assert member.mtime < began, member.name
                content = archive.extractfile(member).read() if member.isreg() else b""
                numbers = (int(number) for number in re.findall(rb"(?<![0-9])[0-9]{10}(?![0-9])", content))
                if any(began <= number <= ended for number in numbers):
                    found.append(member.name)
    assert found == []


def test_zstd_layers_are_reproducible_and_hold_the_same_as_gzip_layers(
    shared_store: Path, reference: tuple[Path, str], open_directory: Path
) -> None:
    text = SMALL_TEXT.replace("packages:", "layers: {compression: zstd}\npackages:")
    definition = define(open_directory / "zstd", text, Formation(), shared_store)
    built = []
    for name, prefix in (("one", ()), ("two", ("taskset", "1"))):
        store = new_store(open_directory / f"zstd-{name}", definition, shared_store)
        built.append((store, Formation().after(*prefix).build(store, definition).data["digest"]))
    same(*built)
    gzipped = [_diff_ids(*reference), _diff_ids(*built[0])]
    assert gzipped[0] == gzipped[1]
    assert reference[1] != built[0][1]


def _diff_ids(store: Path, digest: str) -> list[str]:
    """Digests of the uncompressed layers."""
    config = json.loads(Store(store).blob(layers(store, digest)[0]).read_bytes())
    return list(config["rootfs"]["diff_ids"])
