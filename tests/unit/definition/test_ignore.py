"""Patterns of .dockerignore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.definition.ignore import Ignored
from formation.definition.problems import Invalid


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("*.bak", ["a.bak", ".bak"], ["a/b.bak", "a.bak2", "bak"]),
        ("**/*.bak", ["a.bak", "a/b/c.bak"], ["a.ba"]),
        ("a", ["a", "a/b", "a/b/c"], ["b/a", "ab"]),
        ("/a/./b/", ["a/b", "a/b/c"], ["a"]),
        ("a/**", ["a/b", "a/b/c"], ["b"]),
        ("a/**/z", ["a/z", "a/b/c/z"], ["a/b"]),
        ("?.c", ["a.c"], ["ab.c", "/.c"]),
        ("[a-c]x", ["ax", "cx"], ["dx"]),
        ("[^a]x", ["bx"], ["ax"]),
        (r"\*", ["*"], ["a"]),
        (r"[\]&]", ["]", "&"], ["a"]),
        ("a*b*c", ["abc", "axbxbxc"], ["acb", "ab"]),
        ("(a+)+.$", ["(a+)+.$"], ["a.x"]),
    ],
)
def test_a_pattern_matches_what_dockers_does(pattern: str, ignored: list[str], kept: list[str]):
    rules = Ignored([pattern])
    assert [path for path in ignored if path not in rules] == []
    assert [path for path in kept if path in rules] == []


def test_the_last_pattern_that_matches_decides():
    rules = Ignored(["docs", "!docs/keep.md", "docs/keep.md.bak"])
    assert "docs/a.md" in rules
    assert "docs/keep.md" not in rules
    assert "docs/keep.md.bak" in rules
    assert rules.has_exceptions


@pytest.mark.parametrize("pattern", ["", "!", "/", "../a", "a/../b", "a**", "[", "[]", "a\\", "[z-a]", "a\nb", "#a"])
def test_what_is_no_pattern_is_refused(pattern: str):
    with pytest.raises(Invalid):
        Ignored([pattern])


def test_a_hostile_pattern_is_not_slow():
    rules = Ignored(["*a" * 100 + "b", "/".join(["**", "*"] * 60)])
    assert "a" * 255 not in Ignored(["*a" * 100 + "b"])
    assert "/".join(["a" * 255] * 10) not in rules


@given(st.text(alphabet="ab*?[]!^-\\/.", max_size=12), st.text(alphabet="ab./", min_size=1, max_size=8))
def test_any_text_is_a_pattern_or_refused(pattern: str, path: str):
    try:
        rules = Ignored([pattern])
    except Invalid:
        return
    assert (path in rules) in (True, False)
