"""Variables in configuration files."""

import pytest

from formation.definition.substitution import UnknownVariable, substituted


def test_a_variable_stands_for_its_value_and_nothing_else_changes():
    text = "zone ${zone}\n$HOME $(x) $$ ${zone}${zone} {zone}\n"
    assert substituted(text, {"zone": "a.b"}) == "zone a.b\n$HOME $(x) $$ a.ba.b {zone}\n"


def test_a_value_is_not_searched_again():
    assert substituted("${a}", {"a": "${b}", "b": "x"}) == "${b}"


def test_two_dollars_are_one():
    assert substituted("$${a} $$${a}", {"a": "x"}) == "${a} $${a}"


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("\n\n${zoen}", 3, "did you mean 'zone'?"),
        ("${}", 1, "variables here are zone; write $${ for ${ itself"),
        ("a\n${zone", 2, "write $${ for ${ itself"),
        ("${a\n}", 1, "write $${ for ${ itself"),
    ],
)
def test_what_has_no_value_is_told_with_its_line(text: str, line: int, hint: str):
    with pytest.raises(UnknownVariable) as caught:
        substituted(text, {"zone": "x"})
    assert (caught.value.line, caught.value.hint) == (line, hint)
