"""`formation lock` against a signed archive on a server."""

import json
import shlex
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from archives import HOUR, served
from formation.cli.text import size_text
from loopback import certificate, server_context
from workshop import DEV, PACKAGES, Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served") as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish(age=10 * HOUR)
        workshop.define("curl")
        yield workshop


@pytest.fixture
def lock(formation, workshop):
    """`formation lock` at this hour."""
    return lambda *arguments: formation("lock", *arguments, now=int(time.time()))


def test_a_first_lock_is_written_and_summed_up(workshop, lock):
    result = lock("base")
    assert result.code == 0, result.stderr
    path = workshop.base / "formation.lock"
    size = sum(file.stat().st_size for file in (workshop.directory / "debs").iterdir() if "clang" not in file.name)
    assert result.stdout.startswith(f"wrote {path}: 6 packages, ")
    assert "to download\n" in result.stdout
    assert size > 0
    assert path.read_text().count("[[package]]") == 6
    assert "archives" in result.stderr


@pytest.fixture
def private(tmp_path):
    """A workshop whose archive has a certificate of a private authority, `ca.crt`."""
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served", server_context(certificate(tmp_path))) as url:
        workshop = Workshop(tmp_path, url)
        workshop.publish(age=10 * HOUR)
        workshop.define("curl")
        yield workshop


@pytest.mark.parametrize("named", ["--ca", "FORMATION_CA_FILE", "SSL_CERT_FILE"])
def test_an_archive_may_have_a_certificate_of_a_private_authority(private, formation, named):
    option = ("--ca", "ca.crt") if named == "--ca" else ()
    environment = {} if option else {named: str(private.directory / "ca.crt")}
    locked = formation("lock", "base", *option, environment=environment, now=int(time.time()))
    assert locked.code == 0, locked.stderr
    vendored = formation("vendor", "base", *option, environment=environment)
    assert vendored.code == 0, vendored.stderr


def test_an_archive_that_wants_a_login_gets_that_of_the_file(workshop, formation):
    now = int(time.time())
    asked = []

    class Closed(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            if asked[-1] is None:
                self.send_error(401)
            else:
                super().do_GET()

    with served(workshop.directory / "served", handler=Closed) as url:
        Workshop(workshop.directory, url).define("curl")
        home = {"HOME": str(workshop.directory / "home")}
        refused = formation("lock", "base", environment=home, now=now)
        path = workshop.directory / "home" / ".config" / "formation" / "auth.conf"
        assert refused.code == 5 and f"hint: put a login into {path}: machine " in refused.stderr
        path.parent.mkdir(parents=True)
        path.write_text(f"machine {url.removeprefix('http://')} login me password s3cret\n")
        assert formation("lock", "base", environment=home, now=now).code == 0
    assert "s3cret" not in (workshop.base / "formation.lock").read_text()
    missing = formation("lock", "base", environment={"FORMATION_AUTH_CONF": "no.conf"}, now=now)
    assert missing.code == 2 and "FORMATION_AUTH_CONF names " in missing.stderr


def test_an_archive_of_an_authority_that_nobody_knows_is_told_with_what_to_do(private, formation):
    ended = formation("lock", "base")
    assert ended.code == 5
    assert "the server cannot be trusted: self-signed certificate" in ended.stderr
    assert ended.stderr.endswith("hint: name the certificate of its authority: --ca FILE (or FORMATION_CA_FILE=FILE)\n")


def test_what_the_store_has_is_not_said_to_be_downloaded(workshop, lock, formation):
    *others, last = json.loads(lock("base", "--json").stdout)["packages"]

    def stored(package) -> None:
        path = formation.store.download(package["sha256"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * package["size"])

    for package in others:
        stored(package)
    (workshop.base / "formation.lock").unlink()
    assert f", {size_text(last['size'])} of it to download\n" in lock("base").stdout
    stored(last)
    (workshop.base / "formation.lock").unlink()
    assert lock("base").stdout.endswith(", all in the store\n")


def test_the_definition_s_file_names_it_as_well_as_its_directory(workshop, lock):
    assert lock("base/formation.yaml").code == 0
    assert (workshop.base / "formation.lock").exists()


def test_a_lock_that_lost_a_package_does_not_pass(lock, workshop):
    lock("base")
    path = workshop.base / "formation.lock"
    path.write_text(path.read_text().rpartition("\n[[package]]")[0])
    result = lock("base", "--check")
    assert result.code == 2
    assert "formation.lock:7: the lock was edited, or merged badly" in result.stderr
    assert result.stderr.endswith("hint: write it anew: formation lock " + str(workshop.base) + "\n")
    assert lock("base").code == 0
    assert lock("base", "--check").code == 0


def test_an_edited_lock_without_its_checksum_does_not_pass_either(lock, workshop, formation):
    lock("base")
    path = workshop.base / "formation.lock"
    kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("checksum")]
    path.write_text("".join(kept).replace('version = "1.0"', 'version = "0.9"'))
    for result in (lock("base", "--check"), formation("build", "base", "--locked", "--dry-run")):
        assert result.code == 2
        assert "formation.lock:1: the lock has no checksum: it was edited, or merged badly" in result.stderr


def test_a_second_lock_changes_no_byte(workshop, lock):
    lock("base")
    path = workshop.base / "formation.lock"
    before = path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()
    result = lock("base")
    assert result.stdout == f"{workshop.base}/formation.lock is up to date\n"
    assert (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes()) == before


def test_a_package_of_several_architectures_counts_once(workshop, lock):
    packages = {name: {"Architecture": "all"} for name in ("aa", "dpkg", "base-passwd")}
    workshop.publish(packages, architectures=("amd64", "arm64"))
    workshop.define("aa dpkg base-passwd", "architectures: [amd64, arm64]\nessential: false\n")
    assert "formation.lock: 3 packages" in lock("base").stdout
    assert "is up to date: 3 packages, " in lock("base", "--check").stdout


def test_newer_dates_alone_are_written_only_by_refresh(workshop, lock):
    lock("base")
    path = workshop.base / "formation.lock"
    before = path.read_bytes()
    workshop.publish(age=HOUR)
    assert "is up to date" in lock("base").stdout
    assert path.read_bytes() == before
    assert lock("base", "--refresh").stdout.startswith("wrote ")
    assert path.read_bytes() != before


def test_an_update_shows_what_changes_in_the_image(workshop, lock):
    lock("base")
    packages = {**PACKAGES, "curl": {"Version": "1.1", "Depends": "libcurl4, libidn2"}, "libidn2": {}}
    workshop.publish({**packages, "libcurl4": {"Source": "curl", "Depends": "libc6"}}, age=HOUR)
    result = lock("base")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["PACKAGE", "OLD", "NEW", "CHANGE", "VARIANTS", "ARCHITECTURES"]
    assert ["curl", "1.0", "1.1", "upgraded", "runtime", "amd64"] in [line.split() for line in lines]
    assert ["libidn2", "-", "1.0", "added", "runtime", "amd64"] in [line.split() for line in lines]
    assert ["libnghttp2-14", "1.0", "-", "removed", "runtime", "amd64"] in [line.split() for line in lines]
    assert lines[-1].startswith(f"wrote {workshop.base}/formation.lock: 6 packages")


@pytest.mark.parametrize("command", ["lock", "build"])
def test_of_a_link_what_it_leads_to_is_written(workshop, lock, formation, command):
    path, kept = workshop.base / "formation.lock", workshop.directory / "locks" / "base.lock"
    kept.parent.mkdir()
    path.symlink_to(kept)
    if command == "lock":
        assert lock("base").code == 0
    else:
        # The build itself may end for want of scripts that run; its lock is there before.
        formation("build", "base", now=int(time.time()))
    assert path.is_symlink()
    assert kept.read_text().count("[[package]]") == 6


def test_a_dry_run_writes_nothing(workshop, lock):
    assert lock("base", "--dry-run").stdout.startswith(f"would write {workshop.base}/formation.lock: 6 packages")
    assert not (workshop.base / "formation.lock").exists()


def test_json_is_the_lock_as_data(workshop, lock):
    data = json.loads(lock("base", "--json").stdout)
    curl = next(package for package in data["packages"] if package["name"] == "curl")
    assert {key: curl[key] for key in ("version", "architecture", "source", "source_version")} == {
        "version": "1.0",
        "architecture": "amd64",
        "source": "curl",
        "source_version": "1.0",
    }
    assert curl["sha256"].startswith("sha256:")
    assert isinstance(curl["size"], int)
    assert data["epoch"] == data["suites"][0]["date"]
    assert (workshop.base / "formation.lock").exists()


def test_json_of_an_unchanged_lock_is_what_the_file_has(workshop, lock):
    first = lock("base", "--json").stdout
    workshop.publish(age=HOUR)
    assert lock("base", "--json").stdout == first


def test_json_of_a_dry_run_has_the_changes_of_the_table(workshop, lock):
    workshop.define("curl gdb", DEV)
    assert json.loads(lock("base", "--json").stdout)["changes"] == []
    workshop.publish({**PACKAGES, "curl": {**PACKAGES["curl"], "Version": "1.1"}}, age=HOUR)
    workshop.define("curl clang")
    changes = json.loads(lock("base", "--dry-run", "--json").stdout)["changes"]
    common = {"architectures": ["amd64"], "variants": ["runtime"]}
    assert changes == [
        {"name": "clang", "old": "1.0", "new": "1.0", "what": "moved", "from": "dev", "to": "runtime", **common},
        {"name": "curl", "old": "1.0", "new": "1.1", "what": "upgraded", **common},
        {"name": "gdb", "old": "1.0", "new": None, "what": "removed", **common},
    ]
    rows = [line.split() for line in lock("base", "--dry-run").stdout.splitlines()]
    assert rows[1] == ["clang", "1.0", "1.0", "moved", "from", "dev", "to", "runtime", "runtime", "amd64"]
    assert [row[0] for row in rows[1:-1]] == ["clang", "curl", "gdb"]


def test_a_check_needs_no_network_and_answers_by_exit_code(workshop, lock):
    lock("base")
    workshop.define("curl", "labels: {a: b}\n").path.touch()
    text = (workshop.base / "formation.yaml").read_text().replace(workshop.url, "http://127.0.0.1:1")
    assert lock("base", "--check").code == 0
    (workshop.base / "formation.yaml").write_text(text)
    result = lock("base", "--check")
    assert result.code == 1
    assert "is stale: local moved to http://127.0.0.1:1/archive" in result.stderr


def test_a_stale_lock_is_told_with_its_reason_and_hint(workshop, lock):
    lock("base")
    workshop.define("curl gdb", DEV)
    result = lock("base", "--check")
    assert result.code == 1
    assert result.stderr == (
        f"error: {workshop.base}/formation.lock is stale: "
        "it has no package for gdb, which runtime asks for; it has no package for clang, which dev asks for\n"
        "hint: formation lock base\n"
    )
    answer = json.loads(lock("base", "--check", "--json").stdout)
    assert (answer["stale"], answer["reason"]) == (True, result.stderr.partition("stale: ")[2].partition("\n")[0])


def test_a_missing_lock_fails_a_check(workshop, lock):
    result = lock("base", "--check")
    assert result.code == 1
    assert "there is no lock" in result.stderr


def test_a_lock_that_a_merge_broke_is_written_anew(workshop, lock):
    lock("base")
    path = workshop.base / "formation.lock"
    good = path.read_text()
    path.write_text("<<<<<<< HEAD\n" + good)
    broken = lock("base", "--check")
    assert broken.code == 2
    assert f"{path}:1: a merge conflict was left in it" in broken.stderr
    result = lock("base")
    assert result.code == 0
    assert "written anew" in result.stderr
    assert path.read_text() == good


def test_a_replay_is_an_integrity_error_and_leaves_the_lock(workshop, lock):
    lock("base")
    before = (workshop.base / "formation.lock").read_bytes()
    workshop.publish(age=20 * HOUR, version="0.9")
    result = lock("base")
    assert result.code == 4
    assert "replay" in result.stderr
    assert (workshop.base / "formation.lock").read_bytes() == before


def test_an_unknown_package_is_a_wrong_definition(workshop, lock):
    workshop.define("crul")
    result = lock("base")
    assert result.code == 2
    assert result.stderr.endswith(
        f"error: {workshop.base}/formation.yaml:7: no archive of the definition has a package crul\n"
        "hint: did you mean curl?\n"
    )


def test_an_archive_that_does_not_answer_is_exit_code_5(workshop, lock):
    workshop.define("curl", suites="missing")
    assert lock("base").code == 5


def test_a_minimal_variant_that_takes_what_there_is_not_is_a_wrong_definition(workshop, lock):
    lock("base")
    minimal = "variants:\n  min: {only: [libcurl5]}\n"
    workshop.define("curl", minimal)
    for result in (lock("base"), lock("base", "--check"), lock("base", "--dry-run")):
        assert result.code == 2
        assert "formation.yaml:9: `only` of min names libcurl5, which runtime does not have\n" in result.stderr
        assert result.stderr.endswith("hint: did you mean 'libcurl4'?\n")


@pytest.mark.parametrize("name", ["a b'c", "sp ace"])
def test_the_command_of_a_hint_can_be_pasted(workshop, lock, formation, name):
    workshop.base.rename(workshop.directory / name)
    commands = [("lock", name, "--check"), ("vendor", name), ("build", name, "--locked"), ("why", "curl", name)]
    for command in commands:
        hint = formation(*command).stderr.splitlines()[-1]
        assert hint.startswith("hint: formation lock ")
        (directory,) = shlex.split(hint)[3:]
        assert directory in (name, str(workshop.directory / name))
    assert lock(name).code == 0
    path = workshop.directory / name / "formation.lock"
    path.write_text(path.read_text().replace("curl", "cool"))
    hint = lock(name, "--check").stderr.splitlines()[-1]
    assert shlex.split(hint)[-1] == str(workshop.directory / name)
