"""Libraries and commands, found as the dynamic linker and a shell find them."""

from elves import ARM64, elf_bytes
from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.libraries import commands, libraries, search_directories
from layer_tars import Member, contents_of, directory, file, symlink


def library(soname: str, **options) -> bytes:
    return elf_bytes(interpreter=None, soname=soname, **options)


def files_of(*members: Member) -> Filesystem:
    directories = ("etc", "etc/ld.so.conf.d", "usr", "usr/bin", "usr/lib", "usr/lib/x86_64-linux-gnu", "opt", "opt/lib")
    base = [*map(directory, directories), symlink("lib", "usr/lib"), symlink("bin", "usr/bin")]
    return filesystem(contents_of([*base, *members]).layers)


def test_libraries_are_found_by_the_names_of_their_links():
    files = files_of(
        file("usr/lib/x86_64-linux-gnu/libz.so.1.3", library("libz.so.1", provides=("ZLIB_1.2",))),
        symlink("usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.3"),
        symlink("usr/lib/x86_64-linux-gnu/libz.so", "libz.so.1.3"),
        file("usr/lib/libarm.so.1", library("libarm.so.1", machine=ARM64)),
        file("opt/lib/libhidden.so.1", library("libhidden.so.1")),
        file("usr/lib/notes.so.txt", b"text"),
    )
    found = libraries(files)
    assert list(found.sonames("amd64")) == ["libz.so.1"]
    assert found.get("amd64", "libz.so.1").path == "usr/lib/x86_64-linux-gnu/libz.so.1.3"
    assert found.get("amd64", "libz.so").elf.provides == ("ZLIB_1.2",)
    assert found.get("amd64", "libarm.so.1") is None and found.get("arm64", "libarm.so.1") is not None


def test_ld_so_conf_names_more_directories_and_includes_files():
    files = files_of(
        file("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\ninclude /etc/ld.so.conf\n"),
        file("etc/ld.so.conf.d/opt.conf", b"# mine\r/usr\x0c/usr\n/opt/lib\n/missing\n"),
        file("etc/ld.so.conf.d/not.txt", b"/usr\n"),
        file("opt/lib/libx.so.1", library("libx.so.1")),
    )
    assert search_directories(files)[0] == "opt/lib"
    assert libraries(files).get("amd64", "libx.so.1") is not None


def test_a_run_path_is_looked_at_first_with_its_origin():
    program = elf_bytes(needed=("libx.so.1",), run_path="$ORIGIN/../../opt/lib")
    files = files_of(file("usr/bin/x", program), file("opt/lib/libx.so.1", library("libx.so.1")))
    elf = files.elf(files.find("usr/bin/x"))
    assert libraries(files).provider("usr/bin/x", elf, "libx.so.1").path == "opt/lib/libx.so.1"
    assert libraries(files).provider("usr/bin/x", elf, "liby.so.1") is None


def test_commands_are_the_executables_of_path_first_come():
    files = files_of(
        directory("usr/local"),
        directory("usr/local/bin"),
        file("usr/local/bin/tool", b"#!", mode=0o755),
        file("usr/bin/tool", b"#!", mode=0o755),
        file("usr/bin/data", b"", mode=0o644),
        symlink("usr/bin/also", "tool"),
        symlink("usr/bin/broken", "nowhere"),
    )
    found = commands(files, "/usr/local/bin:/bin:relative:/missing")
    assert found == {"also": "usr/bin/tool", "tool": "usr/local/bin/tool"}
