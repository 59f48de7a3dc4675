"""Whether a lock is still of its definition, and the sentence that says why it is not."""

import dataclasses

import pytest

from formation.lock.check import staleness
from workshop import DEV


def test_a_lock_is_of_the_definition_that_it_was_made_from(published):
    definition = published.define("curl", DEV)
    assert staleness(definition, published.lock(definition)) is None


def test_what_does_not_decide_the_packages_leaves_a_lock_fresh(published):
    lock = published.lock(published.define("curl"))
    assert staleness(published.define("curl", "labels: {a: b}\nenvironment: {X: y}\n"), lock) is None


@pytest.mark.parametrize(
    ("packages", "more", "reason"),
    [
        ("curl gdb", "", "gdb was added to runtime"),
        ("libc6", "", "curl was removed from runtime"),
        ("gdb", "", "gdb was added to runtime; curl was removed from runtime"),
        ("curl", DEV, "clang was added to dev"),
        ("curl -libnghttp2-14", "", "-libnghttp2-14 was added to runtime"),
        ("curl=2.0", "", "runtime now asks for curl=2.0, and the lock has 1.0 of stable"),
        ("curl", "recommends: true\n", "what decides its packages was changed in the definition"),
        ("curl", "architectures: [amd64, arm64]\n", "it has no packages for arm64"),
        (
            "curl",
            "architectures: [arm64]\n",
            "it has no packages for arm64; it is for amd64, which the definition dropped",
        ),
    ],
)
def test_the_reason_names_what_was_changed(published, packages, more, reason):
    lock = published.lock(published.define("curl"))
    assert staleness(published.define(packages, more), lock) == reason


def test_a_variant_that_went_is_named(published):
    lock = published.lock(published.define("curl", DEV))
    assert staleness(published.define("curl"), lock) == "its variant dev is not in the definition"


def test_suites_that_came_and_went_are_named(published):
    published.publish({}, suite="updates")
    lock = published.lock(published.define("curl"))
    assert staleness(published.define("curl", suites="stable, updates"), lock) == "the suite updates of local was added"
    assert (
        staleness(published.define("curl", suites="updates"), lock)
        == "the suite updates of local was added; the suite stable of local was removed"
    )


def test_an_archive_that_moved_is_named(published):
    lock = published.lock(published.define("curl"))
    published.url = published.url.replace("127.0.0.1", "localhost")
    assert staleness(published.define("curl"), lock) == f"local moved to {published.url}/archive"


def test_a_lock_with_a_copied_digest_does_not_pass(published):
    definition = published.define("curl", DEV)
    lock = published.lock(definition)
    forged = dataclasses.replace(lock, packages={"arm64": ()})
    assert staleness(definition, forged) == "it has no packages for amd64"
