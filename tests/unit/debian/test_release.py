"""Release files: what they say, and which are refused."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.debian.release import IndexFile, check_release, parse_release
from formation.errors import IntegrityError, MalformedError
from signed_archive import NOW, date, release_text

FILES = {"main/binary-amd64/Packages": b"x"}


def parsed(**fields: str | None):
    return parse_release(release_text(FILES, **fields), "InRelease")


def check(release, suite: str = "toy", *, now: int = NOW, not_before: int | None = None, valid: bool = True) -> None:
    check_release(release, suite, "InRelease", now=now, not_before=not_before, check_valid_until=valid)


def test_a_release_file_is_read():
    release = parsed(Date="Sat, 21 Nov 2026 09:15:44 UTC", Architectures="all amd64", Components="main contrib")
    assert (release.suite, release.codename) == ("stable", "toy")
    assert release.date == 1795252544
    assert release.components == ("main", "contrib")
    assert release.architectures == ("all", "amd64")
    assert release.acquire_by_hash
    path = "main/binary-amd64/Packages"
    assert release.files == {path: IndexFile(path, "sha256:" + hashlib.sha256(b"x").hexdigest(), 1)}


@pytest.mark.parametrize(
    ("automatic", "upgrades", "priority"),
    [
        (None, None, 500),
        ("no", None, 500),
        ("yes", None, 1),
        ("yes", "no", 1),
        ("Yes", "yes", 100),
        (None, "yes", 100),
        ("no", "yes", 100),
        ("true", None, 1),
        ("1", "on", 100),
        ("with", "enable", 100),
        ("\n yes", None, 1),
    ],
)
def test_a_suite_that_is_not_automatic_has_apts_priority(automatic, upgrades, priority):
    assert parsed(NotAutomatic=automatic, ButAutomaticUpgrades=upgrades).priority == priority


@pytest.mark.parametrize(
    ("architectures", "unsupported", "merged"),
    [
        ("all amd64", "Packages", True),
        ("all amd64", None, False),
        ("amd64", None, True),
    ],
)
def test_packages_for_all_are_separate_only_where_the_release_says_so(architectures, unsupported, merged):
    release = parsed(Architectures=architectures, No_Support_for_Architecture_all=unsupported)
    assert release.all_in_each_architecture is merged


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
        ("Thu, 1 Jan 1970 00:00:01 GMT", 1),
        ("Sun, 29 Feb 2032 23:59:59 +0000", 1961711999),
    ],
)
def test_dates_are_read_whatever_the_locale(text: str, seconds: int):
    assert parsed(Date=text).date == seconds


@pytest.mark.parametrize(
    "fields",
    [
        {"Date": None},
        {"Date": "yesterday"},
        {"Date": "Sat, 21 Nov 2026 09:15:44 PST"},
        {"Date": "Sat, 99 Nov 2026 09:15:44 UTC"},
        {"Date": "Sat, 21 Foo 2026 09:15:44 UTC"},
        {"Valid_Until": "never"},
        {"Suite": "sta ble"},
        {"Suite": "\x1b[2J"},
        {"Components": "main \x00"},
        {"Architectures": "../amd64"},
    ],
)
def test_a_wrong_field_is_malformed(fields):
    with pytest.raises(MalformedError, match=r"^InRelease"):
        parsed(**fields)


@pytest.mark.parametrize(
    "line",
    [
        "0123 1 main/binary-amd64/Packages",
        f"{'0' * 64} 1 /etc/passwd",
        f"{'0' * 64} 1 ../../etc/passwd",
        f"{'0' * 64} 1 main/../x",
        f"{'0' * 64} 1 main//x",
        f"{'0' * 64} 1 http://elsewhere/x",
        f"{'0' * 64} -1 main/x",
        f"{'0' * 64} {'9' * 30} main/x",
        f"{'0' * 64} ١ main/x",
        f"{'0' * 64} 1 main/x extra",
        f"{'0' * 64} 1 main/binary-amd64/Packages",
    ],
)
def test_a_hostile_line_of_the_sha256_section_is_refused(line: str):
    with pytest.raises(MalformedError, match=r"^InRelease"):
        parse_release(release_text(FILES) + f" {line}\n".encode(), "InRelease")


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"no field\n", b" continued\n", b"Date: x\nDate: y\n", b"\xff: x\n", b"Suite: x\n\nSuite: y\n"],
)
def test_what_is_no_release_file_is_malformed(text: bytes):
    with pytest.raises(MalformedError, match=r"^InRelease"):
        parse_release(text, "InRelease")


def test_a_release_without_sha256_is_refused():
    with pytest.raises(MalformedError, match="no SHA256"):
        parse_release(release_text({}).replace(b"SHA256", b"MD5Sum"), "InRelease")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_release_or_a_clear_error(data: bytes):
    with pytest.raises(MalformedError):
        parse_release(data, "InRelease")


def test_an_expired_release_is_refused_unless_the_archive_says_so():
    release = parsed(Valid_Until=date(NOW - 1))
    with pytest.raises(IntegrityError, match=r"InRelease expired on 2026-11-18 \d\d:\d\d UTC"):
        check(release)
    check(release, valid=False)


def test_a_release_without_valid_until_stays_valid():
    check(parsed(Valid_Until=None), now=NOW + 1000 * 86_400)


def test_a_release_of_the_future_is_refused_beyond_a_day_of_skew():
    check(parsed(Date=date(NOW + 86_400)))
    with pytest.raises(IntegrityError, match="in the future"):
        check(parsed(Date=date(NOW + 86_401)))


def test_a_release_older_than_the_locked_one_is_a_replay():
    release = parsed()
    check(release, not_before=release.date)
    with pytest.raises(IntegrityError, match=r"older than the one of .* in the lock"):
        check(release, not_before=release.date + 1)


@pytest.mark.parametrize(
    ("asked", "suite", "codename", "accepted"),
    [
        ("trixie", "stable", "trixie", True),
        ("stable", "stable", "trixie", True),
        ("trixie-security", "stable-security", "trixie-security", True),
        ("noble-updates", "noble-updates", "noble", True),
        ("noble", "noble", "noble", True),
        ("noble", "noble-updates", "noble", False),
        ("trixie", "stable-updates", "trixie-updates", False),
        ("trixie", "oldstable", "bookworm", False),
        ("trixie", None, None, False),
        ("trixie", None, "trixie", True),
    ],
)
def test_the_release_of_another_suite_is_refused(asked, suite, codename, accepted):
    release = parsed(Suite=suite, Codename=codename)
    if accepted:
        check(release, asked)
    else:
        with pytest.raises(IntegrityError, match=f"not of the suite {asked}") as caught:
            check(release, asked)
        named = suite or codename
        assert (caught.value.hint or "").startswith(
            f"write {named} under" if named else "whoever runs the archive has to write `Suite: trixie`"
        )
