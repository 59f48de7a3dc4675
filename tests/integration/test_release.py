"""`formation diff` and `formation release` on real upgrades: the archive as it is now, and images built from it."""

import json
from pathlib import Path

import pytest

from builds import TINY, Formation, define

pytestmark = pytest.mark.network

POINT_RELEASE = """\
archives:
  - name: debian
    uri: http://deb.debian.org/debian
    suites: [trixie]
    components: [main]
    keys: [debian-trixie]
"""
SERVER = """\
kind: base
name: test/server
version: 1.0.0
{distribution}
architectures: [amd64]
packages: [openssl, curl, {libssl}, libgpgme11{t64}]
"""


def server(directory: Path, store: Path, distribution: str, *, t64: bool = True) -> Path:
    text = SERVER.format(distribution=distribution, libssl="libssl3t64" if t64 else "libssl3", t64="t64" if t64 else "")
    return define(directory, text, Formation(), store)


def data(store: Path, *arguments: str) -> dict:
    ran = Formation().run("--store", str(store), *arguments, "--json")
    assert ran.status in (0, 1), ran.stderr
    return json.loads(ran.stdout)


def test_from_the_point_release_to_the_security_suite_is_a_patch_with_its_changelogs(tmp_path, shared_store):
    old = server(tmp_path / "old", shared_store, POINT_RELEASE)
    new = server(tmp_path / "new", shared_store, "distribution: debian/trixie")
    found = data(shared_store, "diff", str(old), str(new))
    # What differs is the archive's affair; on the day after a point release it may be nothing but the suites.
    assert {change["kind"] for change in found["packages"]} <= {"upgraded"}
    assert {change["new"]["source"] for change in found["packages"]} == set(found["changelogs"])
    for news in found["changelogs"].values():
        assert news["entries"]
        assert all(cve.startswith("CVE-") for cve in news["cves"])
    assert {change["name"] for change in found["changes"]} == {"trixie-updates", "trixie-security"}
    review = data(shared_store, "release", "check", "--old", str(old), "--new", str(new), "--no-changelogs")
    assert (review["level"], review["deserved"], review["enough"]) == ("patch", "1.0.1", False)


def test_from_bookworm_to_trixie_is_major_for_its_suite_its_libc_and_what_is_gone(tmp_path, shared_store):
    old = server(tmp_path / "old", shared_store, "distribution: debian/bookworm", t64=False)
    new = server(tmp_path / "new", shared_store, "distribution: debian/trixie")
    review = data(shared_store, "release", "check", "--old", str(old), "--new", str(new))
    assert (review["level"], review["deserved"]) == ("major", "2.0.0")
    texts = {reason["text"] for reason in review["reasons"] if reason["level"] == "major"}
    assert "suite bookworm removed" in texts
    assert "the package libssl3 is gone" in texts
    assert any(text.startswith("the C library is another: libc6 2.36-") for text in texts)
    assert any(text.startswith("from trixie, not from bookworm: ") for text in texts)
    assert review["cves"]


@pytest.mark.root
def test_releases_of_built_images_patch_then_break(tmp_path, shared_store):
    run = Formation().run
    store = ("--store", str(shared_store))
    text = TINY.replace("test/tiny", "test/released").replace(
        "variants:",
        "users: [{name: app, uid: 990, group: app, home: /app}]\n"
        "groups: [{name: app, gid: 990}]\n"
        "directories: [{path: /app, owner: app, group: app, mode: '0755'}]\n"
        "variants:",
    )
    directory = define(tmp_path / "definition", text, Formation(), shared_store)
    for variant in ("runtime", "dev"):
        assert run(*store, "build", str(directory), "--variant", variant).status == 0
    nothing = data(shared_store, "release", "check", str(directory))
    assert nothing["enough"]

    definition = directory / "formation.yaml"
    definition.write_text(
        text.replace("uid: 990", "uid: 991").replace(", netbase", "").replace("mawk", "mawk, libzstd1")
    )
    assert run(*store, "lock", str(directory)).status == 0
    refused = run(*store, "release", str(directory), "--version", "1.1.0", "--no-changelogs")
    assert (refused.status, "1.1.0 is too small after 1.0.0 for a major change" in refused.stderr) == (1, True)
    review = data(shared_store, "release", "check", str(directory), "--no-changelogs")
    rules = {(reason["rule"], reason["text"]) for reason in review["reasons"]}
    assert ("package-removed", "the package netbase is gone") in rules
    assert ("user-uid", "user app: uid 990 → 991") in rules
    assert run(*store, "release", str(directory)).status == 0
    assert "version: 2.0.0\n" in definition.read_text()
    assert "- the package netbase is gone" in (directory / "CHANGELOG.md").read_text()
    # Looking left no image, and the one that was released is the old one still.
    images = json.loads(run(*store, "images", "--json").stdout)
    names = {image["reference"] for image in (images if isinstance(images, list) else images["images"])}
    assert "test/released:1.0.0" in names
    assert not [name for name in names if name.startswith("localhost/formation-release") or name.endswith(":2.0.0")]
