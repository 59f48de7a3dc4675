from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.errors import UsageError
from formation.oci.name import ImageName, Transport, check_layout_tag, mistyped, parse_name
from formation.oci.reference import Reference, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("formation/base:1.0.0", Reference("formation/base", "1.0.0", None)),
        ("formation/base", Reference("formation/base", "latest", None)),
        (f"formation/base@{DIGEST}", Reference("formation/base", None, DIGEST)),
        (f"formation/base:1@{DIGEST}", Reference("formation/base", "1", DIGEST)),
        ("localhost:5000/base", Reference("localhost:5000/base", "latest", None)),
        ("Registry.Example.com:5000/a/b:x", Reference("Registry.Example.com:5000/a/b", "x", None)),
        ("[::1]:5000/a:x", Reference("[::1]:5000/a", "x", None)),
        ("a__b.c---d", Reference("a__b.c---d", "latest", None)),
    ],
)
def test_a_reference_has_its_parts(text, expected):
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "a@", "a@sha256:12", "Formation/base", "/a", "a/", "a//b", "a:-x", "a" * 256, "a:" + "b" * 129,
     "../a", "a b", "a\n", "a:1\n", f"a@{DIGEST}\n", "a_-b", "ä"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(UsageError, match="is not an image reference"):
        parse_reference(text)


@given(st.text())
def test_any_text_is_a_reference_that_reads_back_or_a_usage_error(text):
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("reference", "canonical"),
    [
        ("debian:13", "docker.io/library/debian:13"),
        ("formation/base:1", "docker.io/formation/base:1"),
        ("localhost/base:1", "localhost/base:1"),
        ("example.com/base:1", "example.com/base:1"),
        ("host:5000/base:1", "host:5000/base:1"),
    ],
)
def test_the_canonical_form_names_the_host(reference, canonical):
    assert parse_reference(reference).canonical == canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("formation/base:1.0.0", ImageName(Transport.STORE, None, None, parse_reference("formation/base:1.0.0"))),
        ("localhost:5000/a:1", ImageName(Transport.STORE, None, None, parse_reference("localhost:5000/a:1"))),
        ("docker:dind", ImageName(Transport.STORE, None, None, parse_reference("docker:dind"))),
        ("oci:out", ImageName(Transport.LAYOUT, Path("out"), None, None)),
        ("oci:/a/b:1.0.0", ImageName(Transport.LAYOUT, Path("/a/b"), "1.0.0", None)),
        ("oci-archive:a.tar:x/y:1", ImageName(Transport.LAYOUT_ARCHIVE, Path("a.tar"), "x/y:1", None)),
        ("docker-archive:a.tar", ImageName(Transport.DOCKER_ARCHIVE, Path("a.tar"), None, None)),
        (
            "docker-archive:a.tar:h:5000/b:1",
            ImageName(Transport.DOCKER_ARCHIVE, Path("a.tar"), None, parse_reference("h:5000/b:1")),
        ),
        ("docker-daemon:b:1", ImageName(Transport.DOCKER_DAEMON, None, None, parse_reference("b:1"))),
        ("docker://h:5000/b:1", ImageName(Transport.REGISTRY, None, None, parse_reference("h:5000/b:1"))),
    ],
)
def test_a_name_has_its_transport_and_parts(text, expected):
    assert parse_name(text) == expected
    assert parse_name(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["containers-storage:x", "dir:/x", "oci:", "oci::x", "oci:dir:", "docker-archive:",
     "", "a\x1bb", "http://x"],
)  # fmt: skip
def test_a_name_that_is_not_accepted_is_answered_with_what_is(text):
    with pytest.raises(UsageError) as caught:
        parse_name(text)
    assert "docker-archive:FILE[:REF]" in caught.value.hint


def test_a_path_without_its_transport_gets_the_name_it_needs():
    with pytest.raises(UsageError) as caught:
        parse_name("./layout")
    assert caught.value.hint == "a layout is oci:./layout"


@given(st.text())
def test_any_text_is_a_name_or_a_usage_error(text):
    try:
        parse_name(text)
    except UsageError:
        pass


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("docker-damon:x", "docker-daemon:x"),
        ("docker-archiv:a.tar", "docker-archive:a.tar"),
        ("oci-archve:a.tar", "oci-archive:a.tar"),
        ("docker:x", "docker://x"),
    ],
)
def test_a_mistyped_transport_is_told_of(text, meant):
    assert mistyped(text) == f"did you mean {meant}?"


def test_a_name_of_no_transport_gets_its_own_hint():
    assert [mistyped(text) for text in ("formation/base:1.0.0", "debian:13", "docker-damon")] == [None] * 3
    with pytest.raises(UsageError) as caught:
        parse_name("docker-damon:formation/base:1")
    assert caught.value.hint == "did you mean docker-daemon:formation/base:1?"


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("docker://robot:s3cret@localhost:5611/acme/v:1.0.2", "localhost:5611"),
        ("docker://https://robot:s3cret@registry.example.com/v", "registry.example.com"),
        ("docker://robot:s3/cr@et@registry.example.com/v", "registry.example.com"),
        ("robot@registry.example.com/v", "registry.example.com"),
    ],
)
def test_a_login_in_a_reference_is_refused_and_not_shown(text, host):
    with pytest.raises(UsageError, match="a login does not belong into it") as caught:
        parse_name(text)
    assert "s3" not in caught.value.message
    assert f"podman login {host} (or docker login {host})" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text",
    ["https://me:s3cret@a.b/c", "dcoker:me:s3cret@a.b/c", "/me:s3cret@a.b/c", "me:s3cret@a\n"],
)
def test_no_message_about_a_name_shows_a_password(text):
    with pytest.raises(UsageError) as caught:
        parse_name(text)
    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "tag", ["1.0.0", "formation/base:1.0.0-dev", "latest_", "_x", "docker.io/a/b@sha256:0", "a--b+c"]
)
def test_a_tag_of_a_layout_can_be_written(tag):
    check_layout_tag(tag)


@pytest.mark.parametrize("tag", ["bad tag", "a\u00e9", "-x", "a//b", "a\tb", "a" * 200 + " ", "x*"])
def test_a_tag_that_other_tools_would_not_read_is_not_written(tag):
    with pytest.raises(UsageError, match="cannot be a tag in a layout"):
        check_layout_tag(tag)


def test_a_place_that_only_other_tools_know_is_told_for_source_and_target_alike():
    with pytest.raises(UsageError, match="images are neither read from dir: nor written to it"):
        parse_name("dir:/x")
