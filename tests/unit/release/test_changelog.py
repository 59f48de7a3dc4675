"""Debian changelogs as the archive has them, and as nobody should write them."""

from hypothesis import given
from hypothesis import strategies as st

from formation.release.changelog import LONGEST_LINE, MOST_ENTRIES, MOST_LINES, in_order, parse_changelog

OPENSSL = """\
openssl (3.5.1-1+deb13u1) trixie-security; urgency=medium

  * CVE-2025-9230 (Fix incorrect check of unwrapped key size)
  * CVE-2025-9231 and again CVE-2025-9230.
    cve-2025-9232 in lower case.

 -- Sebastian Andrzej Siewior <sebastian@breakpoint.cc>  Tue, 30 Sep 2025 21:07:37 +0200

openssl (3.5.1-1) unstable; urgency=medium

  [ Somebody ]
  * Import 3.5.1

 -- Sebastian Andrzej Siewior <sebastian@breakpoint.cc>  Sat, 05 Jul 2025 12:00:00 +0200

# Older entries have been removed from this changelog.
# For older changelog entries, run 'apt-get changelog openssl'
"""


def test_entries_come_with_version_distribution_author_and_cves():
    first, second = parse_changelog(OPENSSL)
    assert (first.source, first.version, first.distributions) == ("openssl", "3.5.1-1+deb13u1", ("trixie-security",))
    assert first.urgency == "medium"
    assert first.author == "Sebastian Andrzej Siewior <sebastian@breakpoint.cc>"
    assert first.date == "Tue, 30 Sep 2025 21:07:37 +0200"
    assert first.cves == ("CVE-2025-9230", "CVE-2025-9231", "CVE-2025-9232")
    assert first.lines[0] == "* CVE-2025-9230 (Fix incorrect check of unwrapped key size)"
    assert first.lines[2] == "  cve-2025-9232 in lower case."
    assert second.lines == ("[ Somebody ]", "* Import 3.5.1")


def test_several_distributions_binary_only_and_no_urgency_are_headings_too():
    text = (
        "bash (5.2.37-2+b10) trixie sid; urgency=low, binary-only=yes\n\n  * Rebuild\n\n"
        " -- A <a@b>  Fri, 01 Jan 2021 00:00:00 +0000\n"
        "bash (5.2.37-2) UNRELEASED;\n  * x\n"
    )
    rebuilt, unreleased = parse_changelog(text)
    assert (rebuilt.version, rebuilt.distributions, rebuilt.urgency) == ("5.2.37-2+b10", ("trixie", "sid"), "low")
    assert (unreleased.urgency, unreleased.author, unreleased.date) == ("", "", "")
    assert unreleased.lines == ("* x",)


def test_what_is_no_changelog_has_no_entries():
    assert list(parse_changelog("2025-01-01  A Person  <a@b>\n\n\t* file.c: changed\n")) == []
    assert list(parse_changelog("")) == []


def test_numbers_that_only_look_like_cves_are_none():
    (entry,) = parse_changelog(
        "a (1) b; urgency=low\n  * XCVE-2025-1111, CVE-2025-123, CVE-20251-1234, CVE-2025-12345\n"
    )
    assert entry.cves == ("CVE-2025-12345",)


def test_cves_come_in_the_order_of_their_numbers():
    assert in_order(["CVE-2025-10000", "CVE-2025-9999", "CVE-2024-123456", "CVE-2025-9999"]) == [
        "CVE-2024-123456", "CVE-2025-9999", "CVE-2025-10000",
    ]  # fmt: skip


def test_a_changelog_without_end_is_bounded():
    many = "a (1) b; urgency=low\n" * (MOST_ENTRIES + 10)
    assert sum(1 for _ in parse_changelog(many)) == MOST_ENTRIES
    (long,) = parse_changelog("a (1) b; urgency=low\n" + ("  " + "x" * 5000 + "\n") * (MOST_LINES + 10))
    assert len(long.lines) == MOST_LINES
    assert max(map(len, long.lines)) <= LONGEST_LINE


@given(st.text(alphabet=st.sampled_from("ab1 ()-;<>*.,~+:\n\t#=CVE2\x00é"), max_size=400))
def test_no_text_breaks_the_parser(text: str):
    for entry in parse_changelog(text):
        assert entry.source
        assert entry.version
        assert all("\n" not in line for line in entry.lines)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z0-9+.-]{1,10}", fullmatch=True),
            st.from_regex(r"[0-9][0-9a-z.+~-]{0,10}", fullmatch=True),
            st.lists(st.from_regex(r"[A-Za-z0-9 .]{1,20}", fullmatch=True).map(str.rstrip).filter(bool), max_size=4),
        ),
        max_size=5,
    )
)
def test_what_was_written_is_read_back(entries: list[tuple[str, str, list[str]]]):
    text = "".join(
        f"{source} ({version}) trixie; urgency=low\n\n"
        + "".join(f"  * {line}\n" for line in lines)
        + "\n -- A B <a@b.c>  Fri, 01 Jan 2021 00:00:00 +0000\n\n"
        for source, version, lines in entries
    )
    found = [(e.source, e.version, [line.removeprefix("* ") for line in e.lines]) for e in parse_changelog(text)]
    assert found == entries
