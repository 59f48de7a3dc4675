"""Relationship fields: alternatives, versions, qualifiers, restrictions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.debian.package import Relation
from formation.debian.relation import alternatives_text, parse_provides, parse_relations, provisions_of
from formation.errors import MalformedError


def test_groups_and_alternatives_keep_their_order():
    groups = parse_relations("libc6 (>= 2.38), mawk | gawk (<< 3~) | awk:any", "amd64")
    assert groups == (
        (Relation("libc6", None, ">=", "2.38"),),
        (Relation("mawk"), Relation("gawk", None, "<<", "3~"), Relation("awk", "any")),
    )


@pytest.mark.parametrize(
    ("text", "relation"),
    [
        ("g++-14", Relation("g++-14")),
        ("a(=1)", Relation("a", None, "=", "1")),
        ("  a  ( >> 1:2-3 )  ", Relation("a", None, ">>", "1:2-3")),
        ("python3:native", Relation("python3", "native")),
        ("gcc:arm64 (<= 4)", Relation("gcc", "arm64", "<=", "4")),
        ("a (< 1)", Relation("a", None, "<=", "1")),
        ("a (> 1)", Relation("a", None, ">=", "1")),
    ],
)
def test_a_relation_is_read_as_apt_reads_it(text, relation):
    assert parse_relations(text, "amd64") == ((relation,),)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a [amd64]", True),
        ("a [i386 amd64]", True),
        ("a [i386]", False),
        ("a [!i386]", True),
        ("a [!amd64 !i386]", False),
        ("a [linux-any]", True),
        ("a [any-amd64]", True),
        ("a [hurd-any]", False),
        ("a [any]", True),
        ("a <!nocheck>", True),
        ("a <nocheck>", False),
        ("a <stage1> <!nodoc !nocheck>", True),
        ("a (>= 1) [amd64] <!nodoc>", True),
    ],
)
def test_restrictions_to_architectures_and_build_profiles_are_evaluated(text, kept):
    assert bool(parse_relations(text, "amd64")) == kept


def test_an_alternative_for_another_architecture_leaves_the_others():
    assert parse_relations("a [i386] | b, c [i386]", "amd64") == ((Relation("b"),),)


@pytest.mark.parametrize("text", ["", " ", ",", "a,", "a,,b", "\n a,\n b"])
def test_empty_relations_do_not_count(text):
    assert all(parse_relations(text, "amd64"))


@pytest.mark.parametrize(
    "text",
    ["a b", "(>= 1)", "a (1)", "a (>= )", "a (>= 1", "a || b", "a [", "a []", "a [!i386 amd64]", "a;b", "-a", "a:B"],
)
def test_what_is_no_relation_is_malformed(text):
    with pytest.raises(MalformedError):
        parse_relations(text, "amd64")


def test_an_endless_field_is_refused():
    with pytest.raises(MalformedError, match="more than 20000"):
        parse_relations("a," * 30_000, "amd64")


def test_a_provided_version_counts_only_when_it_is_exact():
    provides = parse_provides("a, b (= 2), c (>= 3)", "amd64")
    assert provides == (Relation("a"), Relation("b", None, "=", "2"))


def test_a_package_that_is_multi_arch_allowed_satisfies_dependencies_on_any():
    provides = parse_provides("python3-profiler, python3.13", "amd64")
    assert set(provisions_of("python3", "3.13.5-1", "allowed", provides)) == {
        ("python3:any", "3.13.5-1"),
        ("python3-profiler", None),
        ("python3-profiler:any", None),
        ("python3.13", None),
        ("python3.13:any", None),
    }


def test_a_package_that_provides_itself_adds_nothing():
    assert list(provisions_of("a", "1", "no", parse_provides("a, a (= 1)", "amd64"))) == []
    assert list(provisions_of("a", "1", "no", parse_provides("a (= 2)", "amd64"))) == [("a", "2")]


NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,10}", fullmatch=True)
RELATIONS = st.builds(
    lambda name, qualifier, bound: Relation(name, qualifier, *(bound or (None, None))),
    NAMES,
    st.sampled_from([None, "any", "native", "i386"]),
    st.one_of(st.none(), st.tuples(st.sampled_from(["<<", "<=", "=", ">=", ">>"]), st.just("1:2.3~rc1-4"))),
)


@given(st.lists(st.lists(RELATIONS, min_size=1, max_size=4).map(tuple), max_size=5).map(tuple))
def test_what_is_written_is_read_back(groups):
    assert parse_relations(", ".join(map(alternatives_text, groups)), "amd64") == groups


@given(st.text(max_size=60))
def test_any_text_is_relations_or_malformed(text):
    try:
        groups = parse_relations(text, "amd64")
    except MalformedError:
        return
    assert all(alternatives_text(group) for group in groups)
