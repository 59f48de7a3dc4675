"""Running programs of an image's own tree, cut off from this machine.

With the right to mount (root, or root of a user namespace) a program gets its own mount, process, network, IPC and
host name namespaces, a private /dev with the six harmless devices, /proc, and an empty /tmp. Without it (root of an
unprivileged container) it gets a chroot, and the devices that `mknod` permits.
"""

import contextlib
import json
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from formation.dataclass import dataclass
from formation.errors import FormationError
from formation.install import namespaces
from formation.install.inside import inside
from formation.store.locking import remove_tree

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
# From capability.h: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE,
# AUDIT_WRITE, SETFCAP. Container engines give a `RUN` line these and a few more (of which mknod, chroot and raw sockets
# would be ways out); an ordinary user's scripts have no others that work, so root's have none either.
_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 29, 31})
_PROTECTED = ("bus", "fs", "irq", "sys", "sysrq-trigger")
"""What in /proc steers the whole machine, and would obey user id 0."""
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
TIME_LIMIT = 1800
"""Seconds that one program may run. The slowest known script (initramfs, fonts) takes one or two minutes."""


@dataclass(frozen=True, slots=True)
class Program:
    """Something to run inside the tree."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Added to the pinned environment."""
    what: str = ""
    """What it is, for messages: `preinst of libc6`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended."""

    program: Program
    status: int
    """Exit status; -N when signal N ended it."""
    output: str
    """Its last 100 kB of stdout and stderr, in the order written."""


def pinned_environment(epoch: int) -> dict[str, str]:
    """The environment of every program in a sandbox: nothing of the caller's, and no source of variation.

    The hash seeds keep the order of Perl's and Python's dictionaries, which leaks into debconf's database and
    compiled modules, the same from run to run.
    """
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "SHELL": "/bin/sh",
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PERL_HASH_SEED": "0",
        "PYTHONHASHSEED": "0",
    }


def run_programs(root: Path, programs: Sequence[Program], *, epoch: int, isolated: bool, log: Path) -> list[Outcome]:
    """Runs `programs` in order inside `root` and stops after the first that fails; the last outcome tells.

    `isolated` asks for namespaces; otherwise a chroot is all. `log` receives what the programs print.

    Raises FormationError when the sandbox itself cannot be set up.
    """
    read_end, write_end = os.pipe()
    child = namespaces.fork()
    if child == 0:
        os.close(read_end)
        _in_child(root, programs, epoch, isolated, log, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    if not report:
        code = os.waitstatus_to_exitcode(status)
        raise FormationError(f"the sandbox for {root} ended without a word (status {code})")
    answer = json.loads(report)
    if "error" in answer:
        raise FormationError(f"cannot set up the sandbox: {answer['error']}")
    return [
        Outcome(program, status, output)
        for program, (status, output) in zip(programs, answer["outcomes"], strict=False)
    ]


def _in_child(root: Path, programs: Sequence[Program], epoch: int, isolated: bool, log: Path, pipe: int) -> None:
    """Never returns: sets up the namespaces, runs the programs, and writes the report to `pipe`."""
    code = 1
    try:
        if isolated:
            namespaces.private_mounts()
            namespaces.unshare(
                namespaces.CLONE_NEWPID | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS
            )
            namespaces.set_host_name("formation")
            # unshare moves only future children into the new process namespace: its first one is its init, and
            # when it ends the kernel ends every daemon that a script may have started.
            init = namespaces.fork()
            if init != 0:
                os.close(pipe)
                _, status = os.waitpid(init, 0)
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        with log.open("w+b") as output:
            if isolated:
                _enter(root)
            else:
                make_devices(root)
                namespaces.adopt_orphans()
            namespaces.keep_capabilities(_CAPABILITIES)
            outcomes = _run_all(None if isolated else root, programs, epoch, output)
        if not isolated:
            end_children()
        _send(pipe, {"outcomes": outcomes})
        code = 0
    except OSError as error:
        _send(pipe, {"error": str(error)})
    except BaseException as error:
        _send(pipe, {"error": repr(error)})
    finally:
        os._exit(code)


def _send(pipe: int, value: object) -> None:
    data = json.dumps(value).encode()
    with contextlib.suppress(OSError), os.fdopen(pipe, "wb") as file:
        file.write(data)


def end_children() -> None:
    """Kills and reaps all children of this process, and theirs, which it must have asked to adopt."""
    while True:
        for directory in Path("/proc").iterdir():
            if directory.name.isdecimal() and _parent(directory) == os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(directory.name), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _parent(process: Path) -> int:
    """Id of the parent of the process that /proc/ID describes; 0 when it is gone."""
    try:
        # The name of the program, in parentheses, may hold anything.
        return int((process / "stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _enter(root: Path) -> None:
    """Makes `root` the root of this mount namespace, with /proc, /dev and /tmp that vanish with it."""
    namespaces.bind(root, root)
    _mount_kernel_files(root)
    namespaces.change_root(root)


def _mount_kernel_files(root: Path) -> None:
    """/proc, /dev and /tmp for the programs."""
    safe = namespaces.MS_NOSUID | namespaces.MS_NODEV | namespaces.MS_NOEXEC
    namespaces.mount("proc", root / "proc", "proc", safe)
    for name in _PROTECTED:
        if (root / "proc" / name).exists():
            namespaces.bind(root / "proc" / name, root / "proc" / name, read_only=True)
    dev = root / "dev"
    namespaces.mount("tmpfs", dev, "tmpfs", namespaces.MS_NOSUID, "mode=0755,size=1m")
    for name in _DEVICES:
        (dev / name).touch()
        namespaces.bind(Path("/dev") / name, dev / name, read_only=True)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    (dev / "pts").mkdir()
    # Shared memory of its own size: PostgreSQL makes its first cluster with some megabytes of it.
    (dev / "shm").mkdir()
    for place in (dev / "shm", root / "tmp"):
        namespaces.mount("tmpfs", place, "tmpfs", namespaces.MS_NOSUID | namespaces.MS_NODEV, "mode=1777")


def make_devices(root: Path) -> None:
    """The devices for a chroot: real ones where mknod is permitted, else empty files, as fakechroot does."""
    dev = inside(root, "dev")
    dev.mkdir(exist_ok=True)
    for name, (major, minor) in _DEVICES.items():
        path = dev / name
        if os.path.lexists(path):
            continue
        try:
            os.mknod(path, 0o20666, os.makedev(major, minor))
        except OSError:
            path.touch()
        path.chmod(0o666)
    for name, target in _LINKS.items():
        if not (dev / name).is_symlink():
            (dev / name).symlink_to(target)
    if not os.path.lexists(dev / "shm"):
        (dev / "shm").mkdir()
        (dev / "shm").chmod(0o1777)


def remove_devices(root: Path) -> None:
    """Takes away what a chroot sandbox put into /dev."""
    for name in (*_DEVICES, *_LINKS):
        (inside(root, "dev") / name).unlink(missing_ok=True)
    remove_tree(inside(root, "dev") / "shm")


def _run_all(root: Path | None, programs: Sequence[Program], epoch: int, output: IO[bytes]) -> list[tuple[int, str]]:
    """Exit status and output of each program. `root` is where they must change to; None: nowhere."""
    outcomes = []
    for program in programs:
        start = output.seek(0, os.SEEK_END)
        status = _run_one(root, program, {**pinned_environment(epoch), **dict(program.environment)}, output.fileno())
        end = output.seek(0, os.SEEK_END)
        output.seek(max(start, end - 100_000))
        outcomes.append((status, output.read().decode(errors="replace")))
        if status != 0:
            break
    return outcomes


def _run_one(root: Path | None, program: Program, environment: dict[str, str], output: int) -> int:
    """The exit status of one program; reaps whatever else ends meanwhile, since this process may be an init."""
    child = os.fork()
    if child == 0:
        try:
            _become(root, output)
            signal.alarm(0)
            os.execve(program.arguments[0], program.arguments, environment)
        except BaseException as error:
            message = f"cannot run {program.arguments[0]}: {error}\n".encode()
            try:
                os.write(output, message)
            except OSError:
                # It is stdout by now.
                os.write(1, message)
        finally:
            os._exit(126)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(-child, signal.SIGKILL))
    signal.alarm(TIME_LIMIT)
    try:
        while True:
            ended, status = os.waitpid(-1, 0)
            if ended == child:
                return os.waitstatus_to_exitcode(status)
    finally:
        signal.alarm(0)


def _become(root: Path | None, output: int) -> None:
    """Turns a fresh child into what a maintainer script expects: session, files, limits, root directory."""
    os.setsid()
    if root is not None:
        os.chroot(root)
        os.chdir("/")
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 1024)
    os.umask(0o022)
    # A script may loop over all descriptors; hosts differ by a factor of a million in how many there can be.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 1024 if hard == resource.RLIM_INFINITY else min(1024, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
