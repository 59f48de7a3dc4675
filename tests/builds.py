"""Builds of small images from the real archive, as the command `formation` in a process of its own.

start = Formation()                       # this Python, this user
ran = start.run("--store", str(store), "build", str(directory), "--json")
ran.data["digest"]
"""

import contextlib
import ctypes
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import formation
from formation.lock.lockfile import read_lock
from formation.store.store import Store

TINY = """\
kind: base
name: test/tiny
version: 1.0.0
distribution: debian/trixie
architectures: [amd64]
essential: false
packages: [base-files, base-passwd, bash, coreutils, dash, debianutils, diffutils, dpkg, findutils, grep, libc-bin,
  mawk, netbase, sed, tar]
variants:
  dev:
    packages: [xz-utils]
"""
"""The least in which dpkg runs; two stages in its dev variant. Built in two seconds."""

SMALL = """\
kind: base
name: test/small
version: 1.0.0
distribution: debian/trixie
architectures: [amd64]
packages: [apt, ca-certificates, openssl]
"""
"""A whole Debian with a few programs. Built in five seconds."""

USER = "formation-builder"
USER_ID = 4321
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Ran:
    """How a run of the command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Any:
        """What it printed as JSON; the run must have succeeded."""
        assert self.status == 0, self.stderr
        return json.loads(self.stdout)

    @property
    def errors(self) -> str:
        """From its error message on."""
        return self.stderr[self.stderr.find("error:") :]


@dataclass(frozen=True)
class Formation:
    """How the command is started."""

    prefix: tuple[str, ...] = ()
    """What runs before it, as `setpriv` does."""
    python: tuple[str, ...] = (sys.executable,)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    directory: Path | None = None
    umask: int = 0o022

    def after(self, *prefix: str) -> Self:
        """With something more before it."""
        return replace(self, prefix=(*prefix, *self.prefix))

    def with_environment(self, **more: str) -> Self:
        """With more variables."""
        return replace(self, environment={**self.environment, **more})

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """Starts it."""
        return subprocess.Popen(
            [*self.prefix, *self.python, "-m", "formation", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict(self.environment),
            cwd=self.directory,
            umask=self.umask,
            **options,
        )

    def run(self, *arguments: str) -> Ran:
        """Runs it to its end."""
        process = self.start(*arguments)
        stdout, stderr = process.communicate()
        return Ran(process.returncode, stdout, stderr)

    def build(self, store: Path, directory: Path, *options: str) -> Ran:
        """Builds the definition in `directory` from its lock."""
        return self.run("--store", str(store), "build", str(directory), "--locked", "--json", *options)


def define(directory: Path, text: str, start: Formation, store: Path) -> Path:
    """Writes a definition and locks it on the archive as it is now. Gives its directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "formation.yaml").write_text(text)
    ran = start.run("--store", str(store), "lock", str(directory))
    assert ran.status == 0, ran.stderr
    return directory


def new_store(directory: Path, definition: Path, source: Path) -> Path:
    """A store with nothing but the packages of a definition's lock, as far as the store `source` has them."""
    directory.mkdir(parents=True)
    old, new = Store(source), Store(directory)
    for package in (p for them in read_lock(definition / "formation.lock").packages.values() for p in them):
        if old.download(package.sha256).exists():
            target = new.download(package.sha256)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old.download(package.sha256), target)
    return directory


def forget_builds(store: Path, *kept: str) -> None:
    """Leaves the downloads in a store, and what is in the directories `kept`, and nothing else."""
    for path in store.iterdir():
        if path.name not in ("downloads", "metadata", "lock", "images.lock", "unsynced.json", *kept):
            shutil.rmtree(path)


def portable_copy(directory: Path) -> Path:
    """Copies Formation and what it needs to where every user can read it; for PYTHONPATH."""
    pending, seen = ["formation"], set()
    while pending:
        name = re.sub(r"[-_.]+", "-", pending.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        required = [line for line in distribution.requires or () if "extra ==" not in line]
        pending += [re.match(r"[A-Za-z0-9._-]+", line)[0] for line in required]
        for file in distribution.files or () if name != "formation" else ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (directory / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), directory / file)
    shutil.copytree(
        Path(formation.__file__).parent, directory / "formation", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return directory


def python_for_all() -> str | None:
    """A Python of this version that every user may run; None when the machine has none."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    for python in (getattr(sys, "_base_executable", sys.executable), f"/usr/bin/python{version}", "/usr/bin/python3"):
        # setpriv itself still has its capabilities when it starts a program, and would find everything: hence env.
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", python, "-c", asked]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if ran.stdout.strip() == version:
            return str(python)
    return None


def ordinary_user(directory: Path, *, subordinate: bool = True) -> tuple[str, ...]:
    """What to put before a command that an ordinary user is to run. Only that command sees the user's account.

    With `subordinate`, the account has subordinate ids. `directory` is for the account files.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    accounts = {
        "passwd": Path("/etc/passwd").read_text() + f"{USER}:x:{USER_ID}:{USER_ID}::/nonexistent:/bin/sh\n",
        "group": Path("/etc/group").read_text() + f"{USER}:x:{USER_ID}:\n",
        "subuid": f"{USER}:700000:65536\n" if subordinate else "",
        "subgid": f"{USER}:700000:65536\n" if subordinate else "",
    }
    for name, text in accounts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    # A mount namespace of its own: /etc of this machine is not touched, and nothing is left of it.
    script = (
        "set -e; accounts=$1; shift; for f in passwd group subuid subgid; do [ -e /etc/$f ] || : >/etc/$f; "
        "mount --bind $accounts/$f /etc/$f; done; "
        f'exec setpriv --reuid={USER_ID} --regid={USER_ID} --clear-groups --inh-caps=-all "$@"'
    )
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(directory))


class Watched:
    """A run whose every process can be found and waited for, also those whose parent has died."""

    def __init__(self, process: "subprocess.Popen[str]", others: frozenset[int]) -> None:
        """`others` are descendants of this process that were there before, such as servers for other tests."""
        self.process = process
        self.stdout = self.stderr = ""
        self._others = others

    @classmethod
    def start(cls, start: Formation, *arguments: str) -> Self:
        """Starts the command. This process becomes the parent of its orphans."""
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(_ADOPT, 1, 0, 0, 0) == 0
        others = frozenset(_descendants(frozenset()))
        return cls(start.start(*arguments, start_new_session=True), others)

    def descendants(self) -> dict[int, str]:
        """Process id → command line of everything that came of the run, the run itself first."""
        return _descendants(self._others)

    def wait_for(self, whom: str) -> int:
        """The process id of the `installer`, of one of its workers, or of another program, once it is there."""
        while self.process.poll() is None:
            running = self.descendants()
            agents = [process for process, command in running.items() if "install.agent" in command]
            # The installer is the oldest; its workers are forks of it.
            programs = [process for process, command in running.items() if command.split(" ")[0].endswith(f"/{whom}")]
            chosen = {"installer": agents[:1], "worker": agents[1:]}.get(whom, programs)
            if chosen:
                return chosen[0]
        raise AssertionError(f"the build ended without any {whom}")

    def end(self) -> None:
        """Waits for everything that came of the run. Fails when something of it goes on."""

        def too_long(*_: object) -> None:
            raise AssertionError(f"still running: {self.descendants()}")

        before = signal.signal(signal.SIGALRM, too_long)
        signal.alarm(30)
        try:
            self.stdout, self.stderr = self.process.communicate()
            while running := self.descendants():
                for process in running:
                    # Others wait for those that are not this process's own, which its orphans become.
                    with contextlib.suppress(ChildProcessError):
                        os.waitpid(process, 0)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def _descendants(others: frozenset[int]) -> dict[int, str]:
    """Process id → command line of the descendants of this process, without `others` and theirs."""
    found: dict[int, str] = {}
    parents = dict(_parents())
    for process in sorted(parents):
        line, above = [process], parents[process]
        while above in parents and above not in (0, 1, os.getpid()):
            line.append(above)
            above = parents[above]
        if above == os.getpid() and others.isdisjoint(line):
            found[process] = _command(process)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            yield int(directory.name), int(fields[1])


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def mounts_below(directory: Path) -> list[str]:
    """What is mounted below `directory` on this machine."""
    return [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith(f"{directory}/")
    ]


def layers(store: Path, digest: str) -> Sequence[str]:
    """Digests of the config and the layers of an image, base layer first."""
    manifest = json.loads(Store(store).blob(digest).read_bytes())
    return [blob["digest"] for blob in (manifest["config"], *manifest["layers"])]
