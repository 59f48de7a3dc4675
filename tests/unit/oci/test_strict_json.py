import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.errors import MalformedError
from formation.oci.strict_json import MAXIMUM_SIZE, JsonObject, parse_object, parse_objects

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
)

ACCESSORS = ("text", "optional_text", "size", "flag", "object", "objects", "texts", "text_map", "names")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 50_000, "not valid JSON"),
        (b'{"size": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "a key appears twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"[]", "it is no JSON object"),
        (b" " * (MAXIMUM_SIZE + 1), "are accepted"),
    ],
    ids=["deep-array", "deep-object", "huge-integer", "duplicate-key", "nan", "surrogate", "not-utf-8", "bom", "empty",
         "array", "too-large"],
)  # fmt: skip
def test_hostile_json_is_refused_with_a_reason(data, reason):
    with pytest.raises(MalformedError, match=reason):
        parse_object(data, "thing")


def test_a_valid_pair_of_surrogates_is_a_character():
    assert parse_object(b'{"a": "\\ud83d\\ude00"}', "thing").text("a") == "\U0001f600"


@given(st.binary())
def test_any_bytes_are_an_object_or_malformed(data):
    try:
        parse_object(data, "thing")
    except MalformedError:
        pass


@given(st.dictionaries(st.text(), JSON, max_size=5), st.sampled_from(ACCESSORS))
def test_every_accessor_gives_its_type_or_malformed(value, accessor):
    for key in [*value, "missing"]:
        try:
            found = getattr(JsonObject(value, "thing"), accessor)(key)
        except MalformedError as error:
            assert key in error.message
            continue
        expected = {"text": str, "size": int, "flag": bool, "object": JsonObject, "text_map": dict}
        assert isinstance(found, expected.get(accessor, (tuple, str, type(None))))


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_json_writes_is_read_back(value):
    assert parse_object(json.dumps(value).encode(), "thing").value == value


def test_a_message_names_the_place_of_the_wrong_field():
    objects = parse_objects(b'[{"a": {"b": 1}}]', "file")
    with pytest.raises(MalformedError, match=r"^file\[0\], a: b is not a string$"):
        objects[0].object("a").text("b")


def test_a_boolean_is_no_size():
    with pytest.raises(MalformedError):
        parse_object(b'{"size": true}', "thing").size("size")
