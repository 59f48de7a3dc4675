"""Linux namespaces, mounts and process control through libc, since Python 3.11 has none of them in `os`."""

import ctypes
import os
import platform
import re
from collections.abc import Collection
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
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_STRICTATIME = 0x1000000
MNT_DETACH = 0x2

_ST_RELATIME = 0x1000
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217, "armv7l": 218, "i686": 217}
"""The number of the system call pivot_root, which the C library has no function for, by machine."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID: its future children) into new namespaces. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: Path, filesystem: str, flags: int = 0, data: str = "") -> None:
    """Mounts `source` on `target`; it and `data` may name paths, which need not be UTF-8. Raises OSError."""
    names = (os.fsencode(source), os.fsencode(target), filesystem.encode())
    _check(
        _libc.mount(*names, ctypes.c_ulong(flags), os.fsencode(data) or None),
        f"mount {filesystem} on {target}",
    )


def unmount(target: Path) -> None:
    """Detaches what is mounted on `target`. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def unmount_below(directory: Path) -> None:
    """Detaches everything that is mounted below `directory`. Raises OSError. Source: proc_pid_mountinfo(5)."""
    inside = os.fsencode(directory) + b"/"
    places = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        place = re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), line.split()[4])
        if place.startswith(inside):
            places.append(place)
    for place in reversed(places):
        unmount(Path(os.fsdecode(place)))


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Makes `source` visible at `target`. Raises OSError.

    Devices can be written to where they are read only, but not changed in mode or owner.
    """
    mount(str(source), target, "", MS_BIND)
    if read_only:
        mount(str(source), target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | _restrictions(target))


def _restrictions(place: Path) -> int:
    """The flags of the mount at `place`: a user namespace may not take them away. Source: mount_namespaces(7)."""
    found = os.statvfs(place).f_flag
    # Up to here statvfs(3) has the same bits as mount(2).
    flags = found & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    return flags if flags & MS_NOATIME or found & _ST_RELATIME else flags | MS_STRICTATIME


def change_root(root: Path) -> None:
    """Makes `root`, which must be a mount point, the only file system of this mount namespace. Raises OSError.

    After chroot(2) alone, a program with the right to chroot again could climb out. Source: pivot_root(2), notes.
    """
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    # The old root lies on top of the new one now.
    _check(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


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


def die_with_parent(parent: int | None = None) -> None:
    """Has the kernel kill this process when its parent dies, however that happens. Lost when user ids change.

    `parent` is the id of the parent: when it is dead already, this process ends at once.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def fork() -> int:
    """As os.fork, but the child never outlives its parent, whatever process namespace it is born into."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        os.read(read_end, 1)
        os.close(read_end)
        return child
    os.close(read_end)
    die_with_parent()
    try:
        # Nobody reads this when the parent died too early for the kernel to know that the child must follow.
        os.write(write_end, b"x")
    except BrokenPipeError:
        os._exit(1)
    os.close(write_end)
    return 0


def adopt_orphans() -> None:
    """Makes this process the parent of every process below it whose own parent dies. Raises OSError."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def effective_capabilities() -> frozenset[int]:
    """The numbers of the capabilities that this process has now. Source: proc_pid_status(5)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            bits = int(value, 16)
            return frozenset(number for number in range(bits.bit_length()) if bits >> number & 1)
    return frozenset()


def keep_capabilities(names: Collection[int]) -> None:
    """Takes every capability but these from this process and all programs it will run. Raises OSError.

    Does nothing where that is not permitted: in a container that has taken them already.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, sets), "capget")
    # The third of each three is what a program inherits; root's programs would, also without the bounding set.
    sets[2] = sets[5] = 0
    _check(_libc.capset(header, sets), "capset")
    capability = 0
    while _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        if capability not in names and _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            return
        capability += 1
