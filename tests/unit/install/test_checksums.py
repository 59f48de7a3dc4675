"""The md5sums of packages in dpkg's database."""

from formation.install.checksums import kept_sums

SUM = b"0" * 32


def test_only_a_newline_ends_a_line_of_a_package_s_checksums() -> None:
    sums = SUM + b"  opt/a\rb\n" + SUM + b"  opt/c\x0c\n" + SUM + b"  opt/d"
    assert kept_sums(sums, {"opt/a\rb"}) == SUM + b"  opt/c\x0c\n" + SUM + b"  opt/d"
    assert kept_sums(sums, {"opt/d"}) == SUM + b"  opt/a\rb\n" + SUM + b"  opt/c\x0c\n"
