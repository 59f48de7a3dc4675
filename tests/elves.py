"""ELF files of a few hundred bytes, made of the standard library alone: what a loader would read in them, and no code.

elf_bytes(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.34",)})       a program
elf_bytes(soname="libc.so.6", provides=("GLIBC_2.34",), interpreter=None)        a library
"""

import struct
from collections.abc import Mapping, Sequence

AMD64, ARM64, I386 = 62, 183, 3
EXECUTABLE, SHARED, RELOCATABLE = 2, 3, 1
LOADER = "/lib64/ld-linux-x86-64.so.2"
_HEADER, _PROGRAM_HEADER = 64, 56
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3


def elf_bytes(
    *,
    machine: int = AMD64,
    kind: int = SHARED,
    interpreter: str | None = LOADER,
    needed: Sequence[str] = (),
    soname: str | None = None,
    run_path: str | None = None,
    provides: Sequence[str] = (),
    requires: Mapping[str, Sequence[str]] | None = None,
    weak: Sequence[str] = (),
    dynamic: bool = True,
) -> bytes:
    """A little-endian 64-bit file with these program headers and, unless `dynamic` is False, a dynamic section.

    `weak` are those of the versions in `requires` that may be missing.
    """
    strings = _Strings()
    start = _HEADER + 3 * _PROGRAM_HEADER
    path = b"" if interpreter is None else interpreter.encode() + b"\0"
    tags = [(1, strings.add(name)) for name in needed]
    tags += [(14, strings.add(soname))] if soname else []
    tags += [(29, strings.add(run_path))] if run_path else []
    need = _need(requires or {}, weak, strings)
    define = _define(provides, strings)
    places = [start + len(path)]
    for part in (strings.data, need):
        places.append(places[-1] + len(part))
    table, needs, defines = places
    tags += [(5, table), (10, len(strings.data))]
    tags += [(0x6FFFFFFE, needs), (0x6FFFFFFF, len(requires or {}))] if need else []
    tags += [(0x6FFFFFFC, defines), (0x6FFFFFFD, len(provides))] if define else []
    section = b"".join(struct.pack("<QQ", *tag) for tag in (*tags, (0, 0)))
    body = path + strings.data + need + define
    whole = start + len(body) + len(section)
    segments = [(_LOAD, 0, whole)]
    segments += [(_INTERPRETER, start, len(path))] if path else []
    segments += [(_DYNAMIC, start + len(body), len(section))] if dynamic else []
    headers = b"".join(struct.pack("<IIQQQQQQ", type_, 4, at, at, at, size, size, 8) for type_, at, size in segments)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, _HEADER, 0, 0, _HEADER, 56, len(segments), 64, 0, 0)
    return (ident + header + headers).ljust(start, b"\0") + body + section


class _Strings:
    """A string table."""

    def __init__(self) -> None:
        self.data = b"\0"

    def add(self, text: str) -> int:
        """Where `text` is."""
        place = len(self.data)
        self.data += text.encode() + b"\0"
        return place


def _need(requires: Mapping[str, Sequence[str]], weak: Sequence[str], strings: _Strings) -> bytes:
    entries = []
    for library, versions in requires.items():
        following = 16 + 16 * len(versions)
        head = struct.pack("<HHIII", 1, len(versions), strings.add(library), 16, following)
        names = [
            struct.pack("<IHHII", 0, 2 if version in weak else 0, 2, strings.add(version), 16) for version in versions
        ]
        entries.append(head + b"".join(names))
    return b"".join(entries)


def _define(provides: Sequence[str], strings: _Strings) -> bytes:
    entries = [
        struct.pack("<HHHHIII", 1, 0, number, 1, 0, 20, 28) + struct.pack("<II", strings.add(version), 0)
        for number, version in enumerate(provides, 2)
    ]
    return b"".join(entries)
