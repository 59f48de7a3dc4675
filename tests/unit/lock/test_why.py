"""The way from a package to the request that brought it in."""

import dataclasses

import pytest

from formation.errors import AnswerIsNo, UsageError
from formation.lock.why import why
from workshop import DEV


@pytest.fixture
def locked(published):
    definition = published.define("curl", DEV)
    return published.lock(definition), definition


def test_a_dependency_leads_back_to_the_line_of_its_request(locked):
    lock, definition = locked
    (reason,) = why(lock, definition, "libnghttp2-14")
    assert str(reason) == (f"libnghttp2-14 ← libcurl4 Depends ← curl Depends ← requested in {definition.shown_path}:7")
    assert (reason.architectures, reason.package.variants) == (("amd64",), ("runtime",))


def test_a_request_is_its_own_reason(locked):
    lock, definition = locked
    (reason,) = why(lock, definition, "curl")
    assert str(reason) == f"curl ← requested in {definition.shown_path}:7"


def test_an_essential_package_needs_no_request(locked):
    assert [str(reason) for reason in why(*locked, "mawk")] == ["mawk ← base-files Pre-Depends ← essential"]


def test_a_package_of_another_variant_leads_to_that_variant_s_request(locked):
    lock, definition = locked
    (reason,) = why(lock, definition, "libllvm")
    assert str(reason) == f"libllvm ← clang Depends ← requested in {definition.shown_path}:11"
    assert reason.package.variants == ("dev",)


def test_architectures_with_the_same_way_are_told_together(workshop):
    workshop.publish(
        {"aa": {"Architecture": "all", "Depends": "bb"}, "bb": {"Architecture": "all"}},
        architectures=("amd64", "arm64"),
    )
    definition = workshop.define("aa", "essential: false\narchitectures: [amd64, arm64]\n")
    (reason,) = why(workshop.lock(definition), definition, "bb")
    assert reason.architectures == ("amd64", "arm64")


def test_a_package_that_is_not_there_is_answered_with_similar_names(locked):
    with pytest.raises(AnswerIsNo, match="the lock has no package libcurl") as caught:
        why(*locked, "libcurl")
    assert caught.value.hint == "did you mean libcurl4 or curl?"


def test_a_source_package_is_answered_with_what_is_built_from_it(locked):
    with pytest.raises(AnswerIsNo) as caught:
        why(*locked, "nghttp2")
    assert caught.value.hint == "nghttp2 is the source of libnghttp2-14"


def test_a_circle_in_an_edited_lock_ends(locked):
    lock, definition = locked
    circle = tuple(
        dataclasses.replace(package, because="libcurl4 Depends") if package.name == "curl" else package
        for package in lock.packages["amd64"]
    )
    (reason,) = why(dataclasses.replace(lock, packages={"amd64": circle}), definition, "libcurl4")
    assert [link.name for link in reason.chain] == ["libcurl4", "curl"]


def test_a_package_that_is_left_out_is_told_with_the_line(published):
    definition = published.define("curl -clang")
    with pytest.raises(AnswerIsNo) as caught:
        why(published.lock(definition), definition, "clang")
    assert caught.value.message == (
        f"the lock has no package clang: runtime leaves it out, in {definition.shown_path}:8"
    )


def test_a_virtual_package_is_answered_with_what_stands_for_it(published):
    definition = published.define("awk")
    with pytest.raises(AnswerIsNo) as caught:
        why(published.lock(definition), definition, "awk")
    assert caught.value.hint == "awk is a virtual package, for which mawk stands"


def test_no_name_is_a_usage_error(locked):
    with pytest.raises(UsageError, match="the name of the package is empty"):
        why(*locked, "")
