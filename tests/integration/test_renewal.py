"""Services that ask for other versions of what their base has: what dpkg itself does on a copy of the base's tree."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from archives import make_archive, served
from builds import TINY, Formation, define, layers, new_store
from debs import Item, file, hard_link, make_deb, symlink
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store
from real_install import run_inside
from trees import compare, directory_tree, image_tree

pytest_plugins = ["small_images"]
pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("renewal")]

EPOCH = 1_700_000_000
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
LOG = """#!/bin/sh
set -e
mkdir -p /srv
echo "$DPKG_MAINTSCRIPT_PACKAGE {version} $DPKG_MAINTSCRIPT_NAME $*" >> /srv/scripts
"""


def deb(
    place: Path, name: str, version: str, files: list[Item], conffiles: str = "", *, postinst: str = "", **fields: str
) -> Path:
    """A package each of whose scripts says what it was called with; `postinst` is what that one does more."""
    sums = "".join(
        f"{md5(item.content).hexdigest()}  {item.path}\n"
        for item in files
        if item.content and item.path not in conffiles
    )
    control = {"md5sums": sums, **dict.fromkeys(SCRIPTS, LOG.format(version=version))}
    control["postinst"] += postinst
    if conffiles:
        control["conffiles"] = conffiles
    fields = {key.replace("_", "-"): value for key, value in fields.items()}
    return make_deb(place, name, version=version, fields=fields, files=files, control=control)


def old_packages(place: Path) -> list[Path]:
    return [
        deb(
            place, "renew-app", "1.0",
            [file("usr/bin/renew-app", b"one", mode=0o755), file("usr/share/renew/gone", b"gone"),
             file("usr/share/renew/old/deep", b"deep"), file("usr/share/renew/moved", b"moved"),
             file("usr/share/renew/same", b"same"), file("etc/renew/followed", b"old\n"),
             file("etc/renew/changed", b"old\n")],
            "/etc/renew/followed\n/etc/renew/changed\n", Depends="renew-lib",
        ),
        deb(place, "renew-lib", "1.0", [file("usr/lib/renew.so.1", b"one"), symlink("usr/lib/renew.so", "renew.so.1")]),
        deb(place, "renew-links", "1.0",
            [file("usr/bin/renew-a", b"a"), hard_link("usr/bin/renew-b", "usr/bin/renew-a")]),
        deb(place, "renew-names", "1.0",
            [file("usr/share/renew/name"), hard_link("usr/share/renew/other", "usr/share/renew/name")]),
        deb(place, "renew-rival", "1.0", []),
        deb(place, "renew-dir", "1.0", [file("usr/share/renew/place/x", b"x")]),
        deb(place, "renew-turn", "1.0", [file("usr/share/renew/turn/x", b"x")]),
        deb(place, "renew-gone", "1.0", [file("usr/share/renew/taken", b"one")]),
        deb(place, "renew-taker", "1.0", []),
    ]  # fmt: skip


def new_packages(place: Path) -> list[Path]:
    """The first comes before the others; the last has nothing to do with the base."""
    return [
        deb(place, "renew-extra", "2.0", [file("usr/share/renew/moved", b"moved!")],
            Replaces="renew-app (<< 2)", Breaks="renew-app (<< 2)"),
        deb(place, "renew-lib", "2.0", [file("usr/lib/renew.so.2", b"two"), symlink("usr/lib/renew.so", "renew.so.2")],
            Pre_Depends="renew-extra"),
        deb(place, "renew-app", "2.0",
            [file("usr/bin/renew-app", b"two!", mode=0o755), file("usr/share/renew/same", b"same"),
             file("usr/share/renew/new", b"new"), file("etc/renew/followed", b"new\n"),
             file("etc/renew/changed", b"new\n")],
            "/etc/renew/followed\n/etc/renew/changed\n", Depends="renew-lib (>= 2), renew-extra"),
        deb(place, "renew-links", "2.0", [file("usr/bin/renew-a", b"a2"), file("usr/bin/renew-b", b"a")],
            postinst="echo more >> /usr/share/renew/name\n"),
        deb(place, "renew-rival", "2.0", [], Depends="renew-ally"),
        deb(place, "renew-ally", "1.0", [], Conflicts="renew-rival (<< 2)"),
        deb(place, "renew-dir", "2.0", []),
        deb(place, "renew-file", "1.0", [file("usr/share/renew/place", b"file")], Depends="renew-dir (>= 2)"),
        deb(place, "renew-plain", "1.0", [file("usr/share/renew/plain", b"plain")], Depends="renew-app (>= 2)"),
    ]  # fmt: skip


def other_packages(place: Path) -> list[Path]:
    """What other services ask for."""
    return [
        deb(place, "renew-turn", "2.0", [file("usr/share/renew/turn", b"file")]),
        deb(place, "renew-taker", "2.0", [file("usr/share/renew/taken", b"two")], Replaces="renew-gone"),
    ]


OLD = "renew-app, renew-lib, renew-links, renew-names, renew-rival, renew-dir, renew-turn, renew-gone, renew-taker"
BASE = TINY.partition("variants:")[0].replace("sed, tar]", f"sed, tar, {OLD}]")
BASE += 'files:\n  - {path: /etc/renew/changed, content: "ours\\n"}\n'
SERVICE = """\
kind: service
name: test/renewed
version: 1.0.0
base: test/tiny:1.0.0
user: root
packages: [renew-app=2.0, renew-lib/stable, renew-links=2.0, renew-plain, renew-rival=2.0, renew-dir=2.0, renew-file]
"""
COMPARED = re.compile(
    r"(etc/renew|srv|usr/share/renew)(/.*)?|usr/bin/renew.*|usr/lib/renew.*|var/lib/dpkg/info/renew.*"
)


class Made:
    """The service, its base, and what dpkg makes of the base."""

    def __init__(self, directory: Path, store: Path, archive: Path, root: Path) -> None:
        self.directory, self.store, self.archive, self.root = directory, store, archive, root
        self.reference: Mapping[str, Any] = {}

    def build(self, **environment: str) -> Image:
        """The service, built anew."""
        store = Store(self.store)
        for kept in (store.effects, store.builds):
            shutil.rmtree(kept, ignore_errors=True)
        ran = Formation().with_environment(**environment).build(self.store, self.directory)
        return image_of(StoreBlobs(store), store.blob(ran.data["digest"]).read_bytes())


@pytest.fixture(scope="module")
def made(open_directory: Path, shared_store: Path) -> Made:
    place = open_directory / "renewal"
    old, new = place / "old", place / "new"
    for directory in (old, new, place / "base", place / "service"):
        directory.mkdir(parents=True)
    debs = new_packages(new)
    archive = make_archive(place / "archive", old_packages(old))
    later = make_archive(place / "later", [*debs, *other_packages(new)])
    with served(archive.directory) as url, served(later.directory) as later_url:
        own = "archives: [{{name: own, uri: '{}', suites: [stable], keys: [./key.asc]}}]\n"
        shutil.copy(archive.directory / "key.asc", place / "base")
        shutil.copy(later.directory / "key.asc", place / "service")
        define(place / "base", BASE + own.format(url), Formation(), shared_store)
        store = new_store(place / "store", place / "base", shared_store)
        base = Formation().build(store, place / "base").data["digest"]
        define(place / "service", SERVICE + own.format(later_url), Formation(), store)
        made = Made(place / "service", store, later.directory, place / "root")
        # Downloads everything while the archive is there.
        made.build()
    made.root.mkdir(mode=0o755)
    image = image_of(StoreBlobs(Store(store)), Store(store).blob(base).read_bytes())
    for layer in image.layers:
        with layer.uncompressed() as stream:
            data = b"".join(iter(lambda: stream.read(1 << 20), b""))
        subprocess.run(["tar", "-x", "-p", "--numeric-owner", "-C", made.root], input=data, check=True)
    for name in ("dev", "proc", "tmp"):
        (made.root / name).mkdir(exist_ok=True)
    force = ["--force-confdef,confold,unsafe-io", "--auto-deconfigure"]
    extra, *rest = [f"/tmp/archive/{each.name}" for each in debs]
    for step in (
        ["--unpack", extra],
        ["--configure", "renew-extra"],
        ["--install", *rest],
        ["--configure", "--pending"],
    ):
        run_inside(made.root, new, ["dpkg", *force, *step], EPOCH)
    made.reference = directory_tree(made.root)
    return made


def blob(made: Made, digest: str) -> bytes:
    return Store(made.store).blob(digest).read_bytes()


def scripts(tree: Mapping[str, Any]) -> dict[str, list[str]]:
    """What each package's scripts were called with, in order."""
    found: dict[str, list[str]] = {}
    for line in tree["srv/scripts"].content.decode().splitlines():
        name, _, call = line.partition(" ")
        found.setdefault(name, []).append(call)
    return found


@pytest.mark.parametrize("overlay", ["1", "0"])
def test_the_tree_is_dpkgs(made: Made, overlay: str) -> None:
    ours = image_tree(made.build(FORMATION_OVERLAY=overlay))
    differences = [each for each in compare(made.reference, ours) if COMPARED.fullmatch(each.path)]
    assert not [each for each in differences if each.path != "srv/scripts"], "\n".join(map(str, differences))
    assert scripts(ours)["renew-app"] == scripts(made.reference)["renew-app"]
    assert {name: sorted(calls) for name, calls in scripts(ours).items()} == {
        name: sorted(calls) for name, calls in scripts(made.reference).items()
    }
    assert ours["etc/renew/followed"].content == b"new\n"
    assert ours["etc/renew/changed"].content == b"ours\n"
    assert "usr/share/renew/gone" not in ours and "usr/share/renew/old" not in ours


def test_the_database_is_dpkgs(made: Made) -> None:
    ours = image_tree(made.build())

    def packages(tree: Mapping[str, Any]) -> dict[str, set[str]]:
        stanzas = tree["var/lib/dpkg/status"].content.decode().strip().split("\n\n")
        return {each.splitlines()[0]: set(each.splitlines()) for each in stanzas}

    assert packages(ours) == packages(made.reference)


def test_the_base_s_layers_stay_and_the_image_is_sound(made: Made) -> None:
    image = made.build()
    base = Formation().run("--store", str(made.store), "inspect", "test/tiny:1.0.0", "--json").data
    there = layers(made.store, base["digest"])[1:]
    assert layers(made.store, image.digest)[1 : 1 + len(there)] == there
    verified = Formation().run("--store", str(made.store), "verify", "test/renewed:1.0.0")
    assert verified.status == 0, verified.stdout
    told = Formation().run("--store", str(made.store), "inspect", "test/renewed:1.0.0", "--json").data["layers"]
    brought = {each["name"]: each["version"] for layer in told[len(there) :] for each in layer["packages"]}
    assert brought["renew-app"] == "2.0" and brought["renew-plain"] == "1.0"


def test_an_ordinary_user_gets_the_same_image(made: Made, as_user: Formation, open_directory: Path) -> None:
    ours = made.build().digest
    own = open_directory / "renewal-user-store"
    shutil.copytree(made.store, own, ignore=shutil.ignore_patterns("trees", "effects", "work", "builds"))
    for path in (own, *own.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert as_user.build(own, made.directory).data["digest"] == ours


def other_service(made: Made, place: Path, request: str, **environment: str) -> Any:
    """What came of building a service on the same base."""
    with served(made.archive) as url:
        place.mkdir()
        shutil.copy(made.archive / "key.asc", place)
        text = SERVICE.partition("packages:")[0].replace("test/renewed", f"test/{place.name}")
        text += f"packages: [{request}]\narchives: [{{name: own, uri: '{url}', suites: [stable], keys: [./key.asc]}}]\n"
        define(place, text, Formation(), made.store)
        shutil.rmtree(Store(made.store).effects, ignore_errors=True)
        formation = Formation().with_environment(**environment)
        return formation.run("--store", str(made.store), "build", str(place), "--json")


def test_a_directory_that_becomes_a_file_does_so_with_an_overlay_too(made: Made, tmp_path: Path) -> None:
    """Overlayfs cannot move a directory of the base aside, which dpkg wants to."""
    trees = []
    for overlay in ("1", "0"):
        ran = other_service(made, tmp_path / f"turned-{overlay}", "renew-turn=2.0", FORMATION_OVERLAY=overlay)
        assert ran.status == 0, ran.errors
        trees.append(image_tree(image_of(StoreBlobs(Store(made.store)), blob(made, ran.data["digest"]))))
    assert compare(*trees) == []
    assert trees[0]["usr/share/renew/turn"].content == b"file"
    assert "usr/share/renew/turn/x" not in trees[0]


def test_a_package_that_would_disappear_is_an_error(made: Made, tmp_path: Path) -> None:
    ran = other_service(made, tmp_path / "vanished", "renew-taker=2.0")
    assert ran.status == 3
    assert "the base's dpkg removed renew-gone, whose files are all in other packages now" in ran.errors


def test_built_anew_with_the_effects_no_package_is_needed_once_more(made: Made) -> None:
    digest = made.build().digest
    store = Store(made.store)
    away = made.store.parent / "away"
    store.downloads.rename(away)
    try:
        for kept in (store.builds, store.layers):
            shutil.rmtree(kept, ignore_errors=True)
        assert Formation().build(made.store, made.directory, "--offline").data["digest"] == digest
    finally:
        shutil.rmtree(store.downloads, ignore_errors=True)
        away.rename(store.downloads)


def test_a_script_that_fails_is_told_with_its_package(made: Made, open_directory: Path, tmp_path: Path) -> None:
    control = {"postinst": "#!/bin/sh\necho it is full\nexit 7\n"}
    archive = make_archive(tmp_path / "archive", [make_deb(tmp_path, "renew-links", version="3.0", control=control)])
    with served(archive.directory) as url:
        (tmp_path / "service").mkdir()
        shutil.copy(archive.directory / "key.asc", tmp_path / "service")
        text = SERVICE.partition("packages:")[0].replace("test/renewed", "test/failed")
        text += "packages: [renew-links=3.0]\n"
        text += f"archives: [{{name: own, uri: '{url}', suites: [stable], keys: [./key.asc]}}]\n"
        define(tmp_path / "service", text, Formation(), made.store)
        ran = Formation().run("--store", str(made.store), "build", str(tmp_path / "service"))
    assert ran.status == 3
    assert "error: the base's dpkg could not install renew-links; its last output:" in ran.errors
    assert "it is full" in ran.errors
    assert "hint: run it again by hand: unshare" in ran.errors
