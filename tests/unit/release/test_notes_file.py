"""CHANGELOG.md: where an entry goes, and that nothing of what people wrote there is lost."""

from pathlib import Path

import pytest

from formation.errors import FormationError
from formation.release.notes_file import Placed, read_notes, with_entry, write_notes

NEW = "## 1.0.1 - 2026-11-23\n\nKeeps the contract of 1.0.0.\n"
MARKED = f"{NEW}\n<!-- formation release bb14a23daa1cd02d -->\n"
OLD = "## 1.0.0 - 2026-11-01\n\nFirst.\n"


def placed(text: str, new: str = NEW) -> str:
    """The changelog with the entry of 1.0.1, when it takes its place."""
    found = with_entry(text, "1.0.1", new)
    assert found.kept is None
    return found.text


def test_a_first_entry_gets_a_heading_above_it():
    assert placed("") == placed("\n") == f"# Changelog\n\n{MARKED}"


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("# Changelog\n\nText.\n\n", f"\n{OLD}"),
        ("# Changelog\n\n## Unreleased\n- x\n\n", f"\n{OLD}"),
        ("# Changelog\n\n## [Unreleased]\n- x\n\n", ""),
        ("", f"\n{OLD}"),
        ("\ufeff", f"\n{OLD}"),
        ("Text.\n\n", "\n# 1.0.0\n## Added\n- x\n"),
        ("# Unreleased\n## Added\n- x\n\n", "\n# 1.0.0\n"),
        ("# Changelog\n\n## About\nText.\n\n", f"\n{OLD}"),
        ("# Changelog\n\n", "\n## 2026-11-01\n"),
        # Neither the definitions of links nor a document that follows belong to what is above.
        ("# Changelog\n\n", "\n[1.0.0]: https://example.com\n"),
        ("# Changelog\n\n## Unreleased\n- x\n\n", "\n[Unreleased]: https://example.com\n"),
        ("# Changelog\n\n## Unreleased\n- x\n\n", "\n# Changelog of the tooling\n\n## 1.0.1\n- of the tooling\n"),
        # What is in blocks and comments is no entry, and no place.
        ("# Changelog\n\n```\n## 1.0.1\n```\n\n", f"\n{OLD}"),
        ("# Changelog\n\n~~~md\n## Unreleased\n## 1.0.0\n~~~\n\n", f"\n{OLD}"),
        ("# Changelog\n\n<!--\n## 1.0.1\n- template\n-->\n\n", f"\n{OLD}"),
        ("# Changelog\n\n", "\n## 1.0.1-rc.1\n"),
        ("# Changelog\n\n", "\n## [1.0.10]\n"),
    ],
)
def test_the_newest_is_above_and_what_is_not_released_above_it(above, below):
    assert placed(f"{above}{below.removeprefix(chr(10))}") == f"{above}{MARKED}{below}"


def test_what_does_not_end_in_an_empty_line_gets_one():
    assert placed("Text") == f"Text\n\n{MARKED}"
    assert placed(f"# Changelog\n{OLD}") == f"# Changelog\n\n{MARKED}\n{OLD}"


@pytest.mark.parametrize(
    "below",
    [
        "",
        f"\n{OLD}",
        "[1.0.1]: https://example.com/1.0.1\n",
        "\n# Changelog of the tooling\n\nText.\n\n## 1.0.1\n- of the tooling\n",
        "Written below.\n",
        "```\n## 1.0.1\n```\n",
    ],
)
def test_an_entry_of_formation_is_replaced_so_that_a_second_run_changes_nothing(below):
    text = f"# Changelog\n\n{MARKED}{below}"
    assert placed(text) == text
    changed = placed(text, NEW.replace("Keeps", "Still keeps"))
    assert changed == f"{placed('', NEW.replace('Keeps', 'Still keeps'))}{below}"
    assert placed(changed) == text


@pytest.mark.parametrize(
    "entry",
    [
        "## [1.0.1] - planned\n- Hand-written migration note\n",
        "## v1.0.1 (unreleased)\n- Hand-written migration note\n",
        "## 1.0.1\n",
        "## **1.0.1**: soon\n",
        "## Version 1.0.1 ##\n",
        "# 1.0.1\n",
        # Formation wrote no mark once, and what has one may have been changed since.
        NEW,
        MARKED.replace("Keeps", "Still keeps"),
        MARKED.replace("\n<!--", "- Hand-written migration note\n\n<!--"),
        MARKED.replace("2026-11-23", "2026-11-24"),
    ],
)
def test_an_entry_of_somebody_is_kept_as_it_is(entry):
    text = f"# Changelog\n\n{entry}\n{OLD}"
    found = with_entry(text, "1.0.1", NEW)
    assert (found.text, found.kept) == (text, 3)


def test_lines_end_as_those_of_the_file_do():
    def windows(text: str) -> str:
        return text.replace("\n", "\r\n")

    assert placed(windows(f"# Changelog\n\n{OLD}")) == windows(f"# Changelog\n\n{MARKED}\n{OLD}")
    assert placed(windows("Text\n[a]: b\n")) == windows(f"Text\n\n{MARKED}\n[a]: b\n")
    # However Git checks it out, the entry is known.
    assert placed(windows(MARKED), NEW.replace("Keeps", "K")) == windows(
        placed(f"{OLD}", NEW.replace("Keeps", "K")).removesuffix(f"\n{OLD}")
    )
    # One stray ending does not decide.
    assert placed(f"Text\r\n\n\n{OLD}") == f"Text\r\n\n\n{MARKED}\n{OLD}"


def test_what_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "CHANGELOG.md"
    assert read_notes(path) == ""
    write_notes(path, "é\n")
    assert read_notes(path) == "é\n"
    path.write_bytes(b"\xff")
    with pytest.raises(FormationError, match="not UTF-8"):
        read_notes(path)


def test_a_changelog_may_be_a_link_to_another_file(tmp_path):
    path, real = tmp_path / "CHANGELOG.md", tmp_path / "NEWS.md"
    real.write_text("# News\n")
    path.symlink_to("NEWS.md")
    assert read_notes(path) == "# News\n"
    write_notes(path, "# Newer\n")
    assert path.is_symlink() and real.read_text() == "# Newer\n"


NEW = "## 1.0.1 - 2026-11-30\n\n- new\n"


@pytest.mark.parametrize(
    "text",
    [
        "# Changelog\n\n- item\n  ```\n  code\n\n## 1.0.0\n\nold\n",
        "# Changelog\n\n```\ncode\n",
        "# Changelog\n\n<!-- todo\n",
        "# Changelog\n\n````\n```\n## 1.0.0\n",
    ],
)
def test_a_block_that_nobody_ends_does_not_have_an_entry_written_twice(text):
    once = with_entry(text, "1.0.1", NEW).text
    assert once.count("## 1.0.1") == 1
    assert with_entry(once, "1.0.1", NEW).text == once
    assert "## 1.0.0" not in text or once.index("## 1.0.1") < once.index("## 1.0.0")


@pytest.mark.parametrize("above", ["# Product\n\nabout\n\n", "## How to read\n\ntext\n\n", "# About\n\n## Of whom\n\n"])
@pytest.mark.parametrize("below", ["## 1.0.0\n\nold\n", ""])
def test_the_entry_goes_below_the_title_of_the_changelog(above, below):
    text = f"{above}# Changelog\n\n{below}"
    placed = with_entry(text, "1.0.1", NEW)
    assert placed.text.startswith(f"{above}# Changelog\n\n## 1.0.1")
    planned = f"{above}# Changelog\n\n## 1.0.1 - planned\n\n{below}"
    assert with_entry(planned, "1.0.1", NEW).text == planned


@pytest.mark.parametrize("line", ["-----", "=====", "-"])
def test_versions_may_be_underlined(line):
    old = f"1.0.0\n{line}\n\n- old\n"
    once = with_entry(f"Changelog\n=========\n\nUnreleased\n{line}\n\n- x\n\n{old}", "1.0.1", NEW)
    assert once.text.startswith(f"Changelog\n=========\n\nUnreleased\n{line}\n\n- x\n\n## 1.0.1")
    assert once.text.endswith(f"-->\n\n{old}")
    assert with_entry(once.text, "1.0.1", NEW) == once
    planned = f"Changelog\n=========\n\n1.0.1 - planned\n{line}\n- x\n\n{old}"
    assert with_entry(planned, "1.0.1", NEW) == Placed(planned, 4)


def test_an_entry_has_the_level_that_the_versions_of_the_file_have():
    new = "## 1.0.1 - 2026-11-30\n\n### Packages\n- a # b\n"
    for above in ("# Changelog\n\n## 1.x\n\n", "# Product\n\n## Unreleased\n\n- x\n\n", ""):
        old = "### 1.0.0\n\n#### Packages\n- old\n"
        once = with_entry(f"{above}{old}", "1.0.1", new)
        assert once.text.startswith(f"{above}### 1.0.1 - 2026-11-30\n\n#### Packages\n- a # b\n")
        assert once.text.endswith(f"-->\n\n{old}")
        assert with_entry(once.text, "1.0.1", new) == once
        assert with_entry(f"{above}### 1.0.1\n- x\n\n{old}", "1.0.1", new).kept is not None
    # Where versions are of the second level, deeper ones are parts of an entry.
    text = "# Changelog\n\n## 1.0.0\n\n### 1.0.1 brought\n- x\n"
    assert with_entry(text, "1.0.1", new).text.startswith("# Changelog\n\n## 1.0.1 - ")


@pytest.mark.parametrize("below", ["", "## 0.9.0\n\n- old\n", "## 0.9.0 Codename\n"])
def test_a_part_of_what_is_not_released_may_be_about_a_version(below):
    above = "# Changelog\n\n## Unreleased\n\n### 1.0.0 compatibility\n\n- x\n\n"
    once = with_entry(f"{above}{below}", "1.0.1", NEW).text
    assert once.startswith(f"{above}## 1.0.1")
    assert once.endswith(below)
    assert with_entry(once, "1.0.1", NEW).text == once


def test_parts_of_an_entry_that_cannot_be_deeper_headings_are_bold():
    new = "## 1.0.1 - 2026-11-30\n\n### Packages\n- a # b\n"
    for level, part in ((5, "###### Packages"), (6, "**Packages**")):
        old = f"{'#' * level} 1.0.0\n\n- old\n"
        once = with_entry(old, "1.0.1", new).text
        assert once.startswith(f"{'#' * level} 1.0.1 - 2026-11-30\n\n{part}\n- a # b\n")
        assert with_entry(once, "1.0.1", new).text == once
        assert with_entry(once, "1.0.2", new.replace("1.0.1", "1.0.2")).text.count("formation release") == 2
