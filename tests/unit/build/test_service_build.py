"""A service without packages, from its plan to its image: no installer, no network."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from formation.build.application import FactsView
from formation.build.base_files import read_base
from formation.build.opened_base import Places
from formation.build.origin import Origin
from formation.build.package_layers import Tools
from formation.build.recall import BuiltImage
from formation.build.service import Means, ServicePlan, plan_service
from formation.build.service_build import build_service
from formation.contents.filesystem import filesystem
from formation.contents.image import scan_image
from formation.errors import FormationError
from formation.install.installer import Installer
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock, LockedBase
from formation.network import Downloader
from formation.oci.annotations import LAYER_KIND
from formation.oci.config import Execution, HealthCheck
from formation.oci.image import Image
from formation.oci.reference import parse_reference
from formation.progress import Silent
from formation.store.blobs import add_image
from formation.store.images import find_image, tag_image
from formation.store.locking import in_use
from formation.store.store import Store
from layer_tars import directory, file, image_of_layers, symlink
from services import GROUP, PASSWD, service_in

BASE = (
    [directory("etc"), file("etc/passwd", PASSWD), file("etc/group", GROUP), directory("usr"), directory("usr/bin")],
    [symlink("bin", "usr/bin"), directory("srv", 0o750, 7, 8), directory("run", 0o1777), symlink("var", "run")],
)
BELOW = Execution(
    environment=("PATH=/usr/bin", "LANG=C.UTF-8"),
    user="root",
    command=("sh",),
    volumes=("/var/log/formation",),
    labels={"org.opencontainers.image.title": "base", "org.opencontainers.image.vendor": "V", "team": "a"},
)


def no_installer() -> AbstractContextManager[Installer]:
    pytest.fail("an installer was started")


class Bench:
    """A service on a base in a store."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.store = Store(place / "store")
        self.base = image_of_layers(*BASE, execution=BELOW)
        self.origin = Origin()

    def plan(self, body: str) -> ServicePlan:
        tag_image(self.store, parse_reference("formation/base:1.0.0"), add_image(self.store, self.base))
        service = service_in(self.place / "service", body)
        lock = Lock(service.digest, 1000, (), {"amd64": ()}, (LockedBase(service.base, "amd64", self.base.digest),))
        places = Places(self.store, {}, lambda name, platform: self.base)

        def read(image: Image):
            return read_base(image, "the base", self.store, workers=1, progress=Silent())

        means = Means(places, read, lambda packages: (), lambda names: {})
        with in_use(self.store):
            return plan_service(service, lock, lock_text(lock), "amd64", means)

    def build(self, body: str) -> BuiltImage:
        with Downloader(progress=Silent(), offline=True) as downloader:
            tools = Tools(no_installer, lambda: downloader, Silent(), 1, True)
            return build_service(self.plan(body), self.store, tools, self.origin)

    def layer(self, body: str) -> dict[str, tuple[str, int, int, int, str]]:
        """Type, mode, uid, gid and target of each path in the last layer."""
        contents = scan_image(self.build(body).image, self.store, workers=1)
        return {e.path: (e.type, e.mode, e.uid, e.gid, e.target) for e in contents.layers[-1].entries}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_image_has_the_layers_of_the_base_and_one_of_its_own(bench: Bench) -> None:
    built = bench.build('files: [{path: /etc/a, content: "x"}]\n')
    base, layers = bench.base.manifest.layers, built.image.manifest.layers
    assert [layer.digest for layer in layers[:-1]] == [layer.digest for layer in base]
    assert layers[-1].annotations == {LAYER_KIND: "application"}
    assert (built.references, built.base_layers, built.packages) == (("formation/form-dns:1.2.3",), 2, 0)
    found = find_image(bench.store, parse_reference("formation/form-dns:1.2.3"))
    assert found.descriptor.digest == built.image.digest
    assert len(built.image.config.history) == 3


def test_the_layer_has_the_files_and_the_directories_above_them_as_they_are(bench: Bench) -> None:
    found = bench.layer('files: [{path: /srv/new/a, content: "x", owner: formation, mode: "0640"}]\n')
    assert found == {
        "srv": ("directory", 0o750, 7, 8, ""),
        "srv/new": ("directory", 0o755, 0, 0, ""),
        "srv/new/a": ("file", 0o640, 999, 0, ""),
    }


def test_paths_follow_the_links_of_the_base_and_leave_them_there(bench: Bench) -> None:
    found = bench.layer('files: [{path: /var/d/a, content: "x"}]\ndirectories: [{path: /var, mode: "0700"}]\n')
    assert found.keys() == {"run", "run/d", "run/d/a"}
    assert found["run"] == ("directory", 0o700, 999, 999, "")


def test_a_copied_directory_where_the_base_has_a_link_to_one_goes_there(bench: Bench) -> None:
    share = bench.place / "service/share"
    (share / "d").mkdir(parents=True)
    (share / "d/x").write_text("x")
    (share / "l").symlink_to("d/x")
    found = bench.layer("files: [{path: /var, source: share/}]\n")
    assert found.keys() == {"run", "run/d", "run/d/x", "run/l"}
    assert found["run"][1] == 0o1777 and found["run/l"][4] == "d/x"


def test_new_accounts_are_added_to_those_of_the_base(bench: Bench) -> None:
    found = bench.build("users: [{name: app, system: true}]\nuser: app\n").image
    merged = filesystem(scan_image(found, bench.store, workers=1).layers)
    assert merged.content("etc/passwd") == PASSWD + b"app:x:998:998::/nonexistent:/usr/sbin/nologin\n"


def test_what_the_base_says_is_kept_and_what_the_service_says_wins(bench: Bench) -> None:
    body = "environment: {LANG: de_DE.UTF-8, A: b}\nports: [53/udp]\nvolumes: [/data]\nlabels: {team: b}\n"
    body += 'files: [{path: /usr/bin/sh, content: "#!/usr/bin/sh", mode: "0755"}]\n'
    says = bench.build(body + "health_check: {command: [sh], interval: 10s}\n").image.config.execution
    assert says.environment == ("PATH=/usr/bin", "LANG=de_DE.UTF-8", "A=b")
    assert (says.user, says.command, says.entrypoint) == ("formation", ("sh",), None)
    assert (says.volumes, says.exposed_ports) == (("/data", "/var/log/formation"), ("53/udp",))
    assert says.health_check == HealthCheck(("CMD", "sh"), 10_000_000_000, *says_rest(says.health_check))
    assert says.labels == {
        "org.opencontainers.image.base.digest": bench.base.digest,
        "org.opencontainers.image.base.name": "formation/base:1.0.0",
        "org.opencontainers.image.title": "formation/form-dns",
        "org.opencontainers.image.vendor": "V",
        "org.opencontainers.image.version": "1.2.3",
        "team": "b",
    }


def says_rest(check: HealthCheck | None) -> tuple[int, int, int]:
    assert check is not None
    return check.timeout, check.start_period, check.retries


def test_a_new_entrypoint_forgets_the_command_of_the_base(bench: Bench) -> None:
    body = 'files: [{path: /usr/bin/a, content: "#!/usr/bin/a", mode: "0755"}]\nentrypoint: [/usr/bin/a]\n'
    says = bench.build(body).image.config.execution
    assert (says.entrypoint, says.command) == (("/usr/bin/a",), None)


def test_the_commit_is_in_the_image(bench: Bench) -> None:
    before = bench.build("").image.digest
    bench.origin = Origin("c" * 40, "https://example.com/x.git")
    image = bench.build("").image
    assert image.digest != before
    assert image.manifest.annotations["org.opencontainers.image.revision"] == "c" * 40
    assert image.manifest.annotations["org.opencontainers.image.source"] == "https://example.com/x.git"


def test_the_same_plan_gives_the_same_image_and_is_known_afterwards(bench: Bench, tmp_path: Path) -> None:
    body = 'files: [{path: /a, content: "x"}]\n'
    first, again = bench.build(body), bench.build(body)
    other = Bench(tmp_path / "elsewhere").build(body)
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert first.image.digest == again.image.digest == other.image.digest


def test_a_file_that_changes_after_the_plan_leaves_no_image_and_no_layer(bench: Bench) -> None:
    source = bench.place / "service/a"
    source.parent.mkdir()
    source.write_text("planned")
    plan = bench.plan("files: [{path: /a, source: a}]\n")
    source.write_text("changed")
    blobs = set(bench.store.blobs.iterdir())
    with Downloader(progress=Silent(), offline=True) as downloader:
        tools = Tools(no_installer, lambda: downloader, Silent(), 1, True)
        with pytest.raises(FormationError, match="was changed while the image was built"):
            build_service(plan, bench.store, tools, bench.origin)
    assert set(bench.store.blobs.iterdir()) == blobs


def test_account_files_that_are_too_large_to_be_kept_are_not_taken_for_empty(bench: Bench) -> None:
    large = file("etc/passwd", PASSWD + b"#" * (200 << 10))
    merged = filesystem(scan_image(image_of_layers([directory("etc"), large]), None, workers=1).layers)
    with pytest.raises(FormationError, match="/etc/passwd of the base is too large"):
        FactsView(merged).read("etc/passwd")


ONLY_NEW_PACKAGES = (
    "concurrent",
    "formation.debian.deb",
    "formation.install.installer",
    "formation.install.job",
    "formation.network",
    "httptools",
    "logging",
    "multiprocessing",
    "pickle",
    "pydantic",
    "random",
    "tarfile",
    "tempfile",
    "yaml",
)
"""What downloading, installing, reading archives and checking a definition needs, and a new program does not."""


def test_a_new_program_alone_imports_nothing_that_only_new_packages_need() -> None:
    code = (
        "import sys; from formation.build import recall, remembered, service_build, service_means, watched;"
        "print(*sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ONLY_NEW_PACKAGES) & set(ended.stdout.split()) == set()
