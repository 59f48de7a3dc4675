"""Text as Markdown that means nothing but itself, and which lines of a document are headings."""

import pytest

from formation.release.markdown import before_link_references, escaped, headings


def test_nothing_of_a_text_is_taken_for_markdown():
    assert escaped("/srv/__init__ a_b [x](y) <i> 1~rc1 2~rc2 &lt; # |\n") == (
        r"/srv/\_\_init\_\_ a\_b \[x\](y) \<i\> 1\~rc1 2\~rc2 \&lt; \# \|�"
    )


def test_headings_have_a_place_a_level_and_a_title():
    found = headings("\ufeff# One #1\r\n### Three\r\n\r\n  ##\tTwo\r\n#none\r\n    ## code\r\n##")
    assert [(each.start, each.line, each.level, each.title) for each in found] == [
        (1, 1, 1, "One #1"),
        (11, 2, 3, "Three"),
        (24, 4, 2, "Two"),
        (54, 7, 2, ""),
    ]


def test_paragraphs_that_are_underlined_are_headings():
    text = "Title\r\n=====\r\n\r\n[1.0.0] -\r\nplanned\r\n  -  \r\n"
    assert [(each.start, each.line, each.level, each.title) for each in headings(text)] == [
        (0, 1, 1, "Title"),
        (16, 4, 2, "[1.0.0] - planned"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "text\n\n---\n",
        "- item\n---\n",
        "- item\ngoes on\n---\n",
        "> said\n---\n",
        "---\n---\n",
        "    code\n---\n",
        "[a]: b\n---\n",
        "text\n- - -\n",
        "---\ntitle: 1.0.0\n---\n",
        "```\ntext\n```\n---\n",
    ],
)
def test_lines_below_other_things_underline_nothing(text: str):
    assert headings(text) == ()


@pytest.mark.parametrize(
    "block",
    [
        "```\n## 1\n```",
        "~~~ text\n```\n## 1\n~~~~",
        "````markdown\n```\n## 1\n```\n## 1\n````  ",
        "- ```\n  ## 1\n  ```",
        "1. - ~~~\n     ~~~",
        "```\n## 1\n``` no end\n## 1\n```",
        "<!--\n## 1\n-->",
        "<!-- planned\n```\n## 1\n-->",
        "  <!-- one line -->",
        "```\n<!--\n```",
    ],
)
def test_what_looks_like_a_heading_in_a_block_of_code_or_a_comment_is_none(block):
    assert [each.title for each in headings(f"# a\n{block}\n# b\n")] == ["a", "b"]


@pytest.mark.parametrize("line", ["``` not ` opened", "Text <!-- goes on", "`<!--`", "    ```", "``"])
def test_what_opens_nothing_hides_no_heading(line):
    assert [each.title for each in headings(f"{line}\n# b\n")] == ["b"]


def test_the_definitions_of_links_at_the_end_are_found():
    text = "# a\n[x]: y\nText\n\n"
    assert before_link_references(f"{text}[b]: c\n\n[1.0.1]: https://example.com\r\n\n") == len(text)
    assert before_link_references(text) == len(text)
    fenced = "```\n[b]: c\n```\n"
    assert before_link_references(fenced) == len(fenced)
