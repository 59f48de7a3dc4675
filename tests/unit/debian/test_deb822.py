"""Control files: stanzas, fields, folded values; and files that are none."""

import pytest

from formation.debian.deb822 import Stanza, parse_stanza, parse_stanzas
from formation.errors import MalformedError

TWO = b"""\
Package: a
Description: one line
 and more
 .
 text

Package: b
Version: 1
"""


def test_stanzas_come_in_order_with_their_fields_in_order():
    first, second = parse_stanzas(TWO)
    assert list(first) == ["Package", "Description"]
    assert dict(second) == {"Package": "b", "Version": "1"}


def test_a_folded_value_keeps_its_lines():
    stanza = next(parse_stanzas(TWO))
    assert stanza["Description"] == "one line\n and more\n .\n text"


def test_a_field_is_found_whatever_its_case():
    stanza = parse_stanza(b"Multi-arch: same\n")
    assert stanza["Multi-Arch"] == stanza["MULTI-ARCH"] == "same"
    assert "multi-arch" in stanza
    assert list(stanza) == ["Multi-arch"]


def test_a_stanza_is_written_as_it_was_read():
    text = "Package: a\nConffiles:\n /etc/a 0123\n /etc/b 4567\nVersion: 1\n"
    assert str(parse_stanza(text.encode())) == text


def test_white_space_around_values_and_between_stanzas_does_not_count():
    stanzas = list(parse_stanzas(b"\n\nA:  x \t\r\nB:\ty\n \t\n\n\nA: z\n\n"))
    assert [dict(stanza) for stanza in stanzas] == [{"A": "x", "B": "y"}, {"A": "z"}]


def test_an_empty_file_has_no_stanza():
    assert list(parse_stanzas(b"")) == list(parse_stanzas(b"\n \n")) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no fields"),
        (b"A: 1\n\nB: 2\n", "more than one stanza"),
        (b"no colon here\n", "not a field"),
        (b" continued\nA: 1\n", "not a field"),
        (b"#comment: 1\n", "not a field"),
        (b"-A: 1\n", "not a field"),
        (b"A: 1\na: 2\n", "twice"),
        (b"A: \xff\n", "UTF-8"),
        (b"".join(b"F%d: x\n" % number for number in range(600)), "more than 500 fields"),
        (b"A: " + b"x" * (5 << 20), "larger than"),
    ],
)
def test_what_is_no_stanza_is_malformed(data, reason):
    with pytest.raises(MalformedError, match=reason):
        parse_stanza(data)


def test_a_stanza_can_be_made_of_fields():
    assert str(Stanza({"Package": "a", "Version": "1"})) == "Package: a\nVersion: 1\n"
