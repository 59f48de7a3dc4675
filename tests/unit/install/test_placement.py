"""dpkg's path filters and where paths go. tests/integration/test_unpack_against_dpkg.py asks the real dpkg."""

import pytest

from formation.entry import Entry, EntryType
from formation.install.placement import Placement, SegmentSpec


def excluded(path: str, excludes: list[str], includes: list[str] = (), type_: EntryType = "file") -> bool:
    spec = SegmentSpec(epoch=0, path_excludes=tuple(excludes), path_includes=tuple(includes))
    return Placement(spec).excludes(Entry(path, type_, 0o644))


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/usr/share/man/*", "usr/share/man/man1/ls.1.gz", True),
        ("/usr/share/man/*", "usr/share/man", False),
        ("/usr/*/ls.1.gz", "usr/share/man/man1/ls.1.gz", True),
        ("/usr/?", "usr/a", True),
        ("/usr/?", "usr/ab", False),
        ("/usr?a", "usr/a", True),
        ("/a[bc]d", "acd", True),
        ("/a[!bc]d", "acd", False),
        ("/a[^bc]d", "axd", True),
        ("/a[]x]d", "a]d", True),
        ("/a[b-d]e", "ace", True),
        ("/a[[:digit:]]", "a7", True),
        ("/a[[:digit:]x]", "ax", True),
        ("/a[b", "a[b", True),
        ("/a\\*b", "a*b", True),
        ("/a\\*b", "axb", False),
        ("/a+(b)", "a+(b)", True),
        ("/.hid*", ".hidden", True),
        ("*", "a\tb", True),
        ("/a\\", "a\\", False),
    ],
)
def test_patterns_match_as_fnmatch_does(pattern: str, path: str, matches: bool) -> None:
    assert excluded(path, [pattern]) is matches


def test_includes_win_over_excludes() -> None:
    excludes, includes = ["/usr/share/doc/*"], ["/usr/share/doc/*/copyright"]
    assert excluded("usr/share/doc/a/README", excludes, includes)
    assert not excluded("usr/share/doc/a/copyright", excludes, includes)


def test_directories_and_symlinks_on_the_way_to_an_include_stay() -> None:
    excludes, includes = ["/usr/share/doc/*"], ["/usr/share/doc/*/copyright"]
    assert not excluded("usr/share/doc/a", excludes, includes, "directory")
    assert not excluded("usr/share/doc/a", excludes, includes, "symlink")
    assert excluded("usr/share/doc/a", excludes, includes, "file")
    assert excluded("usr/share/doc/a", excludes, ["/usr/share/man/*"], "directory")


def test_paths_go_through_the_links_into_usr() -> None:
    place = Placement(SegmentSpec(epoch=0)).place
    assert place("bin/sh") == "usr/bin/sh"
    assert place("lib64/ld.so") == "usr/lib64/ld.so"
    assert place("lib") == "usr/lib"
    assert place("libexec/a") == "libexec/a"
    assert place("usr/lib/a") == "usr/lib/a"
    assert place("lib", through_alias=False) == "lib"
    assert Placement(SegmentSpec(epoch=0, usr_merged=False)).place("bin/sh") == "bin/sh"


def test_diversions_come_before_the_links_into_usr() -> None:
    spec = SegmentSpec(epoch=0, renames=(("bin/sh", "bin/sh.distrib"),))
    assert Placement(spec).place("bin/sh") == "usr/bin/sh.distrib"
