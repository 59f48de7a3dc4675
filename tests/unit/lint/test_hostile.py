"""Files that nobody means well with: findings, never an exception, and fixes that only do what they say."""

import itertools
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockerfile_pieces import LIKE_DOCKERFILES
from formation.lint.dockerfile_syntax import LIMIT
from hostile import hostile
from linting import after_fix, findings, rules

KEYS = st.sampled_from(
    [
        "services", "image", "build", "context", "volumes", "environment", "user", "<<", "security_opt", "cap_drop",
        "cap_add", "spec", "kind", "template", "containers", "securityContext", "capabilities", "drop", "env", "name",
        "value", "path", "hostPath", "items", "healthcheck", "extends", "data", "jobTemplate", "runAsUser", "test",
        "source", "privileged", "volumeMounts", "mountPath",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(["root", "a:latest", "ALL", "host", "/", "${A:-b}", "$(x)", "Pod", "List"]),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{each}: &{each} [{','.join([f'*{before}'] * 7)}]\n" for before, each in itertools.pairwise("abcdefghi")
)


@hostile
@given(st.one_of(LIKE_DOCKERFILES, st.binary(max_size=300)))
def test_no_dockerfile_makes_an_exception(content):
    for each in findings(content):
        assert each.line >= 1 and each.column >= 1 and each.message.isprintable()


@hostile
@given(LIKE_DOCKERFILES)
def test_a_fix_is_final_and_adds_no_finding(content):
    fixed = after_fix(content)
    assert after_fix(fixed) == fixed
    fixable = [each for each in findings(fixed) if each.edits]
    assert fixable == []
    assert set(rules(fixed)) <= set(rules(content))


@hostile
@given(DATA, st.sampled_from(["compose", "Kubernetes"]), st.sampled_from([None, 2]))
def test_no_data_makes_an_exception(data, kind, indent):
    body = {"services": data} if kind == "compose" else None
    text = (
        json.dumps(body, indent=indent)
        if body
        else f"apiVersion: v1\nkind: Deployment\nspec: {json.dumps(data, indent=indent)}\n"
    )
    findings(text, kind)
    fixed = after_fix(text, kind)
    assert after_fix(fixed, kind) == fixed


@hostile
@given(st.sampled_from(["compose", "Kubernetes"]), st.binary(max_size=200))
def test_no_bytes_make_an_exception(kind, data):
    findings(b"services:\napiVersion: v1\nkind: Pod\n" + data, kind)
    findings(data, kind)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("services: &a [*a]\n", "stands inside what it names"),
        (BOMB, "more than 50000 values"),
        ("services: " + "[" * 5000 + "]" * 5000, "nested more than"),
        ("services: {a: {image: x}, a: {}}", "is there already"),
        ("services:\n  \xff", "not UTF-8"),
        ("services: {}\n---\n" * 600, "more than 500 documents"),
        ("services: {}\n#" + "x" * (1 << 20), "larger than 1 MiB"),
    ],
    ids=lambda value: value[:24],
)  # fmt: skip
def test_hostile_yaml_is_one_finding(text, reason):
    content = text.encode("latin-1")
    (found,) = findings(content, "compose")
    assert found.rule == "FL001" and reason in found.message


def test_tags_are_not_believed():
    assert rules("services: !!python/object:os.system {}\n", "compose") == []


def test_a_huge_dockerfile_is_one_finding():
    (found,) = findings(b"FROM a\n" * LIMIT)
    assert (found.rule, found.message) == ("FL001", "the file is larger than 4 MiB")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["RUN " + "a\\\n" * 40_000, "RUN <<" * 3000, "RUN " + "'" * 100_000, "ENV " + "a=b " * 30_000, "#\n" * 50_000,
     "RUN " + "apt-get install " * 8000, "USER " + "${A:-" * 20_000, "COPY " + "a " * 50_000, "RUN " + "\\" * 100_000,
     "RUN " + "https://a:" * 9000, "LABEL " + "a" * 100_000, "RUN " + '"' * 99_999, "RUN " + "$(" * 50_000],
    ids=lambda line: repr(line[:12]),
)  # fmt: skip
def test_a_long_instruction_takes_memory_in_proportion(line):
    tracemalloc.start()
    try:
        findings("FROM formation/base:1.0.0\n" + line)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_invalid_utf_8_is_found_and_kept(tmp_path):
    (tmp_path / "b").touch()
    content = b"FROM formation/base:1.0.0\nUSER formation\nLABEL a=\xff\nADD b /b\nHEALTHCHECK CMD x\n"
    assert rules(content) == ["FL001", "FL040"]
    fixed = after_fix(content, directory=tmp_path)
    assert fixed.encode("utf-8", "surrogateescape") == content.replace(b"ADD", b"COPY")
