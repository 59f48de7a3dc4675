"""Packages that policy forbids and dpkg installs all the same: in images, and by dpkg itself on a copy of the tree."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archives import make_archive, served
from builds import TINY, Formation, define, layers, new_store
from debs import Item, directory, file, hard_link, make_deb, symlink
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store
from real_install import run_inside
from trees import compare, directory_tree, image_tree

pytest_plugins = ["small_images"]
# dpkg is asked what it does with packages, not with what we do to them afterwards.
AS_PACKAGED = "hardening: {setuid: keep, accounts: keep, modes: keep, package_manager: keep, traces: keep}\n"

pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("odd")]

EPOCH = 1_700_000_000
SHELL = "#!/bin/sh\nset -e\n"
DIVERTS = "dpkg-divert --package {0} --add --rename --divert /usr/share/odd/{1}.real /usr/share/odd/{1}\n"


@dataclass(frozen=True)
class Odd:
    """A package for this test."""

    files: Sequence[Item] = ()
    fields: Mapping[str, str] | None = None
    scripts: Mapping[str, str] | None = None
    triggers: str = ""


BELOW: Mapping[str, Odd] = {
    "essential-old": Odd([file("usr/share/odd/essential", b"old"), file("usr/share/odd/kept")], {"Essential": "yes"}),
    "essential-new": Odd(
        [file("usr/share/odd/essential", b"new")], {"Essential": "yes", "Replaces": "essential-old (<< 2)"}
    ),
    "replaced": Odd(
        [file("usr/share/odd/shared", b"old"), file("usr/share/odd/own"), file("usr/share/gone-file"),
         file("usr/share/odd/a\rb"), file("usr/share/odd/a\u2028b")]
    ),
    "lends": Odd([file("usr/share/odd/lent", b"old"), file("usr/share/odd/stays-here")]),
    "goner": Odd([file("usr/share/gone/deep/a", b"a"), file("usr/share/gone/deep/b")]),
    "remade": Odd(
        [file("opt/remade/dir/old"), file("opt/remade/dir/sub/old"), file("opt/remade/moved/old"),
         file("opt/remade/gone/old"), file("opt/remade/gone/sub/old"), symlink("opt/remade/link", "dir")]
    ),
}  # fmt: skip
"""Of the runtime variant."""

ABOVE: Mapping[str, Odd] = {
    "makes-link": Odd(
        [file("opt/dir/x")],
        scripts={"postinst": "mkdir -p /srv/data/old && chmod 0711 /srv/data/old && ln -s /srv/data /opt/data\n"},
    ),
    "through-script": Odd(
        [file("opt/data/x", b"x"), directory("opt/data/new", 0o750), directory("opt/data/old", 0o700),
         file("opt/data/old/y"), hard_link("opt/data/z", "opt/data/x"), symlink("opt/data/old/link", "y")],
        {"Pre-Depends": "makes-link"}, {"postinst": "test -f /srv/data/x && echo more >> /opt/data/old/y\n"},
    ),
    "link-owner": Odd([file("opt/v1/own"), symlink("opt/current", "v1")]),
    "through-package": Odd([directory("opt/current", 0o700), file("opt/current/plugin")], {"Depends": "link-owner"}),
    "through-run": Odd([file("var/run/odd/pid", b"1"), file("var/lock/odd")]),
    "through-preinst": Odd(
        [file("opt/pre/x")], scripts={"preinst": "mkdir -p /srv/pre /opt && ln -s ../srv/pre /opt/pre\n"}
    ),
    "same-place": Odd(
        [symlink("opt/same", "real/cur"), directory("opt/real/v1"), symlink("opt/same-own", "real/v1")],
        scripts={
            "preinst": "mkdir -p /opt/real && ln -s v1 /opt/real/cur && ln -s /opt/real/v1 /opt/same\n"
            "ln -s /opt/real/v1 /opt/same-own\n"
        },
    ),
    "other-place": Odd(
        [symlink("opt/other", "real2"), directory("opt/real2")],
        scripts={"preinst": "mkdir -p /opt/real && ln -s /opt/real /opt/other\n"},
    ),
    "odd-cover": Odd([symlink("opt/dir", "v1"), file("opt/own")], {"Pre-Depends": "makes-link"}, {"preinst": "true\n"}),
    "odd-replacer": Odd(
        [file("usr/share/odd/shared", b"new!"), file("usr/share/odd/a\rb", b"new"),
         file("usr/share/odd/a\u2028b", b"new")],
        {"Replaces": "replaced"},
    ),
    "odd-links": Odd(
        [file("usr/bin/odd-a", b"a", mode=0o755), hard_link("usr/bin/odd-b", "usr/bin/odd-a"),
         hard_link("usr/share/odd/c", "usr/bin/odd-a"), file("usr/share/odd/one", b"1"),
         hard_link("usr/share/odd/two", "usr/share/odd/one"), file("usr/share/odd/three", b"3"),
         hard_link("usr/share/odd/four", "usr/share/odd/three"), file("usr/share/odd/five", b"5"),
         file("usr/share/odd/six", b"6"), hard_link("usr/share/odd/seven", "usr/share/odd/six")],
        scripts={
            "postinst": "chown root:adm /usr/bin/odd-b && chmod 2755 /usr/bin/odd-b\necho more >> /usr/share/odd/two\n"
            "rm /usr/share/odd/three\nln /usr/share/odd/two /usr/share/odd/made\n"
            "ln /usr/share/odd/five /srv/five\nln /usr/share/odd/six /srv/six\n"
        },
    ),
    "diverted": Odd([file("usr/share/odd/first", b"diverted"), file("usr/share/odd/stays", b"s")]),
    # Unpacked after the owner of one file, and before that of the other.
    "diverts": Odd(
        [file("usr/share/odd/first", b"diverts"), file("usr/share/odd/second", b"diverts")],
        scripts={"preinst": DIVERTS.format("diverts", "first") + DIVERTS.format("diverts", "second")},
    ),
    "diverted-late": Odd([file("usr/share/odd/second", b"diverted"), file("usr/share/odd/stays-too", b"s")]),
    # Both replaces and diverts: both files stay. And one that replaces, and diverts something else.
    "borrows": Odd(
        [file("usr/share/odd/lent", b"new"), file("usr/share/odd/lent-late", b"new")],
        {"Replaces": "lends, lends-late"},
        {"preinst": DIVERTS.format("borrows", "lent") + DIVERTS.format("borrows", "lent-late")},
    ),
    "lends-late": Odd(
        [file("usr/share/odd/lent-late", b"old"), file("usr/share/odd/kept-late")],
        scripts={"preinst": "true\n", "postinst": "cat /usr/share/odd/lent-late.real > /usr/share/odd/read-late\n"},
    ),
    "takes-late": Odd(
        [file("usr/share/odd/taken", b"new")],
        {"Replaces": "loses-late"}, {"preinst": DIVERTS.format("takes-late", "nobodys")},
    ),
    "loses-late": Odd([file("usr/share/odd/taken", b"old"), file("usr/share/odd/not-taken")]),
    # dpkg lists it for both: it leads to a directory.
    "alike-a": Odd([directory("opt/alike/real"), symlink("opt/alike/cur", "real"), symlink("opt/alike/over", "real")]),
    "alike-b": Odd(
        [symlink("opt/alike/cur", "real"), symlink("opt/alike/over", "real"), file("opt/alike/b")],
        {"Replaces": "alike-a"},
    ),
    "linked-old": Odd(
        [file("usr/share/odd/linked-a", b"old"), hard_link("usr/share/odd/linked-b", "usr/share/odd/linked-a"),
         hard_link("usr/share/odd/linked-c", "usr/share/odd/linked-a")]
    ),
    "linked-zew": Odd([file("usr/share/odd/linked-a", b"new")], {"Replaces": "linked-old"}),
    "triggered": Odd(
        scripts={"postinst": 'mkdir -p /srv/odd\necho "$@" | grep -v configure >> /srv/odd/triggers || true\n'},
        triggers="interest odd-await\ninterest odd-no-await\ninterest odd-declared\n",
    ),
    "overrides": Odd(
        scripts={
            "postinst": "dpkg-statoverride --add root root 0644 /usr/share/odd/overridden\n"
            "dpkg-statoverride --add mail mail 0604 /opt/odd-own.away\n"
            "dpkg-statoverride --add mail mail 0604 /opt/odd-away\n"
            "dpkg-divert --package overrides --add --no-rename --divert /opt/odd-own.away /opt/odd-own\n"
            "dpkg-divert --package overrides --add --no-rename --divert /opt/odd-away.away /opt/odd-away\n"
        }
    ),
    "triggers-early": Odd(
        fields={"Pre-Depends": "triggered"},
        scripts={"preinst": "dpkg-trigger --no-await odd-no-await\ndpkg-trigger odd-await\n", "postinst": "true\n"},
        triggers="activate odd-declared\n",
    ),
    "makes-pipe": Odd([file("usr/bin/odd-real")], scripts={
        "postinst": "mkdir -p /var/lib/odd && mkfifo -m 620 /var/lib/odd/pipe && chown root:adm /var/lib/odd/pipe\n"
        "update-alternatives --install /usr/bin/odd-old odd-old /usr/bin/odd-real 10\n"
    }),
    "names-owners": Odd(
        [directory("srv/named", 0o2750, user="odd-user", group="odd-group"),
         file("srv/named/b", b"b", mode=0o6755, user="odd-user", group="mail"),
         hard_link("srv/named/a", "srv/named/b", mode=0o6755, user="odd-user", group="mail"),
         symlink("srv/named/link", "b", user="odd-user", group="odd-group"),
         file("srv/named/nobodys", uid=5, gid=6, user="no-such-user", group="no-such-group"),
         file("srv/named/wrong", uid=5, gid=5, user="mail", group="root"),
         file("usr/share/odd/overridden", user="odd-user"),
         # An override is of the path that is shipped, and of a file's names the last decides.
         file("opt/odd-own", user="games"), file("opt/odd-away", user="games"),
         file("opt/odd-first", user="mail", uid=1000),
         hard_link("opt/odd-last", "opt/odd-first", user="news", uid=1001),
         directory("opt/there", 0o700, user="odd-user", group="odd-group"),
         file("usr/share/odd/late", user="odd-user"), file("opt/pre-named/x", user="odd-user", group="odd-group")],
        fields={"Pre-Depends": "overrides"},
        scripts={
            "preinst": "echo odd-user:x:901:902::/:/bin/false >> /etc/passwd\necho odd-group:x:902: >> /etc/group\n"
            "mkdir -p /opt/there /srv/pre-named && ln -s ../srv/pre-named /opt/pre-named\n"
            "dpkg-statoverride --add root root 0644 /usr/share/odd/late\n",
            "postinst": "echo more >> /srv/named/wrong\n",
        },
    ),
    "shares-directory": Odd([directory("srv/named"), file("srv/named/more")], {"Depends": "names-owners"}),
    "remakes": Odd(
        [file("opt/remade/dir/new"), file("opt/remade/dir/sub/new"), file("opt/remade/moved/new"),
         directory("opt/remade/gone", 0o2710, gid=8), file("opt/remade/gone/sub/new"), file("opt/remade/link/new")],
        scripts={
            "preinst": "cd /opt/remade\nrm -rf dir gone && mkdir -m 0750 dir\nmv moved moved.bak && mkdir moved\n"
            "rm link && mkdir -p link/own\n",
            "postinst": "find /opt/remade | sort > /opt/remade-seen\n",
        },
    ),
    "odd-changes": Odd(
        scripts={
            "postinst": "rm -r /usr/share/gone /usr/share/gone-file /etc/odd/removed\nchmod 0711 /var/lib/odd\n"
            "echo more >> /etc/odd/changed\nchown :adm /etc/odd/owned\nrm -r /srv/replaced && ln -s odd /srv/replaced\n"
        },
    ),
}  # fmt: skip
"""Of the variant above it, in the order in which dpkg gets them."""

AGAIN: Mapping[str, Odd] = {
    "brings-again": Odd(
        [file("usr/share/gone/deep/new", b"new"), file("usr/share/gone-file", b"back")], {"Replaces": "replaced"}
    ),
    "odd-links-again": Odd(scripts={"postinst": "chmod 0700 /usr/share/odd/one\n"}),
}
"""Of a third."""

ADDITIONS = """\
directories:
  - {path: /etc/odd, owner: root, group: root, mode: "0750"}
  - {path: /var/lib/odd, owner: root, group: adm, mode: "0750"}
  - {path: /srv/replaced, owner: root, group: root, mode: "0755"}
files:
  - {path: /etc/odd/changed, content: "old\\n"}
  - {path: /etc/odd/owned, content: "old\\n", mode: "0640"}
  - {path: /etc/odd/removed, content: "old\\n"}
  - {path: /srv/replaced/x, content: "old\\n"}
"""

COMPARED = re.compile(
    r"(opt|srv|etc/odd|var/lib/dpkg/alternatives/odd.*|var/lib/odd|run|var/run|var/lock)(/.*)?|usr/(bin/odd|share/(odd|gone)).*"
)


def lists(tree: Mapping[str, Any]) -> dict[str, bytes]:
    """dpkg's file lists and checksums of the packages of this test.

    All but three: when a script has removed a directory that a later package ships too, dpkg strikes it off the lists
    of the packages that had it; and a file that was there before it was replaced has its checksum still.
    """
    names = [name for name in (*BELOW, *ABOVE, *AGAIN) if name not in ("goner", "remade", "linked-old")]
    return {
        f"{name}.{kind}": tree[path].content
        for name in names
        for kind in ("list", "md5sums")
        if (path := f"var/lib/dpkg/info/{name}.{kind}") in tree
    }


def extract(image: Image, root: Path) -> None:
    """The tree of an image whose layers remove nothing."""
    for layer in image.layers:
        with layer.uncompressed() as stream:
            data = b"".join(iter(lambda: stream.read(1 << 20), b""))
        subprocess.run(["tar", "-x", "-p", "--numeric-owner", "-C", root], input=data, check=True)


@pytest.fixture(scope="module")
def debs(open_directory: Path) -> dict[str, Path]:
    place = open_directory / "odd-debs"
    place.mkdir()
    return {
        name: make_deb(
            place,
            name,
            fields=odd.fields,
            files=odd.files,
            # Without md5sums: dpkg writes them itself.
            control={script: SHELL + text for script, text in (odd.scripts or {}).items()}
            | ({"triggers": odd.triggers} if odd.triggers else {}),
        )
        for name, odd in {**BELOW, **ABOVE, **AGAIN}.items()
    }


@pytest.fixture(scope="module")
def definition(debs: dict[str, Path], open_directory: Path, shared_store: Path) -> Path:
    place = open_directory / "odd"
    place.mkdir()
    archive = make_archive(place / "archive", debs.values())
    shutil.copy(archive.directory / "key.asc", place)
    text = (
        AS_PACKAGED + TINY.partition("variants:")[0].replace("sed, tar]", f"sed, tar, {', '.join(BELOW)}]") + ADDITIONS
    )
    text += f"variants:\n  dev:\n    packages: [{', '.join(ABOVE)}]\n"
    text += f"  again:\n    extends: dev\n    packages: [{', '.join(AGAIN)}]\n"
    with served(archive.directory) as url:
        text += f"archives: [{{name: own, uri: '{url}', suites: [stable], keys: [./key.asc]}}]\n"
        define(place, text, Formation(), shared_store)
        # Downloads everything while the archive is there.
        build(place, new_store(open_directory / "odd-store", place, shared_store), "again", "1")
    return place


@pytest.fixture(scope="module")
def store(definition: Path, open_directory: Path) -> Path:
    """A store of its own, in which others do not miss what `build` takes away."""
    return open_directory / "odd-store"


def build(definition: Path, directory: Path, variant: str, overlay: str) -> Image:
    store = Store(directory)
    for kept in (store.effects, store.builds):
        shutil.rmtree(kept, ignore_errors=True)
    start = Formation().with_environment(FORMATION_OVERLAY=overlay)
    ran = start.build(directory, definition, "--variant", variant)
    return image_of(StoreBlobs(store), store.blob(ran.data["digest"]).read_bytes())


@pytest.fixture(scope="module")
def references(definition: Path, debs: dict[str, Path], open_directory: Path, store: Path) -> dict[str, dict[str, Any]]:
    """Variant → the tree that dpkg itself makes."""
    root = open_directory / "odd-root"
    root.mkdir(mode=0o755)
    extract(build(definition, store, "runtime", "1"), root)
    for name in ("dev", "proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    found = {"runtime": directory_tree(root)}
    for variant, packages in (("dev", ABOVE), ("again", AGAIN)):
        for name in packages:
            path = f"/tmp/archive/{debs[name].name}"
            run_inside(root, debs[name].parent, ["dpkg", "--force-unsafe-io", "--install", path], EPOCH)
        found[variant] = directory_tree(root)
    return found


@pytest.mark.parametrize("overlay", ["1", "0"])
@pytest.mark.parametrize("variant", ["dev", "again"])
def test_the_tree_is_dpkgs(
    definition: Path, store: Path, references: dict[str, dict[str, Any]], variant: str, overlay: str
) -> None:
    ours = image_tree(build(definition, store, variant, overlay))
    differences = [each for each in compare(references[variant], ours) if COMPARED.fullmatch(each.path)]
    assert not differences, "\n".join(map(str, differences))
    assert lists(ours) == lists(references[variant])


def test_an_ordinary_user_gets_the_same_image(
    definition: Path, store: Path, open_directory: Path, as_user: Formation
) -> None:
    own = new_store(open_directory / "odd-user-store", definition, store)
    for path in (own, *own.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    theirs = as_user.build(own, definition, "--variant", "again").data["digest"]
    ours = build(definition, store, "again", "1")
    assert layers(own, theirs) == layers(store, ours.descriptor.digest)


def test_a_replaced_file_of_an_essential_package_is_the_others(definition: Path, store: Path) -> None:
    tree = image_tree(build(definition, store, "runtime", "1"))
    assert tree["usr/share/odd/essential"].content == b"new"
    assert b"/usr/share/odd/essential\n" not in lists(tree)["essential-old.list"]
    assert b"/usr/share/odd/essential\n" in lists(tree)["essential-new.list"]


def test_dpkg_finds_nothing_wrong_where_packages_replace_each_other(
    definition: Path, store: Path, open_directory: Path
) -> None:
    root = open_directory / "odd-audited"
    root.mkdir(mode=0o755)
    extract(build(definition, store, "runtime", "1"), root)
    for question in ("--audit", "--verify"):
        assert subprocess.run(["chroot", root, "dpkg", question], capture_output=True, text=True).stdout == ""
