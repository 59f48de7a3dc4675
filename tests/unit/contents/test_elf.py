"""ELF files: real ones against readelf's reading, made ones, and damaged ones."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elves import ARM64, RELOCATABLE, elf_bytes
from formation.contents.elf import Held, parse_elf
from hostile import hostile


def test_a_program_says_what_it_needs():
    elf = parse_elf(
        Held(elf_bytes(needed=("libc.so.6", "libz.so.1"), requires={"libc.so.6": ("GLIBC_2.34", "GLIBC_2.38")}))
    )
    assert (elf.bits, elf.architecture, elf.type, elf.problem) == (64, "amd64", "shared", "")
    assert elf.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert elf.needed == ("libc.so.6", "libz.so.1")
    assert elf.requires == (("libc.so.6", ("GLIBC_2.34", "GLIBC_2.38")),)
    assert elf.pie and elf.dynamic


def test_a_version_that_is_needed_weakly_may_be_missing():
    requires = {"libc.so.6": ("GLIBC_2.34", "GLIBC_9.9"), "libz.so.1": ("Z_9",)}
    elf = parse_elf(Held(elf_bytes(needed=("libc.so.6",), requires=requires, weak=("GLIBC_9.9", "Z_9"))))
    assert elf.requires == (("libc.so.6", ("GLIBC_2.34",)), ("libz.so.1", ()))


def test_a_library_says_what_it_offers():
    elf = parse_elf(
        Held(elf_bytes(interpreter=None, soname="libx.so.1", provides=("X_1", "X_2"), run_path="$ORIGIN:/opt"))
    )
    assert (elf.soname, elf.provides, elf.run_path) == ("libx.so.1", ("X_1", "X_2"), ("$ORIGIN", "/opt"))
    assert not elf.pie


def test_other_architectures_and_object_files_are_told_apart():
    assert parse_elf(Held(elf_bytes(machine=ARM64))).architecture == "arm64"
    assert parse_elf(Held(elf_bytes(kind=RELOCATABLE))).type == "relocatable"
    assert parse_elf(Held(elf_bytes(dynamic=False))).dynamic is False


def test_the_running_interpreter_is_read_in_full():
    program = Path(sys.executable).resolve().read_bytes()
    if not program.startswith(b"\x7fELF"):
        pytest.skip("Python is no ELF file here")
    elf = parse_elf(Held(program))
    assert elf.problem == "" and elf.needed and elf.interpreter
    assert not elf.executable_stack
    assert any(version.startswith("GLIBC_") for _, versions in elf.requires for version in versions)


def test_the_end_of_a_large_file_is_enough_for_what_lies_there():
    data = elf_bytes(needed=("libc.so.6",))
    split = len(data) - 60
    elf = parse_elf(Held(data[:split], data[split - 100 :], split - 100))
    assert elf.problem == "" and elf.needed == ("libc.so.6",)


def test_what_was_not_kept_is_said_to_be_missing():
    elf = parse_elf(Held(elf_bytes(needed=("libc.so.6",))[:-40]))
    assert elf.needed == () and "cannot be read" in elf.problem


@hostile
@given(st.data())
def test_no_damage_makes_the_parser_raise(data: st.DataObject):
    content = bytearray(
        elf_bytes(
            needed=("libc.so.6",), soname="me", provides=("A", "B"), requires={"libc.so.6": ("C",)}, run_path="/x"
        )
    )
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(4, len(content) - 1), st.sampled_from([0, 1, 0x7F, 0xFF])), max_size=8)
    ):
        content[position] = value
    parse_elf(Held(bytes(content)[: data.draw(st.integers(4, len(content)))]))


@hostile
@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise(data: bytes):
    parse_elf(Held(b"\x7fELF" + data))
