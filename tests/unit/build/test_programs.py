"""Whether a service's programs can run in its image."""

from collections.abc import Callable, Mapping

import pytest

from elves import AMD64, ARM64, EXECUTABLE, RELOCATABLE, elf_bytes
from formation.build.loader import Loader
from formation.build.programs import Surroundings, Wrong, check_programs
from formation.build.service_tree import collected_nodes, over
from formation.definition.service_values import CollectedFile, Kind
from services import MERGED, tree

Check = Callable[..., list[Wrong]]


def collected(path: str, content: bytes, mode: int = 0o755) -> CollectedFile:
    return CollectedFile(path, Kind.FILE, mode, "root", "root", len(content), content=content)


def check(
    *files: CollectedFile,
    more: Mapping[str, bytes | str] | None = None,
    environment: tuple[str, ...] = (),
    configured: tuple[str, ...] = ("/usr/local/lib",),
    built_by: str | None = None,
) -> list[Wrong]:
    """What is wrong with `files` on MERGED and `more`."""
    base = tree({**MERGED, **(more or {})})
    whole = over(collected_nodes(files), base)
    loader = Loader(whole, base, "amd64", configured, environment)
    names = frozenset(file.path.rpartition("/")[2] for file in files)
    around = Surroundings("formation/base:1.0.0", "amd64", loader, ("/usr/local/bin", "/usr/bin"), built_by, names)
    return list(check_programs(files, around))


def program(**fields) -> CollectedFile:
    return collected("/usr/local/bin/p", elf_bytes(**fields))


@pytest.mark.parametrize(
    "content",
    [
        elf_bytes(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.2.5", "GLIBC_2.34")}),
        elf_bytes(needed=("libz.so.1",), requires={"libz.so.1": ("ZLIB_9",)}),
        elf_bytes(kind=EXECUTABLE, interpreter=None, dynamic=False),
        elf_bytes(interpreter=None),
        elf_bytes(kind=RELOCATABLE, machine=ARM64, interpreter=None),
        elf_bytes(kind=RELOCATABLE, machine=247, interpreter=None),
        b"#",
        b"plain text",
        b"#!/bin/sh\n",
        b"#! /usr/bin/env bash\n",
        b"#!/usr/bin/env -S A=b bash -e\n",
        b"#!/bin/sh -e",
    ],
    ids=[
        "its versions are there", "a library without versions", "static", "static and position-independent",
        "an object file", "a BPF program", "one character", "text", "a script", "env", "env -S", "no newline",
    ],
)  # fmt: skip
def test_what_runs_passes(content):
    assert check(collected("/usr/local/bin/p", content)) == []


def test_a_program_for_another_architecture_is_told_with_both():
    (wrong,) = check(program(machine=ARM64))
    assert wrong.reason == "is for arm64, and the image is for amd64"
    (unknown,) = check(program(machine=9999))
    assert "is for machine 9999" in unknown.reason


def test_a_missing_library_is_named():
    (wrong,) = check(program(needed=("libc.so.6", "libgone.so.3")))
    assert wrong.reason == "needs libgone.so.3, which neither formation/base:1.0.0 nor the service's packages have"
    assert wrong.lacks == "libgone.so.3"


def test_a_library_where_the_loader_does_not_look_is_missing():
    (wrong,) = check(program(needed=("libodd.so.1",)))
    assert wrong.lacks == "libodd.so.1"


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"run_path": "/opt/private"}, {}),
        ({"run_path": "$ORIGIN/../../../opt/private"}, {}),
        ({"run_path": "/nothing:${ORIGIN}/../../../opt/private"}, {}),
        ({}, {"environment": ("/opt/private",)}),
        ({}, {"configured": ("/opt/private",)}),
        ({}, {"more": {"usr/lib/libodd.so.1": "->../../opt/private/libodd.so.1"}}),
    ],
    ids=["run path", "origin", "second run path", "LD_LIBRARY_PATH", "ld.so.conf", "link"],
)
def test_the_loader_looks_where_it_is_told(fields, more):
    assert check(program(needed=("libodd.so.1",), **fields), **more) == []


def test_a_name_with_a_slash_is_a_path():
    assert check(program(needed=("/opt/private/libodd.so.1",))) == []
    (wrong,) = check(program(needed=("/opt/libodd.so.1",)))
    assert wrong.lacks == "/opt/libodd.so.1"


def test_a_version_that_the_base_lacks_is_told_with_what_it_has():
    (wrong,) = check(program(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.38", "GLIBC_2.4", "GLIBC_2.34")}))
    assert wrong.reason == (
        "needs GLIBC_2.38 of libc.so.6, and formation/base:1.0.0 has "
        "/usr/lib/x86_64-linux-gnu/libc.so.6, which ends with GLIBC_2.34"
    )
    assert wrong.hint == "build it on the base's dev variant, or on a release that is not newer than the base"


def test_the_hint_is_the_build_of_a_service_that_has_one():
    (wrong,) = check(program(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.99",)}), built_by="make")
    assert wrong.hint.startswith("run its `build:` on the base's dev variant")


def test_a_loader_that_is_not_there_is_told_and_musl_by_its_name():
    (wrong,) = check(program(interpreter="/lib/ld-linux-aarch64.so.1"))
    assert wrong.reason == "needs the loader /lib/ld-linux-aarch64.so.1, which formation/base:1.0.0 does not have"
    (musl,) = check(program(interpreter="/lib/ld-musl-x86_64.so.1", needed=("libc.musl-x86_64.so.1",)))
    assert musl.reason.startswith("is linked with musl, whose loader /lib/ld-musl-x86_64.so.1")
    assert "statically" in musl.hint


def test_a_musl_program_on_a_base_with_musl_finds_its_library():
    musl = {"usr/lib/ld-musl-x86_64.so.1": elf_bytes(interpreter=None, soname="libc.musl-x86_64.so.1")}
    musl["usr/lib/libc.musl-x86_64.so.1"] = "->ld-musl-x86_64.so.1"
    fine = program(interpreter="/lib/ld-musl-x86_64.so.1", needed=("libc.musl-x86_64.so.1",))
    assert check(fine, more=musl) == []


def test_a_damaged_program_is_told():
    whole = elf_bytes(needed=("libc.so.6",))
    (wrong,) = check(collected("/usr/local/bin/p", whole[:-40]))
    assert wrong.reason.startswith("is a damaged ELF file")


def test_a_library_of_the_service_is_found_in_a_standard_directory():
    library = collected("/usr/lib/libown.so.1", elf_bytes(interpreter=None, soname="libown.so.1"), 0o644)
    assert check(program(needed=("libown.so.1",)), library) == []


def test_a_library_of_the_service_behind_the_loader_s_cache_is_told_with_three_ways_out():
    library = collected("/usr/local/lib/libown.so.1", elf_bytes(interpreter=None, soname="libown.so.1"), 0o644)
    (wrong,) = check(program(needed=("libown.so.1",)), library)
    assert wrong.reason == "needs libown.so.1, which the service brings where the loader does not look"
    assert wrong.hint == "put it into /lib/x86_64-linux-gnu, link with -Wl,-rpath, or set LD_LIBRARY_PATH"
    assert wrong.lacks is None


def test_libraries_that_only_their_program_knows_may_need_each_other():
    first = collected("/srv/plugins/a.so", elf_bytes(interpreter=None, needed=("libb.so", "libc.so.6")), 0o644)
    second = collected("/srv/plugins/libb.so", elf_bytes(interpreter=None, soname="libb.so"), 0o644)
    assert check(first, second) == []
    assert [wrong.lacks for wrong in check(first)] == ["libb.so"]


def test_a_plugin_for_another_architecture_is_told_whatever_its_mode():
    (wrong,) = check(collected("/srv/plugin.so", elf_bytes(machine=ARM64, interpreter=None), 0o644))
    assert wrong.path == "/srv/plugin.so"


@pytest.mark.parametrize(
    ("content", "reason", "hint", "lacks"),
    [
        (b"#!/usr/bin/python3\n", "begins with #!/usr/bin/python3, and neither", "add the package", "python3"),
        (b"#!/usr/local/bin/bash -e\n", "begins with #!/usr/local/bin/bash -e, and", "write #!/usr/bin/bash", None),
        (b"#!/usr/bin/env node\n", "no directory of PATH has node", "add the package", "node"),
        (b"#!/bin/sh\r\necho\r\n", r"begins with #!/bin/sh\r, and", "its lines end as on Windows", None),
        (b"#!python3\n", "begins with #!python3", "add the package", "python3"),
        (b"#!/usr/bin\n", "begins with #!/usr/bin, and", "add the package", "bin"),
    ],
)
def test_a_script_whose_interpreter_is_missing_is_told(content, reason, hint, lacks):
    (wrong,) = check(collected("/usr/local/bin/s", content))
    assert reason in wrong.reason
    assert wrong.hint.startswith(hint)
    assert wrong.lacks == lacks


def test_a_script_that_is_not_executable_is_data():
    assert check(collected("/srv/s", b"#!/nothing\n", 0o644)) == []


def test_a_script_may_run_what_the_service_brings():
    script = collected("/usr/local/bin/s", b"#!/usr/local/bin/p\n")
    assert check(script, program()) == []


def test_all_that_is_wrong_is_told_in_the_order_of_the_files():
    found = check(program(needed=("liba.so.1", "libb.so.1")), collected("/s", b"#!/nothing\n"))
    assert [wrong.lacks for wrong in found] == ["liba.so.1", "libb.so.1", "nothing"]


def test_a_32_bit_number_of_the_same_machine_is_another_architecture():
    data = bytearray(elf_bytes(machine=AMD64))
    data[4] = 1
    (wrong,) = check(collected("/p", bytes(data)))
    assert "damaged" in wrong.reason or "x32" in wrong.reason


def test_an_empty_program_in_path_is_told_and_an_empty_file_elsewhere_is_not():
    (wrong,) = check(collected("/usr/local/bin/p", b""))
    assert wrong.reason == "is empty"
    assert check(collected("/srv/p", b""), collected("/usr/local/bin/p", b"", 0o644)) == []
