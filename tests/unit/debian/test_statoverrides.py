"""dpkg's overrides, as its file has them."""

import pytest

from formation.debian.statoverrides import (
    StatOverride,
    id_of,
    parse_statoverride,
    parse_statoverrides,
    statoverrides_text,
)

MOUNT = StatOverride("/usr/bin/mount", "root", "root", 0o755)
ODD = StatOverride("/opt/a tool", "#1234", "staff", 0o2750)


def test_what_is_written_reads_back_sorted_by_path() -> None:
    text = statoverrides_text([MOUNT, ODD])
    assert text == b"#1234 staff 2750 /opt/a tool\nroot root 755 /usr/bin/mount\n"
    assert parse_statoverrides(text) == (ODD, MOUNT)


def test_lines_that_are_none_are_passed_over() -> None:
    assert parse_statoverrides(b"root root 9 /x\n\nroot /x\nroot root 755 \nroot root 755 /x") == (
        StatOverride("/x", "root", "root", 0o755),
    )


@pytest.mark.parametrize(
    "line",
    ["#4294967295 root 755 /x", "root #9999999999 755 /x", f"#{'9' * 5000} root 755 /x", "# root 755 /x",
     "#-1 root 755 /x", "root root 10000 /x", "root root 77755 /x", "root root 0o755 /x", "root  root 755 /x"],
)  # fmt: skip
def test_a_line_with_an_impossible_number_is_none(line: str) -> None:
    assert parse_statoverride(line) is None


def test_numbers_may_have_zeros_before_them_and_names_may_look_like_numbers() -> None:
    assert parse_statoverride("#00000000000005 1000 000755 opt/x") == StatOverride(
        "/opt/x", "#00000000000005", "1000", 0o755
    )
    assert (id_of("#00000000000005"), id_of("#4294967294"), id_of("1000")) == (5, 2**32 - 2, None)


def test_paths_of_any_bytes_survive() -> None:
    assert statoverrides_text(parse_statoverrides(b"root root 755 /\xff\n")) == b"root root 755 /\xff\n"
