"""Unpacking against dpkg itself: the same tree, the same file list, the same answers of path filters."""

import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from conftest import require_tool
from debs import Item, directory, file, hard_link, make_deb, symlink
from formation.debian.administration import INFO
from formation.definition.leave_out import patterns
from formation.digest import sha256_file
from formation.errors import FormationError
from formation.install.link import link_tree
from formation.install.placement import SegmentSpec
from formation.install.segment import make_segment
from formation.install.segment_record import Segment, read_entries, read_listed
from formation.oci.tar import END_OF_ARCHIVE, header
from layer_tars import extract_all

pytestmark = pytest.mark.root

ARCHIVE = "http://deb.debian.org/debian"
# With setuid and setgid programs, hard links, many symlinks, names that are not ASCII, and paths outside /usr.
PACKAGES = (
    "base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "dpkg", "git", "libc-bin", "libc6",
    "login", "openssh-client", "passwd", "perl-base", "sudo", "tzdata", "util-linux",
)  # fmt: skip
Fact = tuple[str, int, int, int | None, object]


def facts(root: Path) -> dict[str, Fact]:
    """What is at each path below `root`: mode, owner, time, and content or target.

    Names of the same file have the first of them in common.
    """
    found: dict[str, Fact] = {}
    first_names: dict[int, str] = {}
    for path in sorted([root, *root.rglob("*")]):
        status = path.lstat()
        name = str(path.relative_to(root))
        what: object = None
        if stat.S_ISREG(status.st_mode):
            what = (first_names.setdefault(status.st_ino, name), hashlib.sha256(path.read_bytes()).hexdigest())
        elif stat.S_ISLNK(status.st_mode):
            what = os.readlink(path)
        found[name] = (stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns, what)
    return found


def without_times(found: dict[str, Fact], types: str) -> dict[str, Fact]:
    """`found` without the times of what has one of `types` as the first letter of its mode."""
    return {path: fact if fact[0][0] not in types else (*fact[:3], None, fact[4]) for path, fact in found.items()}


def without_database(found: dict[str, Fact], shipped: dict[str, Fact]) -> dict[str, Fact]:
    """`found` without dpkg's own files, which only we add, and the directories that only they need."""
    return {
        path: fact
        for path, fact in found.items()
        if path in shipped or not (f"{path}/".startswith("var/lib/dpkg/") or f"{INFO}/".startswith(f"{path}/"))
    }


@pytest.fixture(scope="module")
def real_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    where = tmp_path_factory.mktemp("packages")
    with urllib.request.urlopen(f"{ARCHIVE}/dists/trixie/main/binary-amd64/Packages.xz", timeout=60) as response:
        index = lzma.decompress(response.read()).decode()
    found = {}
    for stanza in index.split("\n\n"):
        name = stanza.partition("\n")[0].removeprefix("Package: ")
        if name in PACKAGES:
            (path,) = (line.partition(" ")[2] for line in stanza.split("\n") if line.startswith("Filename: "))
            found[name] = where / f"{name}.deb"
            with urllib.request.urlopen(f"{ARCHIVE}/{path}", timeout=60) as response:
                found[name].write_bytes(response.read())
    return found


def unpacked(deb: Path, spec: SegmentSpec, tree: Path, out: Path) -> Segment:
    """The segment of a package whose `tree` is as a stage's scripts see it."""
    segment = make_segment(deb, sha256_file(deb), spec, kept=out.with_name("kept"), out=out)
    tree.mkdir(mode=0o755)
    link_tree(out.with_name("kept"), tree, read_entries(out, segment))
    return segment


def layer_of(out: Path, segment: Segment) -> bytes:
    """The segment as a whole tar archive: its directories before it, the end after it."""
    entries = read_entries(out, segment)
    directories = b"".join(header(entry) for entry in entries if entry.type == "directory")
    return directories + gzip.decompress((out / f"{segment.key}.seg").read_bytes()) + END_OF_ARCHIVE


@pytest.mark.network
@pytest.mark.parametrize("name", PACKAGES)
def test_a_real_package_unpacks_as_dpkg_deb_does(name: str, real_packages: dict[str, Path], tmp_path: Path) -> None:
    deb, tree, out = real_packages[name], tmp_path / "tree", tmp_path / "segments"
    segment = unpacked(deb, SegmentSpec(epoch=1 << 40, usr_merged=False), tree, out)
    subprocess.run([require_tool("dpkg-deb"), "-x", deb, tmp_path / "reference"], check=True)
    reference = facts(tmp_path / "reference")
    # tar, which dpkg-deb calls, makes some symlinks last and so gives their directories the time of the test.
    ours = without_database(facts(tree), reference)
    assert without_times(ours, "d") == without_times(reference, "d")

    with tarfile.open(fileobj=io.BytesIO(layer_of(out, segment))) as archive:
        extract_all(archive, tmp_path / "extracted")
    # The standard library leaves the times of symlinks alone.
    extracted = without_database(facts(tmp_path / "extracted"), reference)
    assert without_times(extracted, "ld") == without_times(ours, "ld")


def unpacked_by_dpkg(deb: Path, root: Path, *options: str) -> tuple[dict[str, Fact], bytes]:
    """The tree and the file list that `dpkg --unpack` leaves in an empty root."""
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    program = [require_tool("dpkg"), f"--root={root}", "--log=/dev/null", "--force-unsafe-io", *options]
    subprocess.run([*program, "--unpack", deb], check=True, env=environment, stdout=subprocess.DEVNULL)
    return facts(root), (root / INFO / "hello.list").read_bytes()


FILES: tuple[Item, ...] = (
    directory("usr/share/doc/empty"),
    file("usr/share/doc/a/README", b"readme"),
    file("usr/share/doc/a/copyright", b"mine"),
    file("usr/share/doc/a/examples/copyright", b"mine too"),
    hard_link("usr/share/doc/a/copyright.again", "usr/share/doc/a/copyright"),
    symlink("usr/share/doc/b", "a"),
    file("usr/share/man/man1/a.1.gz", b"page"),
    file("usr/share/man/de/man1/a.1.gz", b"Seite"),
    symlink("usr/share/man/man1/b.1.gz", "a.1.gz"),
    file("usr/share/locale/de/LC_MESSAGES/a.mo", b"mo"),
    file("usr/share/locale/de_AT/LC_MESSAGES/a.mo", b"mo"),
    file("usr/share/locale/en/LC_MESSAGES/a.mo", b"mo"),
    file("usr/share/locale/locale.alias", b"alias"),
    file("usr/bin/[", b"[", mode=0o755, mtime=1_000_000_000),
    file("usr/bin/su", b"su", mode=0o6755, gid=42),
    file("usr/bin/star*", b"*"),
    file("usr/bin/.hidden", b"h"),
    file("usr/bin/grün", b"g"),
    symlink("usr/bin/link", "su", mtime=1_000_000_001),
)
FILTERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ()),
    (("/usr/share/doc/*",), ()),
    (("/usr/share/doc/*",), ("/usr/share/doc/*/copyright",)),
    (("/usr/share/doc/empty",), ()),
    (("/usr/share/man/*",), ()),
    (("/usr/share/man/*",), ("/usr/share/man/man[1-9]/*",)),
    (("/usr/share/man/*",), ("/usr/share/man/man[!2-9]/*",)),
    (("/usr/share/man/[a-z][a-z]/*",), ()),
    (("/usr/share/man/[^d]*",), ("/usr/share/man/man1/a*", "/usr/share/man/man1")),
    (("/usr/share/locale/*",), ("/usr/share/locale/en*", "/usr/share/locale/locale.alias")),
    (("/usr/share/locale/[[:lower:]]*/LC_MESSAGES/*.mo",), ()),
    (("/usr/share/locale/de?*",), ()),
    (("*.mo", "*.gz"), ("*/de/*",)),
    (("/usr/bin/[[]",), ()),
    (("/usr/bin/[",), ()),
    (("/usr/bin/star\\*",), ()),
    (("/usr/bin/star*",), ()),
    (("/usr/bin/*hidden",), ()),
    (("/usr/bin/gr?n",), ()),
    (("/usr/bin/link",), ()),
    (("/usr/bin/s*", "/usr/share/*/a/*"), ("/usr/bin/su", "/usr/share/doc/a/copyright*")),
)


KEPT = (
    "/usr/share/man/man1/a*",
    "/usr/share/man/de/man1/a.1.gz",
    "/usr/share/man/de/*/a.1.gz",
    "/usr/share/doc/a/copyright*",
    "/usr/share/locale/e*/LC_MESSAGES/a.mo",
    "/opt/nothing",
)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_path_filters_answer_as_dpkgs(filters: tuple[tuple[str, ...], tuple[str, ...]], tmp_path: Path) -> None:
    excludes, includes = filters
    deb, tree, out = make_deb(tmp_path, files=FILES), tmp_path / "tree", tmp_path / "segments"
    options = [f"--path-exclude={pattern}" for pattern in excludes]
    options += [f"--path-include={pattern}" for pattern in includes]
    reference, listed = unpacked_by_dpkg(deb, tmp_path / "reference", *options)
    spec = SegmentSpec(epoch=1 << 40, path_excludes=excludes, path_includes=includes)
    segment = unpacked(deb, spec, tree, out)
    assert read_listed(out, segment) == listed
    # dpkg leaves the times of directories to chance.
    ours, theirs = (without_times(without_database(found, {}), "d") for found in (facts(tree), reference))
    assert ours == theirs


@pytest.mark.parametrize("keep", KEPT)
def test_dpkg_unpacks_what_a_definition_keeps(keep: str, tmp_path: Path) -> None:
    paths = ("/usr/share/doc/*",)
    excludes, includes = patterns(documentation=False, manual_pages=True, locales=True, paths=paths, keep=(keep,))
    test_path_filters_answer_as_dpkgs((excludes, includes), tmp_path)


@pytest.mark.parametrize("include", ["/usr/share/doc/a/copyright*", "/usr/share/doc/a/README"])
def test_a_directory_that_dpkg_misses_is_made(include: str, tmp_path: Path) -> None:
    """dpkg fails where an include names a file whose directory is excluded; the file is what was asked for."""
    deb, exclude = make_deb(tmp_path, files=FILES), "/usr/share/doc/*"
    with pytest.raises(subprocess.CalledProcessError):
        unpacked_by_dpkg(deb, tmp_path / "reference", f"--path-exclude={exclude}", f"--path-include={include}")
    spec = SegmentSpec(epoch=1 << 40, path_excludes=(exclude,), path_includes=(include,))
    unpacked(deb, spec, tmp_path / "tree", tmp_path / "segments")
    assert (tmp_path / "tree/usr/share/doc/a").stat().st_mode & 0o7777 == 0o755


def test_a_hard_link_to_an_excluded_file_fails_with_dpkg_too(tmp_path: Path) -> None:
    deb, exclude = make_deb(tmp_path, files=FILES), "/usr/share/doc/a/copyright"
    with pytest.raises(subprocess.CalledProcessError):
        unpacked_by_dpkg(deb, tmp_path / "reference", f"--path-exclude={exclude}")
    with pytest.raises(FormationError, match="left out"):
        spec = SegmentSpec(epoch=1 << 40, path_excludes=(exclude,))
        make_segment(deb, sha256_file(deb), spec, kept=None, out=tmp_path / "segments")
