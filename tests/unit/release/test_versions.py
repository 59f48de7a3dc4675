"""Versions: what a level asks for, and which release came before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.errors import UsageError
from formation.release.level import Level
from formation.release.versions import check_version, deserved, following, highest, judge_version, same_line

numbers = st.integers(0, 30)
versions = st.tuples(numbers, numbers, numbers).map(lambda parts: "{}.{}.{}".format(*parts))


@pytest.mark.parametrize(
    ("previous", "level", "expected"),
    [
        ("1.2.3", Level.NONE, "1.2.3"),
        ("1.2.3", Level.PATCH, "1.2.4"),
        ("1.2.3", Level.MINOR, "1.3.0"),
        ("1.2.3", Level.MAJOR, "2.0.0"),
        ("0.2.3", Level.PATCH, "0.2.4"),
        ("0.2.3", Level.MAJOR, "0.3.0"),
        ("2.0.0-rc.1", Level.MAJOR, "2.0.0"),
    ],
)
def test_the_smallest_version_of_a_level(previous: str, level: Level, expected: str):
    assert deserved(previous, level) == expected


@pytest.mark.parametrize(
    ("previous", "level", "version", "enough"),
    [
        ("1.0.0", Level.PATCH, "1.0.0", False),
        ("1.0.0", Level.PATCH, "1.0.1", True),
        ("1.0.0", Level.PATCH, "1.1.0", True),
        ("1.0.0", Level.MINOR, "1.0.9", False),
        ("1.0.0", Level.MAJOR, "1.9.9", False),
        ("1.0.0", Level.MAJOR, "2.0.0-rc.1", True),
        ("1.0.0", Level.PATCH, "1.0.0-rc.1", False),
        ("2.0.0-rc.1", Level.MAJOR, "2.0.0", True),
        ("2.0.0-rc.2", Level.MAJOR, "2.0.0-rc.10", True),
        ("2.0.0-rc.2", Level.MAJOR, "2.0.0-rc.1", False),
        ("1.0.0", Level.NONE, "1.0.0", True),
        ("1.0.1", Level.NONE, "1.0.0", False),
    ],
)
def test_whether_a_version_is_enough(previous: str, level: Level, version: str, enough: bool):
    assert judge_version(previous, level, version).enough is enough


@given(versions, st.sampled_from(list(Level)))
def test_what_is_deserved_is_enough_and_nothing_before_it_is(previous: str, level: Level):
    smallest = deserved(previous, level)
    assert judge_version(previous, level, smallest).enough
    if level is not Level.NONE:
        assert not judge_version(previous, level, previous).enough


@given(versions, versions)
def test_a_graver_change_never_accepts_more(previous: str, version: str):
    accepted = [judge_version(previous, level, version).enough for level in (Level.PATCH, Level.MINOR, Level.MAJOR)]
    assert accepted == sorted(accepted, reverse=True)


def test_the_previous_release_is_that_of_the_line():
    tags = ["1.0.0", "1.0.1", "1.1.0", "1.0.1-dev", "2.0.0-rc.1", "latest", "1.0", "10.0.0"]
    assert highest(tags, "1.0.2") == "1.0.1"
    assert highest(tags, "2.0.0") == "1.1.0"
    assert highest(tags, "11.0.0") == "10.0.0"
    assert highest(tags, "0.9.0") is None
    assert highest(tags, "3.0.0", "dev") == "1.0.1"
    assert highest(tags, "1.1.0", below=True) == highest(tags, "1.1.0-rc.1", below=True) == "1.0.1"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0.1", "1.0.4"),
        ("1.4.0", "1.4.1"),
        ("2.0.0-rc.1", "2.0.0-rc.12"),
        ("2.0.0-rc.20", "2.0.0-rc.21"),
        ("2.1.0-rc.1", "2.1.0-rc.2"),
        ("2.0.0-rc1", "2.0.0-rc2"),
        # rc10 would be below rc9, for these are words.
        ("2.0.0-rc9", "2.0.0-rc9.1"),
        ("2.0.0-beta", "2.0.0-beta.3"),
        ("2.0.0-1", "2.0.0-2"),
    ],
)
def test_the_version_that_follows_one_that_is_taken(version: str, expected: str):
    tags = ["1.0.3-dev", "1.0.9-rc.1", "1.1.7", "2.0.0-rc.2", "2.0.0-rc.11-dev", "2.0.0-beta.2", "latest"]
    assert following(version, tags) == expected


def test_the_version_that_follows_is_above_all_of_its_word():
    assert following("1.0.0-rc1", ["1.0.0-rc9", "1.0.0-zz"]) == "1.0.0-rc9.1"
    assert following("1.0.0-rc1", ["1.0.0-rc9", "1.0.0-rc9.3"]) == "1.0.0-rc9.4"


@pytest.mark.parametrize(
    ("older", "newer", "same"),
    [
        ("1.0.0", "1.9.0", True),
        ("1.9.0", "2.0.0", False),
        ("0.1.0", "0.1.9", True),
        ("0.1.0", "0.2.0", False),
        ("0.1.0", "1.1.0", False),
    ],
)
def test_a_line_is_what_may_break_nothing(older: str, newer: str, same: bool):
    assert same_line(older, newer) is same


def test_a_version_that_ends_in_a_variant_is_refused():
    for version in ("1.0.1", "1.0.1-rc.1", "1.0.1-beta", "1.0.1-rc.10", "1.0.1-rc.0", "1.0.1-0a.b-rc1"):
        check_version(version)
    for version in ("1.0.1-dev", "1.0.1-rc.1-dev", "1.0.1-a-dev"):
        with pytest.raises(UsageError, match="which `publish` takes for the variant dev") as told:
            check_version(version)
        assert "1.0.1-rc.1" in (told.value.hint or "")


@pytest.mark.parametrize("version", ["1.0.1-rc.01", "1.0.1-00", "1.0.1-rc..1", "1.0.1-.", "1.0.1-rc."])
def test_a_prerelease_that_is_none_to_semver_is_refused(version: str):
    with pytest.raises(UsageError, match="SemVer, clause 9"):
        check_version(version)


def test_what_is_no_version_is_refused():
    with pytest.raises(UsageError, match=r"'1\.0' is not a version"):
        judge_version("1.0.0", Level.PATCH, "1.0")
