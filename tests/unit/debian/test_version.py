"""Debian versions, in the order that dpkg itself gives them."""

import itertools
import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.debian.version import compare, satisfies
from formation.errors import MalformedError

# Each older than the next; pairs with = are the same version.
ORDERED = [
    "0~~",
    "0~~a",
    "0~",
    "0",
    "0+",
    "0.0~",
    "0.0",
    "0.1",
    "1~rc1",
    "1~rc1-1",
    "1",
    "1-0+deb13u1",
    "1-1~bpo12+1",
    "1-1",
    "1-1+b1",
    "1-1+b2",
    "1-1+b10",
    "1-1.1",
    "1a",
    "1a1",
    "1z",
    "1+",
    "1+dfsg",
    "1.",
    "1.0.1",
    "1.2~alpha",
    "1.2",
    "1.10",
    "10",
    "2025a-1",
    "2025b-0+deb13u1",
    "1:0",
    "1:0.5",
    "10:0",
]
SAME = [
    ("1", "1-0"),
    ("1", "0:1"),
    ("1.0", "1."),
    ("1.02", "1.2"),
    ("0001-0001", "1-1"),
    ("1:2", "01:2"),
    ("1~", "1~0"),
]

# From the archive: upstream versions with hyphens, epochs, long snapshots.
REAL = [
    "2:8.2.4913-1+b1",
    "1:3.16.0-1",
    "1.0.0~alpha.8-4+b3",
    "20250419",
    "0.0~git20190125.0.a3ebb8c-2",
    "9.20.11-4",
    "2.41-12",
    "1:9.20.11-4",
    "5:27.5.1+dfsg4-1",
    "1.5.7+dfsg-1",
    "2024a-4",
    "0.27.0-2+b1",
    "3.5.1-1+deb13u1",
    "1.4-1-2",
    "1.4-1",
    "2.10.0~rc.1",
    "2.10.0~rc1",
    "2.10.0",
    "99.0~1exp1",
    "1:99.0",
    "4.2.8p15+dfsg-2~1.2.2+dfsg1-4",
    "1.2.3-a.1",
]

OF_POLICY = re.compile(
    r"(?:[0-9]+:[0-9][A-Za-z0-9.+~:]*|[0-9][A-Za-z0-9.+~]*)"
    r"|(?:[0-9]+:[0-9][A-Za-z0-9.+~:-]*|[0-9][A-Za-z0-9.+~-]*)-[A-Za-z0-9.+~]+"
)
"""`[epoch:]upstream[-revision]`, as the policy has it (5.6.12)."""
WORDS = st.text(alphabet="0123456789abzAZ.+~", max_size=8)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}0{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "12:"]),
    st.one_of(WORDS, st.builds("{}-{}".format, WORDS, WORDS)),
    st.one_of(st.just(""), st.builds("-0{}".format, WORDS)),
).filter(OF_POLICY.fullmatch)


def dpkg_compares(pairs):
    """-1, 0 or 1 for each pair, from one shell that asks dpkg about all of them."""
    if shutil.which("dpkg") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have dpkg")
        pytest.skip("dpkg is not installed")
    script = 'while read -r a b; do for o in lt eq gt; do dpkg --compare-versions "$a" $o "$b" && echo $o; done; done'
    text = "".join(f"{a} {b}\n" for a, b in pairs)
    done = subprocess.run(["sh", "-c", script], input=text, capture_output=True, text=True, check=False)
    return [{"lt": -1, "eq": 0, "gt": 1}[answer] for answer in done.stdout.split()]


@pytest.mark.parametrize(("older", "newer"), list(itertools.pairwise(ORDERED)))
def test_each_version_is_older_than_the_next(older, newer):
    assert compare(older, newer) == -1
    assert compare(newer, older) == 1


@pytest.mark.parametrize(("a", "b"), SAME)
def test_versions_may_differ_as_text_and_be_the_same(a, b):
    assert compare(a, b) == 0


@pytest.mark.slow
def test_the_order_is_the_order_of_dpkg():
    versions = [*ORDERED, *REAL]
    pairs = [(a, b) for i, a in enumerate(versions) for b in versions[i + 1 :: 3]]
    assert [compare(a, b) for a, b in pairs] == dpkg_compares(pairs)


@given(st.lists(st.tuples(VERSIONS, VERSIONS), min_size=1, max_size=3))
def test_any_pair_has_the_order_of_dpkg(pairs):
    assert [compare(a, b) for a, b in pairs] == dpkg_compares(pairs)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_is_total(a, b, c):
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@pytest.mark.parametrize(
    ("operator", "accepted"),
    [("<<", ["1"]), ("<=", ["1", "2"]), ("=", ["2"]), (">=", ["2", "3"]), (">>", ["3"]), (None, ["1", "2", "3"])],
)
def test_an_operator_accepts_the_versions_that_dpkg_accepts(operator, accepted):
    assert [version for version in ("1", "2", "3") if satisfies(version, operator, "2")] == accepted


def test_an_unknown_operator_is_malformed():
    with pytest.raises(MalformedError, match="not an operator"):
        satisfies("1", "!=", "1")


def test_an_endless_version_is_refused():
    with pytest.raises(MalformedError, match="longer than"):
        compare("1", "1" * 5000)
