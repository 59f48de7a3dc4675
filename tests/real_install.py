"""What real apt and dpkg make of a lock: a bootstrap by mmdebstrap, then `apt-get install` in copies of it.

    base = bootstrap(mmdebstrap, packages, work, dpkg_filters)
    root = copy_root(base, work / "root")
    install(root, archive, ["curl", "openssl"])

The archive holds exactly the .debs of the lock, so that apt has no choice.
"""

import hashlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from formation.build.dockerfile_steps import hardening_steps
from formation.debian.deb import open_deb
from formation.definition.hardening import Hardening
from formation.install.additions import Additions
from formation.lock.model import LockedPackage
from formation.store.store import Store

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    # Nothing needs to survive a power cut here.
    "DPKG_FORCE": "unsafe-io",
}
"""As debootstrap and mmdebstrap set it."""

SUITE = "locked"
_ENTER = """
set -eu
root=$1; archive=$2; shift 2
hostname formation
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/tmp/archive"
mount --bind "$archive" "$root/tmp/archive"
exec chroot "$root" "$@"
"""


def make_repository(directory: Path, packages: Iterable[LockedPackage], store: Store) -> Path:
    """A flat, unsigned repository of the lock's .debs, which are in the store's downloads."""
    directory.mkdir(parents=True)
    stanzas = []
    for package in packages:
        deb = store.download(package.sha256)
        name = f"{package.sha256.removeprefix('sha256:')}.deb"
        try:
            (directory / name).hardlink_to(deb)
        except OSError:
            shutil.copyfile(deb, directory / name)
        with open_deb(deb) as opened:
            control = opened.control["control"].decode().strip("\n")
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        stanzas.append(f"{control}\nFilename: ./{name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    index = "\n".join(stanzas).encode()
    (directory / "Packages").write_bytes(index)
    # mmdebstrap takes the essential packages of the suite that it is asked for.
    release = (
        f"Suite: {SUITE}\nCodename: {SUITE}\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
    )
    (directory / "Release").write_text(release)
    return directory


def bootstrap(mmdebstrap: str, repository: Path, target: Path, architecture: str, filters: str, epoch: int) -> None:
    """Essential packages and apt, installed at `target` by mmdebstrap, with dpkg's path filters in force."""
    options = [line for line in filters.splitlines() if line]
    done = subprocess.run(
        [
            mmdebstrap,
            "--mode=root",
            "--format=directory",
            "--variant=essential",
            "--include=apt",
            f"--architectures={architecture}",
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt={option}" for option in options),
            SUITE,
            str(target),
            f"deb [trusted=yes] copy:{repository} ./",
        ],
        check=False,
        env=ENVIRONMENT | {"SOURCE_DATE_EPOCH": str(epoch)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"mmdebstrap ended with {done.returncode}:\n{done.stderr[-4000:]}"
    target.chmod(0o755)
    (target / "etc/apt/sources.list").unlink()
    # As debuerreotype does for the official slim images: see formation.install.bootstrap.
    listed = {path for each in (target / "var/lib/dpkg/info").glob("*.list") for path in each.read_text().splitlines()}
    for section in listed:
        if re.fullmatch("/usr/share/man/man[1-9]", section):
            (target / section[1:]).mkdir(exist_ok=True)


def copy_root(source: Path, target: Path) -> Path:
    """A copy with everything that tar could keep."""
    subprocess.run(["cp", "-a", "--", source, target], check=True)
    return target


def run_inside(root: Path, repository: Path, arguments: Sequence[str], epoch: int) -> str:
    """Runs a program of `root` as root, without a network, in namespaces of its own; gives what it printed.

    The repository is at /tmp/archive. Raises AssertionError with the output when the program fails.
    """
    command = ["unshare", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "sh", "-c", _ENTER, "sh"]
    done = subprocess.run(
        [*command, str(root), str(repository), *arguments],
        env=ENVIRONMENT | {"SOURCE_DATE_EPOCH": str(epoch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


def install(root: Path, repository: Path, requests: Sequence[str], epoch: int) -> None:
    """`apt-get install`, of what `repository` has, with the policy that no service starts."""
    policy = root / "usr/sbin/policy-rc.d"
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    source = root / "etc/apt/sources.list.d/locked.list"
    source.write_text("deb [trusted=yes] file:/tmp/archive ./\n")
    options = [
        "-q",
        "-y",
        "-oAPT::Sandbox::User=root",
        "-oAPT::Install-Recommends=false",
        "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::Etc::SourceList=/{source.relative_to(root)}",
    ]
    words = shlex.join(["apt-get", *options])
    script = f"{words} update && {words} install {shlex.join(requests)} && apt-get clean"
    run_inside(root, repository, ["sh", "-ec", script], epoch)
    source.unlink()
    if ours:
        policy.unlink()
    lists = root / "var/lib/apt/lists"
    for path in lists.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def harden(root: Path, repository: Path, hardening: Hardening, epoch: int) -> None:
    """The measures of a definition's `hardening:`, taken with the programs that a person would use."""
    for step in hardening_steps(hardening, ()):
        run_inside(root, repository, ["sh", "-euc", step], epoch)


def add(root: Path, repository: Path, additions: Additions, epoch: int) -> None:
    """What a definition adds besides packages, made with the programs that a person would use."""
    for group in additions.groups:
        system = ["--system"] if group.system else []
        number = [] if group.gid is None else [f"--gid={group.gid}"]
        run_inside(root, repository, ["groupadd", *system, *number, group.name], epoch)
    for user in additions.users:
        system = ["--system"] if user.system else []
        number = [] if user.uid is None else [f"--uid={user.uid}"]
        groups = [f"--groups={','.join(user.groups)}"] if user.groups else []
        words = [f"--gid={user.group}", f"--home-dir={user.home}", f"--shell={user.shell}", f"--comment={user.comment}"]
        run_inside(
            root, repository, ["useradd", "--no-create-home", *system, *number, *groups, *words, user.name], epoch
        )
    for directory in sorted(additions.directories, key=lambda directory: directory.path):
        owner = [f"--owner={directory.owner}", f"--group={directory.group}", f"--mode={directory.mode:o}"]
        run_inside(root, repository, ["install", "--directory", *owner, directory.path], epoch)
    for file in additions.files:
        path = root / file.path.lstrip("/")
        assert (file.owner, file.group) == ("root", "root")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content if file.content is not None else Path(str(file.source)).read_bytes())
        path.chmod(file.mode)
