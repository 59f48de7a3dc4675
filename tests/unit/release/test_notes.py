"""The entry of a release in CHANGELOG.md, and where it goes."""

from pathlib import Path

import pytest

from formation.errors import FormationError
from formation.release.levels import Level, Reason
from formation.release.notes import entry, read_notes, with_entry, write_notes
from formation.release.versions import judge_version

NEW = "## 1.0.1 - 2026-11-23\n\nKeeps the contract of 1.0.0.\n"
OLD = "## 1.0.0 - 2026-11-01\n\nFirst.\n"


def test_a_first_entry_gets_a_heading_above_it():
    assert with_entry("", "1.0.1", NEW) == f"# Changelog\n\n{NEW}"


def test_the_newest_is_above_and_what_is_not_released_above_it():
    assert with_entry(f"# Changelog\n\nText.\n\n{OLD}", "1.0.1", NEW) == f"# Changelog\n\nText.\n\n{NEW}\n{OLD}"
    text = f"# Changelog\n\n## Unreleased\n- x\n\n{OLD}"
    assert with_entry(text, "1.0.1", NEW) == f"# Changelog\n\n## Unreleased\n- x\n\n{NEW}\n{OLD}"
    assert (
        with_entry("# Changelog\n\n## [Unreleased]\n- x\n", "1.0.1", NEW)
        == f"# Changelog\n\n## [Unreleased]\n- x\n\n{NEW}"
    )


def test_an_entry_that_is_there_is_replaced_so_that_a_second_run_changes_nothing():
    text = with_entry(f"# Changelog\n\n{OLD}", "1.0.1", NEW)
    assert with_entry(text, "1.0.1", NEW) == text
    other = NEW.replace("Keeps", "Still keeps")
    assert with_entry(text, "1.0.1", other) == text.replace("Keeps", "Still keeps")
    assert with_entry("# Changelog\n\n## [v1.0.1] old\n", "1.0.1", NEW) == f"# Changelog\n\n{NEW}"


def test_an_entry_tells_what_broke_and_no_markdown_of_others_gets_in():
    reasons = [
        Reason(Level.MAJOR, "user-uid", "user app: uid 990 → 991"),
        Reason(Level.MINOR, "environment-added", "environment X: nothing → [a](b) <img>\n# y", "dev"),
        Reason(Level.PATCH, "package-upgraded", "openssl 1 → 2"),
    ]
    text = entry(judge_version("1.0.0", Level.MAJOR, "2.0.0"), "2.0.0", (), reasons, 1_795_392_000)
    assert text.splitlines() == [
        "## 2.0.0 - 2026-11-23",
        "",
        "Breaks the contract of 1.0.0: look at each item before a service moves.",
        "",
        "### Breaking",
        "- user app: uid 990 → 991",
        "",
        "### Added",
        r"- dev: environment X: nothing → \[a\](b) \<img\>�# y",
    ]


def test_what_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "CHANGELOG.md"
    assert read_notes(path) == ""
    write_notes(path, "é\n")
    assert read_notes(path) == "é\n"
    path.write_bytes(b"\xff")
    with pytest.raises(FormationError, match="not UTF-8"):
        read_notes(path)
