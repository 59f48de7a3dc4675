"""One definition and one lock for two architectures: built, the foreign one under QEMU, and published as one index."""

import json
import sys
from pathlib import Path

import pytest

from conftest import missing
from engines import EngineUnavailable, Podman, Registry, Skopeo
from foreign import run_with_qemu
from formation.lock.lockfile import read_lock
from formation.oci.descriptor import Platform
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.store.images import find_image, open_stored
from formation.store.store import Store

pytestmark = [pytest.mark.network, pytest.mark.root]

# The least in which dpkg runs: its scripts take QEMU 15 seconds, those of all essential packages more than a minute.
DEFINITION = """\
kind: base
name: formation/two
version: 1.0.0
distribution: debian/trixie
architectures: [amd64, arm64]
essential: false
packages: [base-files, base-passwd, bash, coreutils, dash, debianutils, diffutils, dpkg, findutils, grep, libc-bin,
  mawk, netbase, sed, tar]
"""
NAME = "formation/two:1.0.0"
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")


@pytest.fixture(scope="module")
def project(once, run_directory: Path, formation) -> Path:
    """The definition, built for both architectures into the shared store."""

    def make() -> str:
        directory = run_directory / "two"
        directory.mkdir()
        (directory / "formation.yaml").write_text(DEFINITION)
        command = [sys.executable, "-m", "formation", "build", directory, "--all-architectures", "--json"]
        try:
            ended = run_with_qemu("aarch64", [*command, "--store", formation.store])
        except EngineUnavailable as error:
            return f"missing {error}"
        assert ended.returncode == 0, ended.stderr
        (directory / "told.json").write_text(ended.stdout)
        return str(directory)

    made = once("two-architectures", make)
    if made.startswith("missing "):
        missing(made.removeprefix("missing "))
    return Path(made)


@pytest.fixture(scope="module")
def published(project: Path, formation, registry: Registry) -> str:
    """The version in a registry, as a Docker reference."""
    formation.succeed("publish", NAME, f"docker://{registry.address}/two")
    return f"{registry.address}/two:1.0.0"


def test_one_lock_gives_one_index_of_both_architectures(project, formation):
    told = json.loads((project / "told.json").read_text())
    assert [image["architecture"] for image in told["images"]] == ["amd64", "arm64"]
    assert list(read_lock(project / "formation.lock").packages) == ["amd64", "arm64"]
    store = Store(formation.store)
    assert find_image(store, parse_reference(NAME)).descriptor.digest == told["digest"]
    for platform, built in zip((AMD64, ARM64), told["images"], strict=True):
        image = open_stored(store, parse_reference(NAME), platform)
        assert (image.digest, str(image.config.platform)) == (built["digest"], str(platform))
        assert validate(image) == ()


def test_an_unchanged_build_of_one_architecture_needs_no_qemu_and_keeps_the_other(project, formation):
    before = find_image(Store(formation.store), parse_reference(NAME))
    told = json.loads(formation.succeed("build", project, "--arch", "arm64", "--offline", "--json"))
    assert told["reused"]
    assert find_image(Store(formation.store), parse_reference(NAME)) == before


def test_the_registry_has_the_index_that_the_store_has(project, formation, published, skopeo: Skopeo):
    index = json.loads(skopeo.run("inspect", "--raw", "--tls-verify=false", f"docker://{published}").stdout)
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    digest = find_image(Store(formation.store), parse_reference(NAME)).descriptor.digest
    by_digest = f"docker://{published.removesuffix(':1.0.0')}@{digest}"
    assert json.loads(skopeo.run("inspect", "--raw", "--tls-verify=false", by_digest).stdout) == index


def test_skopeo_takes_the_image_of_each_platform(project, published, skopeo: Skopeo, tmp_path: Path):
    told = json.loads((project / "told.json").read_text())
    for image in told["images"]:
        target = f"oci:{tmp_path}/{image['architecture']}:pulled"
        words = ("--override-arch", image["architecture"], "copy", "--src-tls-verify=false")
        skopeo.run(*words, f"docker://{published}", target)
        index = json.loads((tmp_path / image["architecture"] / "index.json").read_text())
        assert [entry["digest"] for entry in index["manifests"]] == [image["digest"]]


def test_podman_runs_the_image_of_this_machine_out_of_the_index(published, podman: Podman):
    ran = podman.run("run", "--rm", "--tls-verify=false", published, "dpkg", "--print-architecture")
    assert ran.stdout == "amd64\n"


def test_the_foreign_image_has_programs_of_its_architecture(published, podman: Podman, tmp_path: Path):
    podman.run("pull", "--tls-verify=false", "--arch", "arm64", published)
    container = podman.run("create", "--arch", "arm64", published, "/bin/true").stdout.strip()
    podman.run("cp", f"{container}:/usr/bin/dpkg", tmp_path / "dpkg")
    podman.run("rm", container)
    machine = (tmp_path / "dpkg").read_bytes()[18:20]
    assert machine == b"\xb7\x00"  # EM_AARCH64 of elf(5)
