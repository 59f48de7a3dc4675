"""`formation release` and `diff` of a service: built in this process, which needs neither root nor an installer."""

import json
from dataclasses import replace

import pytest

from fake_registry import FakeRegistry
from formation.build.origin import Origin
from formation.contents.image import scan_image
from formation.contract.facts import facts_of
from formation.lock.lockfile import lock_path, read_lock
from formation.lock.model import Lock, LockedBase, LockedPackage
from formation.oci.reference import parse_reference
from formation.release.snapshot import snapshot_of_image, snapshot_of_lock, with_base
from formation.store.blobs import add_image
from formation.store.images import list_images, tag_image
from layer_tars import file
from sound_image import EXECUTION, STATUS, sound_image

SERVICE = """\
kind: service
name: team/dns
version: {version}
base: formation/base:1.0.0
architectures: [amd64]
"""
RC = "2.0.0-rc.1"
QUIET = "--no-changelogs"


@pytest.fixture
def service(formation):
    """The command line beside a definition without packages, and `write`."""
    base(formation, "1.0-1")
    return formation


def base(formation, tool: str) -> None:
    """Gives the store a base with the package tool of this version, under the name that the service stands on."""
    status = file("var/lib/dpkg/status", STATUS.replace("1.0-1", tool).encode())
    image = sound_image([status], execution=replace(EXECUTION, labels={}))
    tag_image(formation.store, parse_reference("formation/base:1.0.0"), add_image(formation.store, image))


def write(formation, version: str, body: str = "") -> None:
    (formation.directory / "formation.yaml").write_text(SERVICE.format(version=version) + body)


def locked(formation, version: str, tool: str, body: str = "") -> None:
    """Writes the definition and its lock, on a base with this tool."""
    base(formation, tool)
    write(formation, version, body)
    assert formation("lock").code == 0


def build(formation, version: str, tool: str = "1.0-1", body: str = "") -> None:
    locked(formation, version, tool, body)
    result = formation("build")
    assert result.code == 0, result.stderr


def references(formation) -> list[str]:
    return [str(image.reference) for image in list_images(formation.store)]


def test_a_service_is_compared_as_it_is_now_and_gets_no_tag(service):
    build(service, "1.0.0")
    locked(service, "1.0.1", "1.0-2")
    checked = service("release", "check", QUIET)
    reasons = [line for line in checked.stdout.splitlines() if "base.digest" not in line]
    assert (checked.code, reasons) == (
        0,
        ["patch  tool 1.0-1 → 1.0-2", "a patch change since 1.0.0: it deserves 1.0.1; 1.0.1 is enough"],
    )
    assert references(service) == ["formation/base:1.0.0", "team/dns:1.0.0"]
    assert service("release", QUIET).code == 0
    assert "## 1.0.1 - " in (service.directory / "CHANGELOG.md").read_text()
    build(service, "1.0.1", "1.0-2")
    locked(service, "1.0.2", "0.9-1")
    broken = service("release", "check", QUIET)
    assert (broken.code, "it deserves 2.0.0; 1.0.2 is too small" in broken.stdout) == (1, True)


def test_a_service_that_changed_without_a_build_is_not_judged_by_its_old_image(service):
    body = "files: [{path: /etc/dns.conf, source: dns.conf}]\n"
    (service.directory / "dns.conf").write_text("one")
    build(service, "1.0.0", body=body)
    (service.directory / "dns.conf").write_text("two")
    result = service("release", "check", QUIET)
    assert (result.code, result.stdout.splitlines()) == (
        1,
        [
            "minor  file /etc/dns.conf has another content",
            "a minor change since 1.0.0: it deserves 1.1.0; 1.0.0 is too small",
        ],
    )
    write(service, "1.0.0", body + "environment: {ZONE: example.com}\n")
    result = service("release", "check", QUIET)
    assert (result.code, "minor  environment ZONE added" in result.stdout) == (1, True)


@pytest.mark.parametrize("words", [(), ("--no-build",)])
def test_a_stale_lock_of_a_service_is_refused(service, words):
    build(service, "1.0.0")
    base(service, "1.0-2")
    result = service("release", "check", QUIET, *words)
    assert (result.code, "the base formation/base:1.0.0 moved since" in result.stderr) == (2, True)
    assert "hint: formation lock " in result.stderr


def test_what_was_built_and_committed_since_is_still_what_the_definition_makes(service, monkeypatch):
    monkeypatch.setattr("formation.build.origin.origin_of", lambda *_: Origin("1" * 40, None))
    build(service, "1.0.0")
    build(service, "1.0.1", "1.0-2")
    result = service("release", "check", QUIET)
    assert result.stdout.endswith("a patch change since 1.0.0: it deserves 1.0.1; 1.0.1 is enough\n")


def test_only_what_a_service_stands_on_and_adds_is_compared_without_a_build(service):
    build(service, "1.0.0")
    same = service("release", "check", QUIET, "--no-build")
    assert (same.code, same.stdout.splitlines()[-1]) == (
        0,
        "nothing that was compared changed since 1.0.0; what else did, only two images tell",
    )
    told = json.loads(service("release", "check", QUIET, "--no-build", "--json").stdout)
    assert (told["level"], told["enough"]) == ("none", None)
    locked(service, "1.0.0", "1.0-2")
    newer = service("release", "check", QUIET, "--no-build")
    assert (newer.code, newer.stdout.splitlines()[0]) == (1, "patch  tool 1.0-1 → 1.0-2")


def test_a_service_and_the_image_that_was_built_of_it_have_the_same_packages(service):
    build(service, "1.0.0")
    for names in ((".", "team/dns:1.0.0"), ("team/dns:1.0.0", ".")):
        found = json.loads(service("diff", *names, QUIET, "--json").stdout)
        assert (found["packages"], found["changes"]) == ([], [])


def test_the_lock_of_a_service_is_not_compared_with_an_image_where_its_base_is_gone(service):
    build(service, "1.0.0")
    lock = read_lock(lock_path(service.directory / "formation.yaml"))
    service.store.blob(lock.base[0].digest).unlink()
    result = service("diff", ".", "team/dns:1.0.0", QUIET)
    assert (result.code, "the store does not have that base" in result.stderr) == (2, True)
    assert service("diff", ".", ".", QUIET).code == 0


def test_what_publish_refuses_release_gives_the_next_version(service):
    with FakeRegistry() as server:
        repository = f"docker://{server.host}/team/dns"

        def published(version: str):
            return service("publish", f"team/dns:{version}", repository, "--plain-http")

        for version, tool in (("1.0.0", "1.0-1"), (RC, "1.0-2")):
            build(service, version, tool)
            assert published(version).code == 0
        since = ("--since", repository, "--plain-http", QUIET)
        assert service("release", "check", *since).code == 0
        build(service, RC, "1.0-3")
        refused = published(RC)
        assert (refused.code, f"formation release DIR --since {repository}\n" in refused.stderr) == (3, True)
        checked = service("release", "check", *since)
        assert (checked.code, f"{RC} is too small: {repository}:{RC} is there already" in checked.stdout) == (1, True)
        assert service("release", *since).code == 0
        assert "version: 2.0.0-rc.2\n" in (service.directory / "formation.yaml").read_text()
        build(service, "2.0.0-rc.2", "1.0-3")
        assert service("release", "check", *since).code == 0
        assert published("2.0.0-rc.2").code == 0


def test_a_build_that_took_the_tag_of_the_release_before_is_told(service):
    build(service, "1.0.2")
    result = service("release", "check", QUIET)
    assert result.code == 0
    assert result.stdout.startswith("note: team/dns:1.0.2 in the store is what the definition makes now; ")
    (note,) = json.loads(service("release", "check", QUIET, "--json").stdout)["notes"]
    assert "--since docker://REPO" in note


def test_without_a_build_no_image_is_said_to_be_what_a_service_makes(service):
    body = "files: [{path: /etc/dns.conf, source: dns.conf}]\n"
    (service.directory / "dns.conf").write_text("one")
    build(service, RC, body=body)
    (service.directory / "dns.conf").write_text("two")
    result = service("release", "check", QUIET, "--no-build")
    assert (result.code, result.stdout) == (
        0,
        f"the store has no release of team/dns before {RC}: any version will do\n",
    )


def test_a_lock_on_its_base_has_what_the_base_brings_and_what_the_service_adds_or_renews():
    added = {"jq": "1.7", "tool": "1.0-2"}
    packages = tuple(
        LockedPackage(
            name, version, "amd64", name, version, "sha256:" + "0" * 64, 1, 1, "debian", "trixie", f"pool/{name}.deb",
            ("runtime",), "requested", False,
        )
        for name, version in added.items()
    )  # fmt: skip
    stands_on = LockedBase("formation/base:1.0.0", "amd64", "sha256:" + "1" * 64)
    lock = snapshot_of_lock(Lock("", 1, (), {"amd64": packages}, (stands_on,)), "lock", None)
    whole = with_base(lock, {"amd64": snapshot_of_image(facts_of(scan_image(sound_image(), None, workers=1)), "base")})
    versions = {each.name: each.version for each in whole.packages["amd64"]}
    assert versions == {"jq": "1.7", "libc6": "2.41-12", "tool": "1.0-2"}
