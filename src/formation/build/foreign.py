"""Whether this machine can run the programs of an architecture, as maintainer scripts of its packages do.

Foreign programs run where binfmt_misc has an interpreter for them, such as QEMU's. It must have been opened when it was
registered (flag F): by its path it would be looked for inside the image. Source: the kernel's
Documentation/admin-guide/binfmt-misc.rst.
"""

import re
import struct
from pathlib import Path

from formation.errors import FormationError

BINFMT = Path("/proc/sys/fs/binfmt_misc")

_OWN = {
    "x86_64": {"amd64", "i386"},
    "i686": {"i386"},
    # Many, not all, 64-bit ARM processors run 32-bit programs; nothing but running one tells.
    "aarch64": {"arm64", "armhf", "armel"},
    "armv7l": {"armhf", "armel"},
    "ppc64le": {"ppc64el"},
    "riscv64": {"riscv64"},
    "s390x": {"s390x"},
}
"""What a machine, as uname(2) calls it, runs by itself."""
_LITTLE, _BIG = 1, 2
_ELF = {
    "amd64": (2, _LITTLE, 62),
    "arm64": (2, _LITTLE, 183),
    "armel": (1, _LITTLE, 40),
    "armhf": (1, _LITTLE, 40),
    "i386": (1, _LITTLE, 3),
    "ppc64el": (2, _LITTLE, 21),
    "riscv64": (2, _LITTLE, 243),
    "s390x": (2, _BIG, 22),
}
"""EI_CLASS, EI_DATA and e_machine: elf(5)."""


def require_runnable(architecture: str, machine: str, binfmt: Path = BINFMT) -> None:
    """Raises FormationError, with the remedy, when `machine` cannot run programs of a Debian `architecture`.

    An architecture or machine that is unknown here passes: running will tell.
    """
    own = _OWN.get(machine)
    if own is None or architecture in own or architecture not in _ELF:
        return
    if (binfmt / "status").exists():
        if any(_runs(entry, _program(architecture)) for entry in sorted(binfmt.iterdir())):
            return
        hint = "sudo apt-get install qemu-user-static, and if that is there: sudo update-binfmts --enable"
    else:
        hint = f"sudo apt-get install qemu-user-static, and sudo mount -t binfmt_misc none {binfmt}"
    raise FormationError(
        f"this machine ({machine}) cannot run programs for {architecture}, as the scripts of packages are", hint=hint
    )


def _program(architecture: str) -> bytes:
    """How an executable file of `architecture` begins."""
    bits, order, number = _ELF[architecture]
    numbers = struct.pack("<HHI" if order == _LITTLE else ">HHI", 2, number, 1)
    return b"\x7fELF" + bytes((bits, order, 1)) + bytes(9) + numbers


def _runs(entry: Path, program: bytes) -> bool:
    """Whether a registered format is enabled, has its interpreter open, and is that of `program`."""
    try:
        enabled, *lines = entry.read_text().splitlines()
        fields = dict(re.split(r":? ", line, maxsplit=1) for line in lines if " " in line)
        offset, magic = int(fields["offset"]), bytes.fromhex(fields["magic"])
        mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
    except (OSError, ValueError, KeyError):
        # `status` and `register`, and formats that go by a file's extension.
        return False
    there = program[offset : offset + len(magic)]
    same = len(there) == len(magic) and all(a & m == b & m for a, b, m in zip(there, magic, mask, strict=True))
    return enabled == "enabled" and "F" in fields.get("flags", "") and same
