"""What dpkg's database says of packages that are yet to come, compared with what dpkg itself makes of it."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from archives import make_archive, served
from builds import TINY, Formation, define, new_store
from debs import directory, file, hard_link, make_deb, symlink
from formation.definition.hardening import Hardening
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store
from real_install import harden, run_inside
from trees import compare, directory_tree, image_tree

pytest_plugins = ["small_images"]
AS_PACKAGED = "hardening: {setuid: keep, accounts: keep, modes: keep, package_manager: keep, traces: keep}\n"
SUMS = {"md5sums": ""}
"""Else they depend on the order of unpacking, which is nobody's."""
REPLACES = {"Replaces": "saved-old, needed-old, vanished-old"}
FILES = """\
files:
  - {path: /etc/added, content: "mine"}
  - {path: /etc/added-same, content: "theirs"}
"""

pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("odd-database")]

EPOCH = 1_700_000_000
SHELL = "#!/bin/sh\nset -e\n"
PROGRAM = b"#!/bin/sh\n"


def odd(place: Path, name: str, *files: Any, needs: str = "", **control: str) -> Path:
    """A package with scripts; what it has in /etc are conffiles."""
    scripts = {key: SHELL + text for key, text in control.items()}
    paths = [f"/{item.path}\n" for item in files if item.path.startswith("etc/")]
    members = {**scripts, "foo.bar": "x", **({"conffiles": "".join(paths)} if paths else {})}
    return make_deb(place, name, fields={"Pre-Depends": needs} if needs else None, files=files, control=members)


def packages(place: Path) -> Mapping[str, Sequence[Path]]:
    """Variant → its packages, in the order in which dpkg gets them."""
    add = "dpkg-statoverride --add"
    return {
        "overridden": [
            odd(
                place, "override-add", file("usr/bin/own", PROGRAM, mode=0o755), directory("srv/there"),
                postinst=f"{add} daemon mail 4750 /usr/bin/own; {add} daemon mail 4755 /usr/bin/later\n"
                f"{add} mail mail 2770 /srv/later; {add} mail mail 2770 /srv/there\n"
                f"{add} daemon mail 2751 /usr/bin/odd-link\n",
            ),
            odd(
                place, "override-later", file("usr/bin/later", PROGRAM, mode=0o755), file("usr/bin/early", PROGRAM),
                directory("srv/later"), file("srv/later/f"), directory("srv/there"), file("usr/bin/odd-file", PROGRAM),
                hard_link("usr/bin/odd-link", "usr/bin/odd-file"),
                needs="override-add", preinst=f"{add} daemon mail 4755 /usr/bin/early\n", postinst="true\n",
            ),
        ],
        "configured": [
            odd(
                place, "conf-made",
                postinst="echo mine > /etc/mine; printf theirs > /etc/same; printf theirs > /etc/secret\n"
                "chmod 600 /etc/secret; mkfifo /etc/pipe\necho mine > /etc/hard-a; echo mine > /etc/soft-b\n"
                "ln -s soft-b /etc/soft-a\necho mine > /etc/second-b\n",
            ),
            odd(
                place, "conf-later", *(file(f"etc/{name}", b"theirs") for name in (
                    "mine", "same", "secret", "new", "own", "added", "added-same", "pipe")),
                needs="conf-made", preinst="echo mine > /etc/own\n", postinst="cat /etc/new /etc/mine > /srv/seen\n",
            ),
            odd(
                place, "conf-hard", file("etc/hard-a", b"theirs", mode=0o640),
                hard_link("etc/hard-b", "etc/hard-a", mode=0o640), file("etc/second-a", b"theirs"),
                hard_link("etc/second-b", "etc/second-a"), needs="conf-made", postinst="true\n",
            ),
            odd(
                place, "conf-soft", file("etc/soft-a", b"theirs"), file("etc/soft-b", b"theirs too"),
                needs="conf-made", postinst="true\n",
            ),
            odd(place, "conf-owned", file("etc/owned", b"original"), file("usr/share/conf-owned/own")),
            make_deb(
                place, "conf-owning", files=[file("etc/owned", b"diverting")], control={"preinst": SHELL +
                "dpkg-divert --package conf-owning --add --rename --divert /etc/owned.real /etc/owned\n"},
            ),
            odd(
                place, "conf-links", symlink("etc/to-own", "of-link"), file("etc/of-link", b"x"),
                symlink("etc/to-other", "mine"),
                needs="conf-made", postinst="true\n",
            ),
        ],
        "replaced": [
            # Each old one has lost every file, and is saved: by a directory of its own, and by what needs it.
            make_deb(
                place, "saved-old", control=SUMS,
                files=[file("usr/share/saved/f", b"old"), directory("usr/share/saved-old")],
            ),
            make_deb(place, "saved-new", fields=REPLACES, files=[file("usr/share/saved/f", b"new")]),
            make_deb(place, "needed-old", control=SUMS, files=[file("usr/share/needed/f", b"old")]),
            make_deb(place, "needing", fields={"Depends": "needed-old (>= 1)"}, files=[file("usr/share/needing/f")]),
            make_deb(
                place, "needed-zew", fields=REPLACES | {"Provides": "needed-old"},
                files=[file("usr/share/needed/f", b"new")],
            ),
        ],
        "last": [
            # All that come with it come before it: nothing is unpacked later that could have it disappear.
            make_deb(place, "early-new", fields={"Replaces": "late-old"}, files=[file("usr/share/late/f", b"new")]),
            make_deb(
                place, "late-old", fields={"Depends": "early-new"}, control=SUMS,
                files=[file("usr/share/late/f", b"old")],
            ),
        ],
        "diverted": [
            make_deb(place, "diverted-old", control=SUMS, files=[file("usr/share/both/f", b"old")]),
            make_deb(
                place, "diverting-new", fields={"Replaces": "diverted-old"}, files=[file("usr/share/both/f", b"new")],
                control=SUMS | {"preinst": SHELL + "dpkg-divert --package diverting-new --add --rename "
                "--divert /usr/share/both/f.real /usr/share/both/f\n"},
            ),
        ],
        # dpkg gets these in one run.
        "lost": [
            make_deb(
                place, "lost-old", files=[file("etc/lost", b"old"), file("etc/lost-not", b"old")],
                control=SUMS | {"conffiles": "/etc/lost\n/etc/lost-not\n/etc/not-shipped\n", "postinst": SHELL},
            ),
            make_deb(
                place, "lost-wins", fields={"Replaces": "lost-old"}, files=[file("etc/lost", b"new")],
                control={"conffiles": "/etc/lost\n", "postinst": SHELL},
            ),
            # It has no conffile of that name, nor does anybody have the one that the preinst makes.
            make_deb(
                place, "plain-old", files=[file("etc/plain", b"old"), file("etc/plain-not", b"old")],
                control=SUMS | {
                    "conffiles": "/etc/plain\n/etc/plain-made\n", "postinst": SHELL,
                    "preinst": SHELL + "echo made > /etc/plain-made\n",
                },
            ),
            make_deb(
                place, "plain-wins", fields={"Replaces": "plain-old"}, files=[file("etc/plain", b"new")],
                control=SUMS | {"postinst": SHELL},
            ),
        ],
        "vanished": [
            make_deb(place, "vanished-old", files=[file("usr/share/vanished/f", b"old")]),
            make_deb(place, "vanished-new", fields=REPLACES, files=[file("usr/share/vanished/f", b"new")]),
        ],
        "below": [
            make_deb(place, "below-new", fields={"Replaces": "above-old"}, files=[file("usr/share/above/f", b"new")])
        ],
        # One comes with it that may come after it.
        "above": [
            make_deb(place, "above-old", files=[file("usr/share/above/f", b"old")]),
            make_deb(place, "beside", files=[file("usr/share/beside/f")]),
        ],
        "linked": [
            odd(
                place, "link-made",
                postinst="echo mine > /etc/target; ln -s target /etc/link; ln -s /srv/none /etc/dangling\n",
            ),
            odd(
                place, "link-met", file("etc/link", b"theirs"), file("etc/dangling", b"theirs"),
                needs="link-made", postinst="true\n",
            ),
        ],
    }  # fmt: skip


PRIVILEGED = SHELL + (
    "dpkg-statoverride --add root mail 4750 /usr/bin/plain\n"
    "dpkg-statoverride --add root mail 4755 /usr/bin/nobodys\n"
    "dpkg-statoverride --update --add root root 4755 /usr/bin/suid\n"
    "dpkg-statoverride --add daemon mail 4755 /usr/bin/later\n"
)


def extract(image: Image, root: Path) -> None:
    """The tree of an image whose layers remove nothing."""
    for layer in image.layers:
        with layer.uncompressed() as stream:
            data = b"".join(iter(lambda: stream.read(1 << 20), b""))
        subprocess.run(["tar", "-x", "-p", "--numeric-owner", "-C", root], input=data, check=True)


@pytest.fixture(scope="module")
def debs(open_directory: Path) -> Mapping[str, Sequence[Path]]:
    place = open_directory / "database-debs"
    place.mkdir()
    return packages(place)


def defined(place: Path, store: Path, text: str, debs: Sequence[Path], variants: Mapping[str, Sequence[Path]]) -> Path:
    """A definition with `variants` of packages that a new archive of `debs` has, and all of them in `store`.

    The one that is called `above` extends `below`.
    """
    place.mkdir()
    archive = make_archive(place / "archive", debs)
    shutil.copy(archive.directory / "key.asc", place)
    text += TINY.partition("variants:")[0] + "variants:\n"
    for name, own in variants.items():
        extends = "extends: below, " if name == "above" else ""
        text += f"  {name}: {{{extends}packages: [{', '.join(deb.name.partition('_')[0] for deb in own)}]}}\n"
    with served(archive.directory) as url:
        text += f"archives: [{{name: own, uri: '{url}', suites: [stable], keys: [./key.asc]}}]\n"
        define(place, text, Formation(), store)
        for name in variants:
            Formation().build(store, place, "--variant", name)
    return place


def built(definition: Path, store: Path, variant: str) -> Image:
    ran = Formation().build(store, definition, "--variant", variant)
    return image_of(StoreBlobs(Store(store)), Store(store).blob(ran.data["digest"]).read_bytes())


@pytest.fixture(scope="module")
def store(open_directory: Path, tiny: Path, shared_store: Path) -> Path:
    return new_store(open_directory / "database-store", tiny, shared_store)


@pytest.fixture(scope="module")
def definition(debs: Mapping[str, Sequence[Path]], open_directory: Path, store: Path) -> Path:
    every = [deb for own in debs.values() for deb in own]
    return defined(open_directory / "database", store, AS_PACKAGED + FILES, every, debs)


@pytest.fixture(scope="module")
def below(definition: Path, open_directory: Path, store: Path) -> Path:
    """The tree onto which dpkg installs the packages of a variant."""
    root = open_directory / "database-root"
    root.mkdir(mode=0o755)
    extract(built(definition, store, "runtime"), root)
    for name in ("dev", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    return root


MADE_ANEW = re.compile(
    r"(dev|proc|tmp|sys)/.*|var/log/.*|var/lib/dpkg/(lock.*|.*-old|triggers/Lock)|var/cache/ldconfig.*"
)


@pytest.mark.parametrize("variant", ["overridden", "configured", "replaced", "last", "diverted", "lost"])
def test_the_tree_and_the_database_are_dpkgs(
    definition: Path, store: Path, below: Path, debs: Mapping[str, Sequence[Path]], variant: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", below, root], check=True)
    paths = [f"/tmp/archive/{deb.name}" for deb in debs[variant]]
    for together in [paths] if variant == "lost" else [[path] for path in paths]:
        command = ["dpkg", "--force-unsafe-io,confdef,confold", "--install", *together]
        run_inside(root, debs[variant][0].parent, command, EPOCH)
    ours = image_tree(built(definition, store, variant))
    found = compare(directory_tree(root), ours)
    # dpkg has overrides in the order of a hash table.
    differences = [d for d in found if not MADE_ANEW.fullmatch(d.path) and d.path != "var/lib/dpkg/statoverride"]
    assert not differences, "\n".join(map(str, differences))


def test_a_configuration_file_waits_where_a_link_of_a_script_leads(definition: Path, store: Path) -> None:
    """dpkg would leave it beside the link as .dpkg-new, which it then does not find."""
    tree = image_tree(built(definition, store, "linked"))
    assert (tree["etc/link"].target, tree["etc/dangling"].target) == ("target", "/srv/none")
    found = {path: tree[path].content for path in ("etc/target", "etc/target.dpkg-dist", "srv/none")}
    assert found == {"etc/target": b"mine\n", "etc/target.dpkg-dist": b"theirs", "srv/none": b"theirs"}
    assert [path for path in tree if path.endswith(".dpkg-new")] == []


def test_a_package_that_dpkg_would_have_disappear_ends_the_build(definition: Path, store: Path) -> None:
    ran = Formation().build(store, definition, "--variant", "vanished")
    assert ran.status == 3
    assert "vanished-old 1.0 disappear: vanished-new replaces all its files, and nothing" in ran.errors
    assert "hint: leave it out: write -vanished-old under packages:" in ran.errors


def test_a_package_that_has_lost_all_to_one_below_ends_the_build_where_another_may_come_after_it(
    definition: Path, store: Path
) -> None:
    ran = Formation().build(store, definition, "--variant", "above")
    assert ran.status == 3
    assert "above-old 1.0 disappear: below-new replaces all its files, and nothing" in ran.errors


def test_a_package_that_is_unpacked_in_another_way_is_fetched_again_when_a_prune_has_taken_it(
    open_directory: Path, store: Path
) -> None:
    """A build marks as used what was unpacked of it, and not its .deb."""
    place = open_directory / "pruned-debs"
    place.mkdir()
    new = place / "new"
    new.mkdir()
    kept = odd(place, "kept", file("usr/share/kept/f"), needs="override", postinst="true\n")
    override = odd(place, "override", postinst="true\n")
    definition = defined(open_directory / "pruned", store, "", [kept, override], {"own": [kept, override]})
    for path in (store / "downloads").rglob("*"):
        if path.is_file():
            path.unlink()
    override = make_deb(
        new, "override", version="2.0",
        control={"postinst": SHELL + "dpkg-statoverride --add root mail 0640 /usr/share/kept/f\n"},
    )  # fmt: skip
    shutil.rmtree(definition)
    definition = defined(definition, store, "", [kept, override], {"own": [kept, override]})
    overridden = image_tree(built(definition, store, "own"))["usr/share/kept/f"]
    assert (overridden.mode, overridden.gid) == (0o640, 8)


def test_no_override_gives_a_hardened_image_a_privileged_program(
    open_directory: Path, store: Path, tmp_path: Path
) -> None:
    place = open_directory / "hardened-debs"
    place.mkdir()
    first = [file("usr/bin/plain", PROGRAM, mode=0o755), file("usr/bin/suid", PROGRAM, mode=0o4755)]
    debs = [
        make_deb(place, "first", files=first, control={"postinst": PRIVILEGED}),
        odd(place, "second", file("usr/bin/later", PROGRAM, mode=0o755), needs="first", postinst="true\n"),
    ]
    definition = defined(open_directory / "hardened", store, "", debs, {"own": debs})
    tree = image_tree(built(definition, store, "own"))
    assert [path for path, record in tree.items() if record.type == "file" and record.mode & 0o6000] == []
    lines = tree["var/lib/dpkg/statoverride"].content.splitlines()
    assert lines == [
        b"daemon mail 755 /usr/bin/later",
        b"root mail 4755 /usr/bin/nobodys",
        b"root mail 750 /usr/bin/plain",
        b"root root 755 /usr/bin/suid",
    ]
    said = Formation().run("--store", str(store), "verify", "test/tiny:1.0.0-own", "--json")
    assert [finding["id"] for finding in json.loads(said.stdout)["findings"]] == ["statoverride-ignored"]
    # And so do the steps of a Dockerfile.
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    extract(built(definition, store, "runtime"), root)
    for name in ("dev", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    for deb in debs:
        run_inside(root, place, ["dpkg", "--force-unsafe-io", "--install", f"/tmp/archive/{deb.name}"], EPOCH)
    harden(root, place, Hardening(), EPOCH)
    theirs = directory_tree(root)
    assert sorted(theirs["var/lib/dpkg/statoverride"].content.splitlines()) == lines
    names = [f"usr/bin/{name}" for name in ("later", "plain", "suid")]
    assert [(theirs[n].mode, theirs[n].uid, theirs[n].gid) for n in names] == [
        (tree[n].mode, tree[n].uid, tree[n].gid) for n in names
    ]
