"""dpkg's overrides, as its file has them."""

from formation.debian.statoverrides import StatOverride, parse_statoverrides, statoverrides_text

MOUNT = StatOverride("/usr/bin/mount", "root", "root", 0o755)
ODD = StatOverride("/opt/a tool", "#1234", "staff", 0o2750)


def test_what_is_written_reads_back_sorted_by_path() -> None:
    text = statoverrides_text([MOUNT, ODD])
    assert text == b"#1234 staff 2750 /opt/a tool\nroot root 755 /usr/bin/mount\n"
    assert parse_statoverrides(text) == (ODD, MOUNT)


def test_lines_that_are_none_are_passed_over() -> None:
    assert parse_statoverrides(b"root root 9 /x\n\nroot /x\nroot root 755 relative\nroot root 755 /x") == (
        StatOverride("/x", "root", "root", 0o755),
    )


def test_paths_of_any_bytes_survive() -> None:
    assert statoverrides_text(parse_statoverrides(b"root root 755 /\xff\n")) == b"root root 755 /\xff\n"
