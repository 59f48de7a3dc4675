"""What an ELF file says of itself: what it needs, what it offers, and how it was hardened.

Only the program headers and the dynamic section are read, as the dynamic linker does; section headers can be stripped
or lie. Everything is bounded, whatever the file claims.

Source: System V ABI, "Object Files" and "Program Loading and Dynamic Linking"; LSB 5.0, "Symbol Versioning".
"""

import struct
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from formation.dataclass import dataclass

MAGIC: Final = b"\x7fELF"

ElfType = Literal["executable", "shared", "relocatable", "core", "other"]

MACHINES: Final = {
    3: "i386",
    8: "mips",
    21: "ppc64el",
    22: "s390x",
    40: "armhf",
    62: "amd64",
    183: "arm64",
    243: "riscv64",
    247: "bpf",
    258: "loong64",
}
"""Machine number → Debian's name of the architecture that has it, where there is one."""

_TYPES: dict[int, ElfType] = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}
_MOST_HEADERS = 256
_MOST_DYNAMIC = 4096
_MOST_VERSIONS = 4096
_MOST_STRINGS = 32 << 20
_MOST_TEXT = 256 << 10
"""Bytes of all names together that are taken from one file: glibc has 2 KiB, and nothing 64."""
_LONGEST = 4096
_LOAD, _DYNAMIC, _INTERPRETER, _STACK, _RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
_EXECUTABLE = 1
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _TEXTREL, _BIND_NOW, _RUNPATH = 1, 5, 10, 14, 15, 22, 24, 29
_FLAGS, _FLAGS_1, _VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = (
    30, 0x6FFFFFFB, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF,
)  # fmt: skip
_DF_TEXTREL, _DF_BIND_NOW, _DF_1_NOW, _DF_1_PIE = 4, 8, 1, 0x08000000
_BASE_VERSION, _WEAK_VERSION = 1, 2


class Elf(NamedTuple):
    """The facts of one file. A tuple for speed: see `contents.layer`."""

    bits: int
    """32 or 64; 0 when even the header is damaged."""
    machine: int
    """As the header has it: 62 is x86-64. See MACHINES."""
    type: ElfType
    """Position-independent executables are `shared`, with `pie` set."""
    interpreter: str
    """The dynamic linker's path; empty for libraries and static programs."""
    soname: str
    needed: tuple[str, ...]
    """Sonames, in the file's order."""
    provides: tuple[str, ...]
    """Symbol versions that it defines, in the file's order, without the base version."""
    requires: tuple[tuple[str, tuple[str, ...]], ...]
    """Soname and the symbol versions that are needed of it; without those that are weak, which may be missing."""
    run_path: tuple[str, ...]
    """Directories of RPATH and RUNPATH, as written."""
    dynamic: bool
    """Whether it has a dynamic section: False for static programs and object files."""
    pie: bool
    executable_stack: bool
    """PT_GNU_STACK is executable, or not there at all, which means the same to Linux on most machines."""
    relro: Literal["none", "partial", "full"]
    stack_protector: bool
    """Whether it calls `__stack_chk_fail`."""
    text_relocations: bool
    problem: str
    """Why facts are missing; empty when they are all there."""

    @property
    def architecture(self) -> str | None:
        """Debian's name of the architecture that it runs on; None when there is none."""
        return "x32" if self.machine == 62 and self.bits == 32 else MACHINES.get(self.machine)


_NOTHING = Elf(
    0, 0, "other", "", "", (), (), (), (), False, False, False, "none", False, False, "its header is damaged"
)


class _Damaged(Exception):
    """The file does not follow the format, or is outside what was kept of it."""


@dataclass(frozen=True, slots=True)
class Held:
    """The start of a file, and where it is large also its end."""

    start: bytes
    end: bytes = b""
    end_offset: int = 0
    """Where `end` begins in the file."""

    def take(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`. Raises _Damaged when they are not held."""
        for data, begin in ((self.start, 0), (self.end, self.end_offset)):
            if begin <= offset and offset + size <= begin + len(data):
                return data[offset - begin : offset - begin + size]
        raise _Damaged(f"it has no {size} bytes at {offset}")


class _Segment(NamedTuple):
    type: int
    flags: int
    offset: int
    address: int
    size: int


def parse_elf(held: Held) -> Elf:
    """The facts of the file of which `held` are the bytes, which begin with MAGIC. Raises nothing."""
    try:
        bits, order = _class(held.take(0, 20))
        kind, machine = struct.unpack(order + "HH", held.take(16, 4))
    except _Damaged:
        return _NOTHING
    elf = _NOTHING._replace(bits=bits, machine=machine, type=_TYPES.get(kind, "other"), problem="")
    if elf.type not in ("executable", "shared"):
        return elf
    try:
        return _Parser(held, bits, order).facts(elf)
    except (_Damaged, struct.error, OverflowError) as error:
        return elf._replace(problem=f"its dynamic section cannot be read: {error}")


def _class(ident: bytes) -> tuple[int, str]:
    bits, order = {1: 32, 2: 64}.get(ident[4]), {1: "<", 2: ">"}.get(ident[5])
    if bits is None or order is None:
        raise _Damaged("neither 32 nor 64 bits")
    return bits, order


class _Parser:
    """Reads one file."""

    def __init__(self, held: Held, bits: int, order: str) -> None:
        self._held = held
        self._bits = bits
        self._order = order
        self._segments = list(self._program_headers())
        self._strings = b""
        self._text = 0

    def facts(self, elf: Elf) -> Elf:
        """`elf` with what the program headers and the dynamic section add. Raises _Damaged."""
        by_type = {segment.type: segment for segment in self._segments}
        stack = by_type.get(_STACK)
        interpreter = by_type.get(_INTERPRETER)
        elf = elf._replace(
            executable_stack=stack is None or bool(stack.flags & _EXECUTABLE),
            relro="partial" if _RELRO in by_type else "none",
            interpreter="" if interpreter is None else self._interpreter(interpreter),
        )
        dynamic = by_type.get(_DYNAMIC)
        return elf if dynamic is None else self._dynamic_facts(elf, self._dynamic(dynamic))

    def _dynamic_facts(self, elf: Elf, entries: list[tuple[int, int]]) -> Elf:
        values = dict(entries)
        size = values.get(_STRSZ, 0)
        if size > _MOST_STRINGS:
            raise _Damaged(f"strings of {size} bytes")
        self._strings = self._at(values.get(_STRTAB, 0), size) if size else b""
        flags, flags_1 = values.get(_FLAGS, 0), values.get(_FLAGS_1, 0)
        now = _BIND_NOW in values or flags & _DF_BIND_NOW or flags_1 & _DF_1_NOW
        paths = [self._string(value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
        return elf._replace(
            dynamic=True,
            soname=self._string(values[_SONAME]) if _SONAME in values else "",
            needed=tuple(self._string(value) for tag, value in entries if tag == _NEEDED),
            provides=tuple(self._defined(values.get(_VERDEF, 0), values.get(_VERDEFNUM, 0))),
            requires=tuple(self._required(values.get(_VERNEED, 0), values.get(_VERNEEDNUM, 0))),
            run_path=tuple(part for path in paths for part in path.split(":") if part),
            pie=elf.type == "shared" and (bool(flags_1 & _DF_1_PIE) or bool(elf.interpreter and _SONAME not in values)),
            relro="full" if elf.relro == "partial" and now else elf.relro,
            stack_protector=b"\0__stack_chk_fail\0" in self._strings,
            text_relocations=_TEXTREL in values or bool(flags & _DF_TEXTREL),
        )

    def _unpack(self, form: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, data)

    def _program_headers(self) -> Iterator[_Segment]:
        wide = self._bits == 64
        (table,) = self._unpack("Q", self._held.take(32, 8)) if wide else self._unpack("I", self._held.take(28, 4))
        size, count = self._unpack("HH", self._held.take(54 if wide else 42, 4))
        if count > _MOST_HEADERS or (count and size != (56 if wide else 32)):
            raise _Damaged(f"{count} program headers of {size} bytes")
        for number in range(count):
            data = self._held.take(table + number * size, size)
            if wide:
                kind, flags, offset, address, _, length, _, _ = self._unpack("IIQQQQQQ", data)
            else:
                kind, offset, address, _, length, _, flags, _ = self._unpack("IIIIIIII", data)
            yield _Segment(kind, flags, offset, address, length)

    def _interpreter(self, segment: _Segment) -> str:
        data = self._held.take(segment.offset, min(segment.size, _LONGEST))
        return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _dynamic(self, segment: _Segment) -> list[tuple[int, int]]:
        """Tag and value of each entry."""
        width = self._bits // 4
        count = segment.size // width
        if count > _MOST_DYNAMIC:
            raise _Damaged(f"{count} dynamic entries")
        data = self._held.take(segment.offset, count * width)
        numbers = self._unpack(f"{2 * count}{'Q' if self._bits == 64 else 'I'}", data)
        entries = list(zip(numbers[::2], numbers[1::2], strict=True))
        end = next((number for number, (tag, _) in enumerate(entries) if tag == 0), count)
        return entries[:end]

    def _at(self, address: int, size: int) -> bytes:
        """`size` bytes that are loaded at `address`. Raises _Damaged."""
        for segment in self._segments:
            if segment.type == _LOAD and segment.address <= address < segment.address + segment.size:
                return self._held.take(segment.offset + address - segment.address, size)
        raise _Damaged(f"nothing is loaded at {address:#x}")

    def _string(self, offset: int) -> str:
        end = self._strings.find(b"\0", offset, offset + _LONGEST)
        if offset >= len(self._strings) or end < 0:
            raise _Damaged(f"there is no string at {offset}")
        self._text += end - offset
        if self._text > _MOST_TEXT:
            raise _Damaged(f"its names have more than {_MOST_TEXT} bytes")
        return self._strings[offset:end].decode("utf-8", "surrogateescape")

    def _defined(self, address: int, count: int) -> Iterator[str]:
        for _ in range(min(count, _MOST_VERSIONS)):
            _, flags, _, names, _, first, following = self._unpack("HHHHIII", self._at(address, 20))
            if names and not flags & _BASE_VERSION:
                name, _ = self._unpack("II", self._at(address + first, 8))
                yield self._string(name)
            address += following
            if not following:
                return

    def _required(self, address: int, count: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        left = _MOST_VERSIONS
        for _ in range(min(count, _MOST_VERSIONS)):
            _, names, file, first, following = self._unpack("HHIII", self._at(address, 16))
            versions = []
            auxiliary = address + first
            for _ in range(min(names, left)):
                _, flags, _, name, further = self._unpack("IHHII", self._at(auxiliary, 16))
                if not flags & _WEAK_VERSION:
                    versions.append(self._string(name))
                auxiliary += further
                left -= 1
            yield self._string(file), tuple(versions)
            address += following
            if not following:
                return
