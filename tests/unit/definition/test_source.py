"""YAML text as plain data with positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.definition.source import ALIASES, LIMIT, Position, read_source
from formation.errors import DefinitionError


def data(text: str):
    return read_source("test.yaml", text.encode()).data


def test_only_true_false_decimal_numbers_and_null_are_more_than_text():
    text = (
        "[true, False, 12, -3, 0, ~, null, no, on, 1.0, 0750, 0o750, 0x1f, 1_000, 12:30, 2026-01-01, 1e3, .inf, =, <<]"
    )
    assert data(text) == [
        *(True, False, 12, -3, 0, None, None),
        *("no", "on", "1.0", "0750", "0o750", "0x1f", "1_000", "12:30", "2026-01-01", "1e3", ".inf", "=", "<<"),
    ]


def test_files_of_others_have_the_booleans_of_yaml_1_1_unless_they_are_quoted():
    text = b"[yes, Yes, YES, y, on, ON, no, No, NO, N, off, Off, yEs, 'no', \"on\", !!str yes]"
    assert read_source("test.yaml", text, foreign=True).data == [*[True] * 6, *[False] * 6, "yEs", "no", "on", "yes"]
    assert read_source("test.yaml", b"{on: off}", foreign=True).data == {"on": False}


def test_quotes_make_text_of_everything():
    assert data("['true', \"12\", '~', '']") == ["true", "12", "~", ""]


def test_a_key_is_text_as_it_is_written():
    assert data("{on: 1, 12: 2, true: 3, ~: 4}") == {"on": 1, "12": 2, "true": 3, "~": 4}


def test_every_value_knows_its_line_and_column():
    source = read_source("test.yaml", b"# comment\nusers:\n  - name: one\n  - name: two\n    shell: /bin/sh\n")
    assert source.position(("users", 1, "shell")) == Position(5, 5)
    assert source.position(("users", 0)) == Position(3, 5)


def test_a_value_that_is_not_there_is_where_its_parent_is():
    source = read_source("test.yaml", b"users:\n  - name: one\n")
    assert source.position(("users", 0, "shell", 3)) == source.position(("users", 0))


def test_an_alias_repeats_its_anchor_at_its_own_place():
    source = read_source("test.yaml", b"one: &a {x: [1]}\ntwo: *a\n")
    assert source.data == {"one": {"x": [1]}, "two": {"x": [1]}}
    assert source.position(("two", "x", 0)).line == 2


def test_a_byte_order_mark_is_passed_over():
    assert read_source("test.yaml", b"\xef\xbb\xbfkind: base\n").data == {"kind": "base"}


@pytest.mark.parametrize(
    ("first", "last"),
    [(0x0, 0x8), (0xB, 0xC), (0xE, 0x1F), (0x7F, 0x84), (0x86, 0x9F), (0xFEFF, 0xFEFF), (0xFFFE, 0xFFFF)],
)
def test_exactly_the_characters_that_yaml_has_may_appear(first: int, last: int):
    for number in {first, last}:
        with pytest.raises(DefinitionError, match=rf"yaml:1:4: the character U\+{number:04X} may not appear in YAML"):
            data(f"a: {chr(number)}")
    for number in {first - 1, last + 1} - {-1}:
        # At the end, because some of these are line breaks.
        assert data(f"a: b{chr(number)}")


def test_a_file_over_the_limit_is_refused():
    with pytest.raises(DefinitionError, match=r"test\.yaml:1:1: the file is larger than 1 MiB"):
        read_source("test.yaml", b"#" * (LIMIT + 1))


def test_more_aliases_than_a_person_writes_are_refused():
    with pytest.raises(DefinitionError, match=f"more than {ALIASES} aliases"):
        data("a: &a 1\nb: [" + ", ".join(["*a"] * (ALIASES + 1)) + "]\n")


def test_brackets_without_end_do_not_exhaust_the_stack():
    with pytest.raises(DefinitionError, match=r"test\.yaml:1:\d+: nested more than"):
        data("[" * 500_000)


def test_the_parser_without_libyaml_reads_the_same(monkeypatch: pytest.MonkeyPatch):
    import yaml

    text = b"a: &x [true, 0750, 'q']\nb: *x\nc: |\n  text\n"
    fast = read_source("test.yaml", text)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    slow = read_source("test.yaml", text)
    assert (slow.data, slow.positions) == (fast.data, fast.positions)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?~ \n\t\r01é\x07", max_size=60) | st.text(max_size=40))
def test_any_text_is_data_or_an_error_with_a_place(text: str):
    try:
        read_source("test.yaml", text.encode("utf-8", "surrogatepass"))
    except DefinitionError as error:
        assert error.message.startswith("test.yaml:")


@given(st.binary(max_size=60))
def test_any_bytes_are_data_or_an_error_with_a_place(content: bytes):
    try:
        read_source("test.yaml", content)
    except DefinitionError as error:
        assert error.message.startswith("test.yaml:")
