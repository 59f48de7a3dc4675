"""Reading dpkg's diversions, and whose files they move."""

from formation.debian.diversions import Diversion, diverted, parse_diversions

ZCAT = Diversion("usr/bin/zcat", "usr/bin/zcat.gzip", "zutils")
LOCAL = Diversion("etc/motd", "etc/motd.orig", ":")


def test_three_lines_make_a_diversion_and_a_cut_off_one_is_left_out():
    data = b"/usr/bin/zcat\n/usr/bin/zcat.gzip\nzutils\n/etc/motd\n/etc/motd.orig\n:\n/bin/x\n"
    assert parse_diversions(data) == (ZCAT, LOCAL)


def test_only_a_newline_ends_a_line():
    (found,) = parse_diversions("/a\x0bb\u2028c\n/d\re\npkg\n".encode())
    assert found == Diversion("a\x0bb\u2028c", "d\re", "pkg")


def test_a_file_of_another_package_goes_away():
    listed = ["/.", "/usr/bin/gzip", "/usr/bin/zcat"]
    assert diverted("gzip", listed, [ZCAT]) == (("usr/bin/zcat", "usr/bin/zcat.gzip"),)


def test_the_file_of_the_package_that_diverts_stays():
    assert diverted("zutils", ["/usr/bin/zcat"], [ZCAT]) == ()


def test_a_local_diversion_moves_everybodys_file():
    assert diverted("base-files", ["/etc/motd"], [LOCAL]) == (("etc/motd", "etc/motd.orig"),)


def test_paths_are_compared_as_they_are_written():
    assert diverted("gzip", ["/bin/zcat"], [ZCAT]) == ()
