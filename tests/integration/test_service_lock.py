"""The example services, locked and planned on a base that was just built from the real archive."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from built_images import Built, Command
from conftest import require_tool
from engines import Registry, Skopeo
from formation.build.base_facts import facts_for_lock
from formation.build.base_files import read_base
from formation.build.opened_base import Places, open_base
from formation.build.service import ServicePlan, plan_service
from formation.build.service_means import service_means
from formation.debian.archive import Archive
from formation.definition.load import load_service
from formation.errors import DefinitionError
from formation.lock.lockfile import lock_path, lock_text, read_lock
from formation.network import Downloader
from formation.oci.layout import write_layout
from formation.progress import Silent
from formation.store.locking import in_use
from formation.store.store import Store

pytestmark = pytest.mark.network


def planned(directory: Path, store: Store) -> ServicePlan:
    """The plan of the service in `directory`."""
    service = load_service(directory)
    lock = read_lock(lock_path(service.path))
    places = Places(store, {}, lambda name, platform: pytest.fail("no registry is asked"))
    with in_use(store), Downloader(progress=Silent()) as downloader:
        means = service_means(
            service,
            lock,
            "amd64",
            places=places,
            downloader=lambda: downloader,
            now=int(time.time()),
            progress=Silent(),
            workers=2,
        )
        return plan_service(service, lock, lock_text(lock), "amd64", means)


def test_a_service_locks_what_the_base_lacks_and_nothing_that_it_has(services: Path, base_image: Built):
    lock = read_lock(services / "form-dns" / "formation.lock")
    (base,) = lock.base
    assert base.digest == base_image.digest
    names = {package.name for package in lock.packages["amd64"]}
    assert {"bind9-dnsutils", "bind9-utils", "bind9-libs"} <= names
    base_lock = read_lock(base_image.project / "formation.lock")
    assert names.isdisjoint(package.name for package in base_lock.of("amd64", frozenset({"runtime"})))
    assert [suite.signed_by for suite in lock.suites] == [suite.signed_by for suite in base_lock.suites]


def test_a_service_without_packages_locks_its_base_alone(services: Path):
    lock = read_lock(services / "form-api" / "formation.lock")
    assert (lock.suites, lock.packages) == ((), {"amd64": ()})


def test_a_check_finds_the_locks_fresh(services: Path, formation: Command):
    for name in ("form-dns", "form-api"):
        assert "is up to date" in formation.succeed("lock", services / name, "--check")


def test_the_base_s_own_sources_lead_to_the_same_archives_as_its_lock(base_image: Built, shared_store: Path, tmp_path):
    store = Store(shared_store)
    text = "kind: service\nname: a/b\nversion: 1.0.0\nbase: formation/base:1.0.0\npackages: [jq]\n"
    (tmp_path / "formation.yaml").write_text(text)
    service = load_service(tmp_path)
    with in_use(store):
        image = open_base(service, "amd64", Places(store, {}, lambda name, platform: base_image.image))
        files = read_base(image, service.base, store, workers=2, progress=Silent())
        with_lock = facts_for_lock(service, "amd64", image, files, store)
        without = facts_for_lock(service, "amd64", image, files, Store(tmp_path / "elsewhere"))

    def told(archives: Sequence[Archive]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        return sorted((each.uri, each.suites, each.keys) for each in archives)

    assert told(with_lock.archives) == told(without.archives)
    assert len(with_lock.installed or ()) > 100


def test_both_services_can_be_planned(services: Path, shared_store: Path):
    for name in ("form-dns", "form-api"):
        plan = planned(services / name, Store(shared_store))
        assert f"/usr/local/bin/{name}" in [file.path for file in plan.files]


def test_real_programs_are_told_what_they_lack(services: Path, shared_store: Path, tmp_path: Path):
    directory = tmp_path / "form-dns"
    shutil.copytree(services / "form-dns", directory)
    compiler = require_tool("cc")
    libraries = []
    for name in ("libjq.so.1", "libcurl.so.4", "libirs.so.161"):
        subprocess.run(
            [compiler, "-shared", "-x", "c", "/dev/null", "-o", tmp_path / name, f"-Wl,-soname,{name}"], check=True
        )
        libraries.append(tmp_path / name)
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    program = directory / "target" / "release" / "form-dns"
    subprocess.run([compiler, source, "-o", program, "-Wl,--no-as-needed", *libraries], check=True)
    with pytest.raises(DefinitionError) as error:
        planned(directory, Store(shared_store))
    assert "target/release/form-dns needs libjq.so.1, which neither" in error.value.message
    assert "hint: add libjq1 to `packages:`" in error.value.message
    assert "libcurl.so.4" not in error.value.message


@pytest.mark.parametrize("kind", ["layout", "docker-archive", "registry"])
def test_a_base_from_elsewhere_comes_into_the_store_and_locks_the_same(
    kind: str,
    services: Path,
    base_image: Built,
    registry: Registry,
    skopeo: Skopeo,
    tmp_path: Path,
):
    directory = tmp_path / "form-dns"
    shutil.copytree(services / "form-dns", directory, ignore=shutil.ignore_patterns("*.lock"))
    layout = tmp_path / "layout"
    write_layout(layout, base_image.image, "1.0.0")
    name = {
        "layout": "oci:../layout:1.0.0",
        "docker-archive": "docker-archive:../base.tar",
        "registry": f"docker://{registry.address}/formation/base:1.0.0",
    }[kind]
    if kind == "docker-archive":
        # As from another builder: uncompressed layers, and no manifest of the registry's.
        skopeo.run("copy", "-q", f"oci:{layout}:1.0.0", f"docker-archive:{tmp_path}/base.tar:team/base:1.0")
    elif kind == "registry":
        skopeo.run("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1.0.0", name)
    yaml = directory / "formation.yaml"
    yaml.write_text(yaml.read_text().replace("base: formation/base:1.0.0", f"base: {name}"))
    formation = Command(tmp_path / "store")
    formation.succeed("lock", directory)
    formation.succeed("lock", directory, "--check")
    lock = read_lock(directory / "formation.lock")
    assert lock.packages == read_lock(services / "form-dns" / "formation.lock").packages
    (base,) = lock.base
    assert (base.digest == base_image.digest) == (kind != "docker-archive")
