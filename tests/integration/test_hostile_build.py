"""Packages that mean harm, or whose scripts fail: what a build says, and what it does not let them do."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest

from archives import make_archive, served
from builds import TINY, Formation, define, layers, new_store
from debs import ar, device, file, hard_link, make_deb, symlink
from formation.digest import sha256_file
from formation.lock.lockfile import as_file
from formation.oci.decompression import decompressed
from formation.store.store import Store

pytest_plugins = ["small_images"]
pytestmark = [pytest.mark.root, pytest.mark.xdist_group("hostile")]

OWN_ARCHIVE = "archives: [{{name: own, uri: '{url}', suites: [stable], keys: [./key.asc]}}]\n"

ALONE = """\
kind: base
name: test/alone
version: 1.0.0
architectures: [amd64]
essential: false
packages: [base-passwd, dpkg, hello]
"""


# Hostile packages: only unpacked, so the archive needs nothing else.


@pytest.fixture(scope="module")
def alone(open_directory: Path) -> Path:
    """A definition of hello 1.0, and what it needs of a Debian."""
    place = open_directory / "alone"
    place.mkdir()
    needed = [make_deb(place, name) for name in ("base-passwd", "dpkg")]
    archive = make_archive(place / "archive", [make_deb(place, files=[file("usr/bin/hello", b"x")]), *needed])
    shutil.copy(archive.directory / "key.asc", place)
    with served(archive.directory) as url:
        define(place, ALONE + OWN_ARCHIVE.format(url=url), Formation(), open_directory / "alone-store")
    return place


def write_lock(path: Path, text: str) -> None:
    """Writes an edited lock with the checksum that it should have, as an attacker does."""
    path.write_text(as_file(re.sub("checksum = .*\n", "", text)))


def exchanged(alone: Path, where: Path, deb: Path) -> tuple[Path, Path]:
    """The definition with `deb` in the place of hello, and a store that has it and the others."""
    shutil.copytree(alone, where / "definition", ignore=shutil.ignore_patterns("archive"))
    lock = where / "definition" / "formation.lock"
    digest = sha256_file(deb)
    content = f'sha256 = "{digest}"\nsize = {deb.stat().st_size}'
    packages = [
        re.sub(r'sha256 = "[^"]+"\nsize = \d+', content, text) if text.startswith('name = "hello"') else text
        for text in lock.read_text().split("\n[[package]]\n")
    ]
    write_lock(lock, "\n[[package]]\n".join(packages))
    for package in (deb, *(path for name in ("base-passwd", "dpkg") for path in alone.glob(f"{name}_*.deb"))):
        download = Store(where / "store").download(sha256_file(package))
        download.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(package, download)
    return where / "definition", where / "store"


def test_a_lock_that_lost_a_package_is_told_before_anything_runs(open_directory: Path) -> None:
    place, store = open_directory / "lost", open_directory / "lost-store"
    place.mkdir()
    hello = make_deb(place, files=[file("usr/bin/hello", b"x")], fields={"Depends": "libhello (>= 1)"})
    others = [make_deb(place, name) for name in ("base-passwd", "dpkg", "libhello")]
    archive = make_archive(place / "archive", [hello, *others])
    shutil.copy(archive.directory / "key.asc", place)
    with served(archive.directory) as url:
        define(place, ALONE + OWN_ARCHIVE.format(url=url), Formation(), store)
        lock = place / "formation.lock"
        entries = lock.read_text().split("\n[[package]]\n")
        write_lock(lock, "\n[[package]]\n".join(each for each in entries if not each.startswith('name = "libhello"')))
        ran = Formation().build(store, place)
    assert ran.status == 2, ran.stderr
    assert "the packages of the lock do not go together: hello 1.0 Depends: libhello (>= 1)\n" in ran.errors


BOMB = 60 * (1 << 20)

HOSTILE: Mapping[str, tuple[Callable[[Path], Path], str]] = {
    "path traversal": (lambda p: make_deb(p, files=[file("../../evil", b"x")]), r"\.\./"),
    "a way out in the middle": (lambda p: make_deb(p, files=[file("usr/../../evil", b"x")]), r"\.\./"),
    "a path through a symlink": (
        lambda p: make_deb(p, files=[symlink("out", "/tmp"), file("out/evil", b"x")], parents=False),
        "'out/evil'",
    ),
    "a hard link outside": (lambda p: make_deb(p, files=[hard_link("passwd", "../../etc/passwd")]), "passwd"),
    "a hard link to nothing": (lambda p: make_deb(p, files=[hard_link("a", "missing")]), "'a'|missing"),
    "a device": (lambda p: make_deb(p, files=[device("dev/sda", tarfile.BLKTYPE)]), "dev/sda"),
    "a pipe": (lambda p: make_deb(p, files=[device("run/pipe", tarfile.FIFOTYPE)]), "run/pipe"),
    "its own file list": (lambda p: make_deb(p, files=[file("var/lib/dpkg/info/hello.list", b"/etc\n")]), "dpkg/info"),
    "a name with a newline": (lambda p: make_deb(p, files=[file("a\nb", b"")]), "newline"),
    "data that is cut off": (lambda p: make_deb(p, members={"data.tar.xz": b"\xfd7zXZ\0\0\4"}), "data.tar"),
    "data that is no tar": (lambda p: make_deb(p, members={"data.tar": b"garbage" * 1000}), "hello 1.0"),
    "no ar archive": (lambda p: _raw(p, b"PK\3\4" + bytes(1000)), "not an ar archive"),
    "another first member": (lambda p: _raw(p, ar([("evil", b"2.0\n")])), "first member"),
    "a malformed control file": (lambda p: make_deb(p, fields={"Package": "../x"}), "hello 1.0"),
    "another package's name": (lambda p: make_deb(p, fields={"Package": "libc6"}), "calls itself libc6 1.0"),
    "a trigger that is a path": (
        lambda p: make_deb(p, control={"triggers": "interest x/../../../../../etc/cron.d/evil\n"}),
        "trigger",
    ),
    "a control bomb": (
        lambda p: make_deb(p, control={"postinst": b"#" * BOMB}),
        "postinst|control",
    ),
}


def _raw(where: Path, data: bytes) -> Path:
    path = where / "hello_1.0_all.deb"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_package_is_refused_by_name(alone: Path, tmp_path: Path, kind: str) -> None:
    make, told = HOSTILE[kind]
    definition, store = exchanged(alone, tmp_path, make(tmp_path))
    ran = Formation().build(store, definition)
    assert ran.status == 4, ran.stderr
    assert "hello 1.0" in ran.errors
    assert re.search(told, ran.errors)
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "evil").exists() and not (store / "evil").exists()
    assert list((store / "work").iterdir()) == []
    # Others may be unpacked, or on their way, when the build ends.
    entry = (definition / "formation.lock").read_text().partition('name = "hello"')[2]
    digest = entry.partition('sha256 = "')[2].partition('"')[0]
    unpacked = [path for path in store.glob("segments/*.json") if digest in path.read_text()]
    assert unpacked == [] or kind in ("another package's name", "a trigger that is a path")


# Scripts: on top of a Debian in which dpkg runs.

FAILING = "#!/bin/sh\nfor i in 1 2 3; do echo line $i; done\necho 'cannot go on' >&2\nexit 7\n"
PACKAGES: Mapping[str, Mapping[str, str]] = {
    "bad-postinst": {"postinst": FAILING},
    "bad-preinst": {"preinst": FAILING},
    "leaves-daemon": {"postinst": "#!/bin/sh\n(sleep 3000; touch /opt/late) & \nsetsid sleep 3001 &\nexit 0\n"},
    "tells": {
        "postinst": "#!/bin/sh\nset -e\nmkdir -p /opt\nenv | sort > /opt/environment\nls / > /opt/root\n"
        "ls /proc | grep -c '^[0-9]' > /opt/processes\ncat /proc/net/dev /proc/net/route > /opt/network\n"
        "hostname > /opt/host 2>/dev/null || cat /proc/sys/kernel/hostname > /opt/host\numask > /opt/umask\n"
        "cat /proc/mounts > /opt/mounts\n! (echo > /dev/tcp/1.1.1.1/80) 2>/dev/null\n"
        "bash -c 'echo > /dev/tcp/151.101.2.132/80' 2>> /opt/refused || echo none >> /opt/refused\n"
    },
    "harms": {
        "postinst": """#!/bin/bash
mkdir -p /opt /srv/gone
for file in sys/kernel/core_pattern sys/vm/swappiness sysrq-trigger sys/vm/drop_caches; do
  echo "|/tmp/evil" > /proc/$file && echo /proc/$file >> /opt/done
done
chmod 000 /dev/null && echo chmod >> /opt/done
chown 1:1 /dev/zero && echo chown >> /opt/done
mknod /opt/disk b 8 0 && echo mknod >> /opt/done
mount -t tmpfs none /mnt && echo mount >> /opt/done
chroot / /bin/true && echo chroot >> /opt/done
cd /proc/1/root/../.. && [ -e work/main ] && echo escaped >> /opt/done
cd /
mkfifo /opt/pipe
rm -f /etc/issue; mkfifo /etc/issue
cp /usr/bin/bash /opt/suid; chmod 4755 /opt/suid
ln -s /etc /opt/out; ln -s ../../../../../../../etc /opt/up
mv /usr/share/base-files /usr/share/base-files.away; ln -s /etc /usr/share/base-files
exit 0
"""
    },
    "aims-at-host": {
        "postinst": "#!/bin/sh\nmv /var/lib/dpkg/triggers /var/lib/dpkg/away\nln -s {target} /var/lib/dpkg/triggers\n"
    },
    "aims-at-passwd": {"postinst": "#!/bin/sh\nrm /etc/passwd\nln -s {target}/passwd /etc/passwd\n"},
    "aims-at-list": {
        "postinst": "#!/bin/sh\ncd /var/lib/dpkg/info\nrm harmless.list\nln -s {target}/passwd harmless.list\n"
    },
    "pipes-list": {"postinst": "#!/bin/sh\ncd /var/lib/dpkg/info\nrm harmless.list\nmkfifo harmless.list\n"},
    "pipes-status": {"preinst": "#!/bin/sh\nrm /var/lib/dpkg/status\nmkfifo /var/lib/dpkg/status\n"},
    "makes-status-directory": {"preinst": "#!/bin/sh\nrm /var/lib/dpkg/status\nmkdir /var/lib/dpkg/status\n"},
    "pipes-triggers": {
        "preinst": "#!/bin/sh\nrm -f /var/lib/dpkg/triggers/Unincorp\nmkfifo /var/lib/dpkg/triggers/Unincorp\n"
    },
    "removes-control": {"preinst": "#!/bin/sh\nrm -r /var/lib/dpkg/tmp.ci\n"},
    "links-control": {"preinst": "#!/bin/sh\nrm -r /var/lib/dpkg/tmp.ci\nln -s {target} /var/lib/dpkg/tmp.ci\n"},
    "moves-database": {"preinst": "#!/bin/sh\nmv /var/lib/dpkg /var/lib/away\nln -s {target} /var/lib/dpkg\n"},
    "deletes": {"postinst": "#!/bin/sh\nrm -rf --no-preserve-root / 2>/dev/null\nexit 0\n"},
    "makes-device": {"postinst": "#!/bin/sh\nmkdir /opt\nmknod /opt/whiteout c 0 0\n"},
    "harmless": {},
}


@pytest.fixture(scope="module")
def victim(open_directory: Path) -> Path:
    """A directory of this machine at which scripts aim."""
    directory = open_directory / "victim"
    directory.mkdir()
    (directory / "File").write_text("unharmed\n")
    (directory / "passwd").write_text("secret:x:0:0::/:/bin/sh\n")
    return directory


@pytest.fixture(scope="module")
def archive(open_directory: Path, victim: Path) -> Iterator[tuple[str, Path]]:
    """The URL and directory of an archive with PACKAGES."""
    place = open_directory / "scripts"
    place.mkdir()
    debs = []
    for name, scripts in PACKAGES.items():
        control = {script: text.replace("{target}", str(victim)) for script, text in scripts.items()}
        files = [file(f"usr/share/{name}/{path}", b"x\n") for path in ("x", "y")]
        fields = {}
        if name.endswith("-list"):
            files.append(file("usr/share/harmless/x", b"another\n"))
            fields["Replaces"] = "harmless"
        debs.append(make_deb(place, name, fields=fields, control=control, files=files))
    made = make_archive(place / "archive", debs)
    with served(made.directory) as url:
        yield url, made.directory


@pytest.fixture(scope="module")
def store(tiny: Path, shared_store: Path, open_directory: Path) -> Path:
    """A store for these packages, with what a TINY image needs."""
    assert Formation().build(shared_store, tiny, "--variant", "dev").status == 0
    made = new_store(open_directory / "scripts-store", tiny, shared_store)
    shutil.copytree(shared_store / "metadata", made / "metadata")
    return made


@pytest.fixture(scope="module")
def scripted(archive: tuple[str, Path], open_directory: Path, store: Path) -> Callable[..., Path]:
    """Gives a locked definition with some of PACKAGES in its variants `dev` and, on top of that, `next`."""

    def scripted(*packages: str, after: str = "harmless") -> Path:
        place = open_directory / "-".join(packages)
        place.mkdir(exist_ok=True)
        shutil.copy(archive[1] / "key.asc", place)
        text = TINY.replace("[xz-utils]", f"[{', '.join(packages)}]") + (
            f"  next:\n    extends: dev\n    packages: [{after}]\n" + OWN_ARCHIVE.format(url=archive[0])
        )
        return define(place, text, Formation(), store)

    return scripted


def files_of(store: Path, digest: str) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """What is in the last layer of an image."""
    with Store(store).blob(layers(store, digest)[-1]).open("rb") as stored:
        data = decompressed(stored, "gzip", "layer").read(1 << 30)
    with tarfile.open(fileobj=BytesIO(data)) as opened:
        return {m.name: (m, opened.extractfile(m).read() if m.isreg() else b"") for m in opened}


@pytest.mark.network
@pytest.mark.parametrize(("package", "script"), [("bad-postinst", "postinst"), ("bad-preinst", "preinst")])
def test_a_failing_script_is_shown_with_a_line_that_runs_it_again(
    scripted: Callable[..., Path], store: Path, package: str, script: str
) -> None:
    ran = Formation().build(store, scripted(package), "--variant", "dev")
    shown_and_repeatable(ran.status, ran.errors, package, script)


@pytest.mark.network
@pytest.mark.parametrize(("package", "script"), [("bad-postinst", "postinst"), ("bad-preinst", "preinst")])
def test_the_line_works_for_an_ordinary_user_too(
    scripted: Callable[..., Path], as_user: Formation, open_directory: Path, package: str, script: str
) -> None:
    store = open_directory / "failing-user-store"
    store.mkdir(mode=0o777, exist_ok=True)
    store.chmod(0o777)
    ran = as_user.build(store, scripted(package), "--variant", "dev")
    shown_and_repeatable(ran.status, ran.errors, package, script, as_user)


def shown_and_repeatable(status: int, errors: str, package: str, script: str, user: Formation | None = None) -> None:
    assert status == 3, errors
    assert f"error: the {script} script of {package} failed with status 7; " in errors
    assert "line 1\n  line 2\n  line 3\n  cannot go on\n" in errors
    line = errors[errors.index("run it again by hand: ") :].partition(": ")[2].strip()
    prefix = list(user.prefix) if user else []
    again = subprocess.run(
        [*prefix, "sh", "-c", line], capture_output=True, text=True, check=False, cwd="/", stdin=subprocess.DEVNULL
    )
    assert again.returncode != 0
    assert "line 1\nline 2\nline 3\n" in again.stdout, again.stderr
    assert "cannot go on" in again.stderr + again.stdout


@pytest.mark.network
def test_a_script_sees_nothing_of_this_machine(scripted: Callable[..., Path], store: Path) -> None:
    start = Formation().with_environment(SECRET_TOKEN="hidden", http_proxy="", EDITOR="vi")
    digest = start.build(store, scripted("tells"), "--variant", "dev").data["digest"]
    told = {path: data.decode() for path, (_, data) in files_of(store, digest).items() if path.startswith("opt/")}
    names = {line.partition("=")[0] for line in told["opt/environment"].splitlines()}
    assert {"PATH", "HOME", "LC_ALL", "TZ", "SOURCE_DATE_EPOCH", "DEBIAN_FRONTEND"} <= names
    assert not names & {"SECRET_TOKEN", "http_proxy", "EDITOR", "USER", "SUDO_USER", "HOSTNAME"}
    assert "TZ=UTC" in told["opt/environment"]
    assert not {"work", "root.pyenv", "lost+found", "vmlinuz"} & set(told["opt/root"].split())
    assert int(told["opt/processes"]) < 10
    assert not re.search(r"eth|ens|wlan|docker", told["opt/network"])
    assert told["opt/host"] == "formation\n"
    assert told["opt/umask"] == "0022\n"
    assert "/dev/vd" not in told["opt/mounts"] and "/dev/sd" not in told["opt/mounts"].replace("/dev/shm", "")
    assert "none" in told["opt/refused"]


@pytest.mark.network
@pytest.mark.parametrize("prefix", [(), ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")])
def test_a_daemon_that_a_script_leaves_ends_with_it(
    scripted: Callable[..., Path], store: Path, prefix: tuple[str, ...]
) -> None:
    definition = scripted("leaves-daemon")
    shutil.rmtree(store / "effects", ignore_errors=True)
    shutil.rmtree(store / "builds", ignore_errors=True)
    digest = Formation().after(*prefix).build(store, definition, "--variant", "dev").data["digest"]
    assert "opt/late" not in files_of(store, digest)
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not {b"sleep\x003000\x00", b"sleep\x003001\x00"} & set(running)


@pytest.mark.network
@pytest.mark.parametrize("overlay", ["1", "0"])
def test_a_script_that_means_harm_does_none(scripted: Callable[..., Path], store: Path, overlay: str) -> None:
    before = {path: Path(path).read_text() for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/swappiness")}
    definition = scripted("harms")
    for name in ("effects", "builds"):
        shutil.rmtree(store / name, ignore_errors=True)
    start = Formation().with_environment(FORMATION_OVERLAY=overlay)
    digest = start.build(store, definition, "--variant", "dev").data["digest"]
    found = files_of(store, digest)
    assert "opt/done" not in found, found["opt/done"][1].decode()
    assert {path: Path(path).read_text() for path in before} == before
    assert Path("/dev/null").stat().st_mode & 0o777 == 0o666 and Path("/dev/zero").stat().st_uid == 0
    assert {name for name in found if name.startswith("opt/")} == {"opt/out", "opt/pipe", "opt/suid", "opt/up"}
    # Hardening, which is on by default, takes the bit from every program, also from those that scripts make.
    assert found["opt/suid"][0].mode == 0o755
    assert found["opt/out"][0].linkname == "/etc" and found["usr/share/base-files"][0].linkname == "/etc"
    assert found["etc/issue"][0].isfifo() and found["opt/pipe"][0].isfifo()


@pytest.mark.network
def test_the_one_device_that_the_kernel_lets_everybody_make_is_an_error_that_names_it(
    scripted: Callable[..., Path], store: Path
) -> None:
    """overlayfs uses it for itself and refuses it; a copy of the tree does not."""
    definition = scripted("makes-device")
    ran = Formation().with_environment(FORMATION_OVERLAY="0").build(store, definition, "--variant", "dev")
    assert (ran.status, "/opt/whiteout" in ran.errors) == (3, True)
    assert Formation().build(store, definition, "--variant", "dev").status == 3


@pytest.mark.network
@pytest.mark.parametrize("overlay", ["1", "0"])
@pytest.mark.parametrize("package", ["aims-at-host", "aims-at-passwd"])
def test_a_symlink_to_this_machine_is_not_followed_by_the_build(
    scripted: Callable[..., Path], store: Path, victim: Path, package: str, overlay: str
) -> None:
    before = {path.name: path.read_bytes() for path in victim.iterdir()}
    definition = scripted(package)
    shutil.rmtree(store / "effects", ignore_errors=True)
    ran = Formation().with_environment(FORMATION_OVERLAY=overlay).build(store, definition, "--variant", "next")
    assert "Traceback" not in ran.stderr and "bug" not in ran.errors, ran.stderr
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == before
    if ran.status == 0:
        assert not any(b"secret" in data for _, data in files_of(store, ran.data["digest"]).values())


@pytest.mark.network
@pytest.mark.parametrize("package", ["aims-at-list", "pipes-list"])
def test_a_list_of_dpkg_that_is_no_file_is_left_as_it_is(
    scripted: Callable[..., Path], store: Path, package: str
) -> None:
    """Lists of packages below lose what this one replaces."""
    ran = Formation().build(store, scripted("harmless", after=package), "--variant", "next")
    found = files_of(store, ran.data["digest"])
    member, _ = found["var/lib/dpkg/info/harmless.list"]
    assert member.issym() if package == "aims-at-list" else member.isfifo()
    assert not any(b"secret" in data for _, data in found.values())


@pytest.mark.network
@pytest.mark.parametrize("overlay", ["1", "0"])
@pytest.mark.parametrize(
    ("package", "told"),
    [
        ("pipes-status", "/var/lib/dpkg/status is no file"),
        ("makes-status-directory", "/var/lib/dpkg/status is no file"),
        ("pipes-triggers", "/var/lib/dpkg/triggers/Unincorp: No such device or address"),
        ("removes-control", "/var/lib/dpkg/tmp.ci is no directory"),
        ("links-control", "/var/lib/dpkg/tmp.ci is no directory"),
        ("moves-database", "/var/lib/dpkg/tmp.ci is no directory"),
    ],
)
def test_a_preinst_that_breaks_dpkgs_database_ends_the_build_by_name(
    scripted: Callable[..., Path], store: Path, victim: Path, package: str, told: str, overlay: str
) -> None:
    before = {path.name: path.read_bytes() for path in victim.iterdir()}
    ran = Formation().with_environment(FORMATION_OVERLAY=overlay).build(store, scripted(package), "--variant", "dev")
    assert ran.status == 3, ran.stderr
    assert package in ran.errors and told in ran.errors, ran.errors
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == before


@pytest.mark.network
@pytest.mark.parametrize("overlay", ["1", "0"])
def test_a_script_that_deletes_everything_ends_in_an_error_and_harms_no_store(
    scripted: Callable[..., Path], store: Path, overlay: str
) -> None:
    ran = Formation().with_environment(FORMATION_OVERLAY=overlay).build(store, scripted("deletes"), "--variant", "dev")
    assert ran.status == 3, ran.stderr
    assert "Traceback" not in ran.stderr and "bug" not in ran.errors
    assert Formation().build(store, scripted("harmless", after="xz-utils"), "--variant", "dev").status == 0
