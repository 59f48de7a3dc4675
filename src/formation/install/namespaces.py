"""Linux namespaces, mounts and chroot through libc, since Python 3.11 has none of them in `os`."""

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID: its future children) into new namespaces. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: Path, filesystem: str, flags: int = 0, data: str = "") -> None:
    """Mounts `source` on `target`. Raises OSError."""
    _check(
        _libc.mount(
            source.encode(), os.fsencode(target), filesystem.encode(), ctypes.c_ulong(flags), data.encode() or None
        ),
        f"mount {filesystem} on {target}",
    )


def unmount(target: Path) -> None:
    """Detaches what is mounted on `target`. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Makes `source` visible at `target`. Raises OSError."""
    mount(str(source), target, "", MS_BIND)
    if read_only:
        mount(str(source), target, "", MS_BIND | MS_REMOUNT | MS_RDONLY)


def set_host_name(name: str) -> None:
    """Sets the host name of this UTS namespace. Raises OSError."""
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def private_mounts() -> None:
    """Gives this process mounts of its own: they vanish with it, also when it is killed. Raises OSError."""
    unshare(CLONE_NEWNS)
    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)


def in_user_namespace() -> bool:
    """Whether this process lives in a user namespace other than the machine's first."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, however that happens. Lost when user ids change."""
    pr_set_pdeathsig = 1
    _check(_libc.prctl(pr_set_pdeathsig, 9, 0, 0, 0), "prctl")
