"""`formation build` as a command: what it prints, what it refuses, and where it takes packages that are gone from."""

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archives import DAY, make_archive, served
from built_images import Command
from debs import file, make_deb
from formation.lock.lockfile import lock_digest, lock_text, read_lock
from formation.oci.layout import open_layout
from formation.store.store import Store
from signed_archive import new_key

DEFINITION = """\
kind: base
name: formation/hello
version: 1.0.0
{distribution}
architectures: [amd64]
archives:
  - name: site
    uri: {url}/archive
    suites: [stable]
    components: [main]
    keys: [./site.asc]
    snapshot: "{url}/snapshot/{{timestamp}}"
packages:
  - hello-formation
"""

LONG_AGO = int(time.time()) // DAY * DAY - 90 * DAY
"""When the site's archive was made: before Debian's, so that the epoch of a lock, and the shared store's segments, stay
those of Debian."""


@dataclass
class Site:
    """A private archive with one package, its snapshot, and a definition that installs it."""

    directory: Path
    url: str
    key: Any = field(default_factory=new_key)

    @property
    def project(self) -> Path:
        return self.directory / "project"

    @property
    def lock(self) -> Path:
        return self.project / "formation.lock"

    @property
    def package(self) -> Path:
        """The .deb of version 1.0 in the archive."""
        return self.directory / "archive/pool/main/h/hello-formation/hello-formation_1.0_all.deb"

    def publish(self, version: str = "1.0") -> None:
        """Makes this the version that the archive has."""
        # No other run made the same file, which would then be in a store that is kept.
        script = f"#!/bin/sh\necho hello {version} of {self.key.extract_certificate().fingerprint}\n".encode()
        deb = make_deb(
            self.directory, "hello-formation", version=version, files=[file("usr/bin/hello", script, mode=0o755)]
        )
        # Older than Debian's, which win where there is both.
        needed = [make_deb(self.directory, name, version="0") for name in ("base-passwd", "dpkg")]
        valid_until = int(time.time()) + DAY
        make_archive(self.directory / "archive", [deb, *needed], key=self.key, date=LONG_AGO, valid_until=valid_until)

    def define(self, distribution: str = "") -> None:
        """Writes the definition; without a distribution, dpkg is an empty package and nothing can be configured."""
        self.project.mkdir()
        text = DEFINITION.format(distribution=distribution or "essential: false", url=self.url)
        if not distribution:
            text += "  - base-passwd\n  - dpkg\n"
        (self.project / "formation.yaml").write_text(text)
        shutil.copy(self.directory / "archive" / "key.asc", self.project / "site.asc")

    def take_snapshot(self) -> None:
        """Keeps the archive as it is at the snapshot address of the time when it was made."""
        timestamp = datetime.fromtimestamp(LONG_AGO, UTC).strftime("%Y%m%dT%H%M%SZ")
        shutil.copytree(self.directory / "archive", self.directory / "snapshot" / timestamp)


@pytest.fixture
def site(tmp_path):
    """A site whose archive has version 1.0."""
    with served(tmp_path) as url:
        site = Site(tmp_path, url)
        site.publish()
        yield site


@pytest.fixture
def alone(site):
    """The site's definition without a distribution, locked: for builds that fail before anything is configured."""
    site.define()
    Command(site.directory / "store").succeed("lock", site.project)
    return site


@pytest.fixture
def private(tmp_path):
    """`formation` in an empty store."""
    return Command(tmp_path / "store")


@pytest.fixture
def debian(site, formation):
    """The site's definition on top of Debian's essential packages, locked."""
    site.define("distribution: debian/trixie")
    formation.succeed("lock", site.project)
    return site


def refused(ended, code, *words):
    """Checks an exit code, that stderr has all `words` in its error, and that there is no traceback."""
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


def test_locked_refuses_to_write_a_lock(site, private):
    site.define()
    refused(private("build", site.project, "--locked"), 2, "there is no lock", f" lock {site.project}")
    assert not site.lock.exists()


@pytest.mark.parametrize("command", ["lock", "build"])
def test_a_definition_that_nothing_could_configure_is_refused_before_it_is_locked(site, private, command):
    site.define()
    definition = site.project / "formation.yaml"
    definition.write_text(definition.read_text().replace("  - dpkg\n", ""))
    told = f"{definition}:4: no dpkg is among the packages for amd64"
    refused(private(command, site.project), 2, told, "hint: add `dpkg` to packages:")
    assert not site.lock.exists()


def test_an_architecture_that_this_machine_cannot_run_is_refused_before_any_download(site, private):
    site.define()
    definition = site.project / "formation.yaml"
    # No machine that runs both has ever been made.
    foreign = "arm64" if os.uname().machine == "s390x" else "s390x"
    if Path("/proc/sys/fs/binfmt_misc", f"qemu-{foreign}").exists():
        pytest.skip(f"this machine can run programs for {foreign}")
    definition.write_text(definition.read_text().replace("[amd64]", f"[amd64, {foreign}]"))
    ended = private("build", site.project, "--arch", foreign)
    refused(ended, 3, f"cannot run programs for {foreign}", "hint: sudo apt-get install qemu-user-static")
    assert not site.lock.exists()
    assert not (site.directory / "store" / "metadata").exists()


def test_a_stale_lock_is_refused(alone, private):
    definition = alone.project / "formation.yaml"
    definition.write_text(definition.read_text() + "  - bash\n")
    refused(private("build", alone.project), 2, "is stale", "bash", f" lock {alone.project}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--variant", "rutime"), "no variant 'rutime'"),
        (("--arch", "arm64"), "not for the architecture 'arm64'"),
        (("--output", "docker://example.org/x"), "cannot be written to"),
        (("--load", "containerd"), "there is no 'containerd'"),
    ],
)
def test_what_cannot_be_built_is_a_usage_error(alone, private, words, said):
    refused(private("build", alone.project, *words), 2, said)


def test_offline_names_the_packages_that_are_not_in_the_store(alone, tmp_path):
    empty = Command(tmp_path / "empty")
    refused(empty("build", alone.project, "--offline"), 5, "hello-formation")


def test_a_package_that_is_gone_everywhere_is_named(alone, private):
    alone.package.unlink()
    ended = private("build", alone.project)
    refused(ended, 5, "hello-formation 1.0", f" lock {alone.project}")


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"?", lambda data: data + b"?", lambda data: data[:-1]])
def test_a_package_that_is_not_the_locked_one_is_refused(alone, private, change):
    alone.package.write_bytes(change(alone.package.read_bytes()))
    refused(private("build", alone.project), 4, "hello-formation")
    (locked,) = [each for each in read_lock(alone.lock).packages["amd64"] if each.name == "hello-formation"]
    assert not Store(alone.directory / "store").download(locked.sha256).exists()
    alone.publish()
    # Nothing of the wrong file is kept: with the right one, the build comes further.
    assert "hello-formation_1.0" not in private("build", alone.project).stderr


def test_dry_run_builds_nothing(alone, private):
    told = json.loads(private.succeed("build", alone.project, "--dry-run", "--json"))
    assert told["packages"] == 3
    pool = alone.directory / "archive/pool"
    assert told["download"] == sum(deb.stat().st_size for deb in pool.rglob("*.deb"))
    assert json.loads(private.succeed("images", "--json")) == {"images": []}


@pytest.mark.network
def test_json_tells_what_was_built(base_image, base_project):
    told, image = base_image.told, base_image.image
    assert told["reference"] == "formation/base:1.0.0"
    assert told["digest"] == image.digest
    assert told["size"] == image.size
    assert told["layers"] == len(image.manifest.layers)
    assert told["packages"] == len(read_lock(base_project / "formation.lock").of("amd64", frozenset({"runtime"})))
    assert told["seconds"] > 0


@pytest.fixture(scope="module")
def warm(base_image, base_project, formation, tmp_path_factory):
    """The base under another name and with another label, built offline where the base was built: no other lock is
    needed for it, and no other test moves its tags: those that take it are in one group, for the store is that of all
    workers. Gives its project and what `--json` told."""
    project = shutil.copytree(base_project, tmp_path_factory.mktemp("warm") / "base")
    definition = project / "formation.yaml"
    text = definition.read_text().replace("name: formation/base\n", "name: formation/warm\n", 1)
    definition.write_text(text.replace("labels:\n", f"labels:\n  made.in: {project.parent.name}-{time.time_ns()}\n", 1))
    words = ("build", project, "--offline", "--locked", "--output", "oci:layout", "--json")
    return project, json.loads(formation.succeed(*words, directory=project))


@pytest.mark.network
@pytest.mark.xdist_group("warm")
def test_offline_builds_from_a_warm_store(base_image, warm):
    project, told = warm
    assert told["reused"] is False
    built = open_layout(project / "layout").image("1.0.0")
    assert built.digest == told["digest"] != base_image.digest
    assert "made.in" in built.config.execution.labels
    assert built.manifest.layers == base_image.image.manifest.layers


@pytest.mark.network
def test_a_package_that_is_gone_is_taken_from_the_store(debian, formation):
    first = formation.succeed("build", debian.project, "--json")
    debian.package.unlink()
    definition = debian.project / "formation.yaml"
    definition.write_text(definition.read_text() + "labels: {again: 'yes'}\n")
    again = json.loads(formation.succeed("build", debian.project, "--json"))
    assert again["digest"] != json.loads(first)["digest"]
    assert again["reused"] is False


@pytest.mark.network
def test_a_package_that_is_gone_is_taken_from_the_snapshot(debian, formation):
    debian.take_snapshot()
    debian.package.unlink()
    told = json.loads(formation.succeed("build", debian.project, "--json"))
    assert version_in(formation, told["reference"]) == "1.0"


@pytest.mark.network
def test_relock_when_gone_builds_from_a_fresh_lock_and_leaves_the_lock_file_alone(debian, formation):
    before = debian.lock.read_bytes()
    debian.package.unlink()
    debian.publish("2.0")
    refused(formation("build", debian.project), 5, "hello-formation 1.0", f" lock {debian.project}")
    ended = formation("build", debian.project, "--relock-when-gone", "--json")
    assert ended.returncode == 0, ended.stderr
    assert "hello-formation 1.0; locking afresh for this build, the lock file stays as it is" in ended.stderr
    assert debian.lock.read_bytes() == before
    told = json.loads(ended.stdout)
    assert version_in(formation, told["reference"]) == "2.0"
    assert (told["relocked"], told["lock"] != lock_digest(lock_text(read_lock(debian.lock)))) == (True, True)
    quiet = formation("build", debian.project, "--relock-when-gone", "--quiet", "--json")
    assert json.loads(quiet.stdout)["relocked"] is True
    assert quiet.stderr.startswith(
        "warning: the archive and its snapshot no longer have hello-formation 1.0; locking afresh"
    )
    assert '"2.0"' in formation.succeed("inspect", "formation/hello:1.0.0", "--lock")


def version_in(formation, reference):
    """The version of hello-formation that the image's layers name."""
    layers = json.loads(formation.succeed("inspect", reference, "--json"))["layers"]
    packages = {package["name"]: package["version"] for layer in layers for package in layer["packages"]}
    return packages["hello-formation"]


@pytest.mark.network
@pytest.mark.xdist_group("warm")
def test_the_store_tells_of_what_was_built(warm, formation):
    project, told = warm
    images = {image["reference"]: image for image in json.loads(formation.succeed("images", "--json"))["images"]}
    assert images["formation/warm:1.0.0"]["digest"] == told["digest"]
    shown = json.loads(formation.succeed("inspect", "formation/warm:1.0.0", "--json"))
    packages = [package["name"] for layer in shown["layers"] for package in layer["packages"]]
    assert len(packages) == len(set(packages)) == told["packages"]
    assert {"libc6", "curl", "apt"} <= set(packages)
    assert shown["config"]["WorkingDir"] == "/app"
    lock = formation.succeed("inspect", "formation/warm:1.0.0", "--lock")
    assert lock == (project / "formation.lock").read_text()
    assert "every digest, size and diffID is right" in formation.succeed("inspect", "formation/warm:1.0.0", "--check")
    assert "downloads" in formation.succeed("cache")
