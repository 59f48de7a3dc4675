"""What real apt and dpkg make of a lock: a bootstrap by mmdebstrap, then `apt-get install` in copies of it.

    base = bootstrap(mmdebstrap, packages, work, dpkg_filters)
    root = copy_root(base, work / "root")
    install(root, archive, ["curl", "openssl"])

The archive holds exactly the .debs of the lock, so that apt has no choice.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from formation.debian.deb import open_deb
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
        shutil.copyfile(deb, directory / name)
        with open_deb(deb) as opened:
            control = opened.control["control"].decode().strip("\n")
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        stanzas.append(f"{control}\nFilename: ./{name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    index = "\n".join(stanzas).encode()
    (directory / "Packages").write_bytes(index)
    # mmdebstrap takes the essential packages of the suite that it is asked for.
    release = f"Suite: {SUITE}\nCodename: {SUITE}\nSHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n"
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
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    source = root / "etc/apt/sources.list"
    source.write_text("deb [trusted=yes] copy:/tmp/archive ./\n")
    options = ["-q", "-y", "-o", "APT::Sandbox::User=root", "-o", "APT::Install-Recommends=false"]
    run_inside(root, repository, ["apt-get", *options, "update"], epoch)
    run_inside(root, repository, ["apt-get", *options, "install", *requests], epoch)
    run_inside(root, repository, ["apt-get", "clean"], epoch)
    policy.unlink()
    source.unlink()
    for name in os.listdir(root / "var/lib/apt/lists"):
        path = root / "var/lib/apt/lists" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
