"""Whether a lock is still of its definition, and the sentence that says why it is not."""

import dataclasses

import pytest

from formation.lock.check import staleness
from formation.lock.lockfile import lock_text, parse_lock
from workshop import DEV, PACKAGES


def test_a_lock_is_of_the_definition_that_it_was_made_from(published):
    definition = published.define("curl", DEV)
    assert staleness(definition, published.lock(definition)) is None


def test_what_does_not_decide_the_packages_leaves_a_lock_fresh(published):
    lock = published.lock(published.define("curl"))
    assert staleness(published.define("curl", "labels: {a: b}\nenvironment: {X: y}\n"), lock) is None


@pytest.mark.parametrize(
    ("packages", "more", "reason"),
    [
        ("curl gdb", "", "it has no package for gdb, which runtime asks for"),
        ("libc6", "", "curl was removed from runtime"),
        ("gdb", "", "it has no package for gdb, which runtime asks for; curl was removed from runtime"),
        ("curl", DEV, "it has no package for clang, which dev asks for"),
        ("curl -libnghttp2-14", "", "runtime leaves out libnghttp2-14, and it has that"),
        ("curl=2.0", "", "runtime asks for curl=2.0, and it has 1.0 of stable"),
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
    assert (
        staleness(definition, forged) == "it has no packages for amd64; it is for arm64, which the definition dropped"
    )


def without(lock, *names):
    packages = {each: tuple(p for p in these if p.name not in names) for each, these in lock.packages.items()}
    return dataclasses.replace(lock, packages=packages)


def test_a_lock_that_lost_a_request_is_stale(published):
    definition = published.define("curl gdb", DEV)
    lock = published.lock(definition)
    gdb, clang = (staleness(definition, without(lock, name)) for name in ("gdb", "clang"))
    assert gdb is not None and gdb.startswith("it has no package for gdb, which runtime asks for")
    assert clang is not None and clang.startswith("it has no package for clang, which dev asks for")


def test_a_lock_of_before_virtual_packages_were_told_is_stale_for_that_reason(published):
    definition = published.define("curl awk")
    lock = published.lock(definition)
    packages = tuple(dataclasses.replace(each, requested_as=()) for each in lock.packages["amd64"])
    assert staleness(definition, dataclasses.replace(lock, packages={"amd64": packages})) == (
        "it has no package for awk, which runtime asks for "
        "(one of an older Formation does not tell which package stands for a virtual one)"
    )
    assert "older" not in (staleness(definition, without(lock, "curl")) or "")


def test_a_lock_with_a_package_that_is_left_out_is_stale(published):
    definition = published.define("curl -gdb")
    lock = published.lock(definition)
    packages = (*lock.packages["amd64"], dataclasses.replace(lock.packages["amd64"][-1], name="gdb"))
    reason = staleness(definition, dataclasses.replace(lock, packages={"amd64": packages}))
    assert reason == "runtime leaves out gdb, and it has that"


def test_a_request_that_went_is_told_by_the_name_that_was_asked_for(published):
    lock = published.lock(published.define("curl awk"))
    assert staleness(published.define("curl"), lock) == "awk was removed from runtime"


@pytest.mark.parametrize("packages", ["curl=1.0 browser", "browser curl/stable", "browser curl:amd64"])
def test_a_lock_is_of_the_definition_whichever_of_its_requests_of_a_package_comes_last(published, packages):
    published.publish({"curl": {"Provides": "browser"}}, suite="updates", version="1.1")
    published.publish({**PACKAGES, "curl": {**PACKAGES["curl"], "Provides": "browser"}})
    definition = published.define(packages, suites="stable, updates")
    assert staleness(definition, published.lock(definition)) is None


def test_a_virtual_package_of_another_suite_than_was_asked_for_is_told(published):
    published.publish({"curl": {"Provides": "browser"}}, suite="updates")
    definition = published.define("browser/updates", suites="stable, updates")
    lock = published.lock(definition)
    assert staleness(definition, lock) is None
    packages = tuple(dataclasses.replace(each, suite="stable") for each in lock.packages["amd64"])
    reason = staleness(definition, dataclasses.replace(lock, packages={"amd64": packages}))
    assert reason == "runtime asks for browser/updates, and it has 1.0 of stable"


def test_a_reason_that_holds_for_some_architectures_names_them(workshop):
    workshop.publish(architectures=("amd64", "arm64"))
    lock = workshop.lock(workshop.define("curl", "architectures: [amd64, arm64]\n"))
    now = workshop.define("curl gdb", "architectures: [amd64, arm64]\n")
    assert staleness(now, lock) == "it has no package for gdb, which runtime asks for"
    now = workshop.define("curl gdb:arm64", "architectures: [amd64, arm64]\n")
    assert staleness(now, lock) == "it has no package for gdb:arm64, which runtime asks for, on arm64"


def test_a_lock_with_another_version_or_suite_than_was_asked_for_is_stale(published):
    published.publish(version="1.1", suite="updates")
    definition = published.define("curl=1.0 libcurl4/stable gdb/updates", suites="stable, updates")
    lock = published.lock(definition)
    assert staleness(definition, lock) is None
    for name, changed in (("curl", {"version": "1.1"}), ("gdb", {"suite": "stable"})):
        packages = tuple(
            dataclasses.replace(each, **changed) if each.name == name else each for each in lock.packages["amd64"]
        )
        reason = staleness(definition, dataclasses.replace(lock, packages={"amd64": packages}))
        assert reason is not None and f"runtime asks for {name}" in reason


@pytest.mark.parametrize(
    ("runtime", "dev", "provider"),
    [
        ("awk", "clang", "mawk"),
        ("mawk awk", "clang", "mawk"),
        ("cookie", "clang", "base-files"),
        ("curl", "awk", "mawk"),
        ("curl", "cookie", "base-files"),
    ],
)
def test_a_virtual_package_that_was_asked_for_is_known_by_what_stands_for_it(published, runtime, dev, provider):
    published.publish({**PACKAGES, "base-files": {**PACKAGES["base-files"], "Provides": "cookie"}})
    more = f"variants:\n  dev: {{packages: [{dev}]}}\n"
    definition = published.define(runtime, more)
    lock = published.lock(definition)
    assert staleness(definition, lock) is None
    assert parse_lock(lock_text(lock), "formation.lock") == lock
    reason = staleness(definition, without(lock, provider))
    assert reason is not None and reason.startswith("it has no package for ")
    changed = published.define(runtime, f"recommends: true\n{more}")
    assert staleness(changed, lock) == "what decides its packages was changed in the definition"


def test_the_same_package_of_two_suites_meets_the_requests_of_two_variants(published):
    published.publish(suite="updates")
    more = "variants:\n  one: {packages: [gdb]}\n  two: {packages: [gdb/updates]}\n"
    definition = published.define("curl", more, suites="stable, updates")
    assert staleness(definition, published.lock(definition)) is None


def test_requests_for_one_architecture_and_minimal_variants_leave_a_lock_fresh(workshop):
    workshop.publish(architectures=("amd64", "arm64"))
    more = "architectures: [amd64, arm64]\nvariants:\n  tiny: {only: [curl]}\n"
    definition = workshop.define("curl gdb:arm64", more)
    lock = workshop.lock(definition)
    assert staleness(definition, lock) is None
    reason = staleness(definition, without(lock, "gdb"))
    assert reason is not None and reason.startswith("it has no package for gdb:arm64, which runtime asks for")
