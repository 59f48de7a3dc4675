"""From a definition and its archives to a lock."""

import dataclasses

import pytest

from archives import HOUR, make_archive
from debs import make_deb
from formation.definition.load import load_definition
from formation.digest import sha256
from formation.errors import (
    DefinitionError,
    IntegrityError,
    MalformedError,
    UnreachableError,
    UnresolvableError,
    UsageError,
)
from formation.lock.lockfile import lock_text, parse_lock
from formation.network import GoneError
from signed_archive import new_key, ring
from workshop import DEV, NOW, PACKAGES

TWO = "architectures: [amd64, arm64]\n"


def names(lock, variant="runtime", architecture="amd64"):
    return [package.name for package in lock.of(architecture, frozenset({variant}))]


def by_name(lock, architecture="amd64"):
    return {package.name: package for package in lock.packages[architecture]}


def test_a_lock_has_the_closure_of_the_requests_and_what_is_essential(published):
    lock = published.lock(published.define("curl"))
    assert names(lock) == ["base-files", "curl", "libc6", "libcurl4", "libnghttp2-14", "mawk"]


def test_each_package_has_the_digest_size_and_place_of_its_deb(published):
    package = by_name(published.lock(published.define("curl")))["libcurl4"]
    data = (published.directory / "served" / "archive" / package.path).read_bytes()
    assert (package.sha256, package.size) == (sha256(data), len(data))
    assert package.path == "pool/main/c/curl/libcurl4_1.0_amd64.deb"
    assert (package.archive, package.suite) == ("local", "stable")
    assert (package.source, package.source_version) == ("curl", "1.0")


def test_each_package_knows_why_it_is_there(published):
    packages = by_name(published.lock(published.define("curl")))
    assert packages["curl"].because == "requested"
    assert packages["libcurl4"].because == "curl Depends"
    assert packages["base-files"].because == "essential"
    assert packages["mawk"].because == "base-files Pre-Depends"
    essential = [name for name, package in packages.items() if package.essential]
    assert essential == ["base-files", "libc6", "mawk"]


def test_a_request_is_a_reason_for_what_an_essential_package_needs_too(published):
    packages = by_name(published.lock(published.define("mawk")))
    assert (packages["mawk"].because, packages["mawk"].essential) == ("requested", True)


def test_the_same_archive_gives_the_same_lock_at_any_time(published):
    definition = published.define("curl", DEV)
    first = published.lock(definition)
    assert published.lock(definition, previous=first) == first
    assert lock_text(published.lock(definition)) == lock_text(first)


def test_the_epoch_is_the_date_of_the_newest_suite(workshop):
    workshop.publish(age=7200)
    workshop.publish({}, suite="updates", age=60)
    lock = workshop.lock(workshop.define("curl", suites="stable, updates"))
    dates = [suite.date for suite in lock.suites]
    assert [suite.suite for suite in lock.suites] == ["stable", "updates"]
    assert dates[1] - dates[0] == 7140
    assert lock.epoch == dates[1]


def test_a_suite_is_locked_with_its_signer(published):
    (suite,) = published.lock(published.define("curl")).suites
    assert suite.signed_by == ring(published.key).fingerprints[0]
    in_release = published.directory / "served" / "archive" / "dists" / "stable" / "InRelease"
    assert suite.sha256 == sha256(in_release.read_bytes())
    assert (suite.uri, suite.components) == (f"{published.url}/archive", ("main",))


def test_what_a_lock_says_survives_its_text(published):
    lock = published.lock(published.define("curl", DEV))
    assert parse_lock(lock_text(lock), "formation.lock") == lock


def test_a_variant_adds_to_the_packages_of_what_it_extends(published):
    lock = published.lock(published.define("curl", DEV))
    assert names(lock, "dev") == ["clang", "libllvm"]
    assert "libc6" in names(lock, "runtime")
    assert {package.because for package in lock.of("amd64", frozenset({"dev"}))} == {"requested", "clang Depends"}


def test_a_package_that_two_variants_add_is_one_entry(published):
    more = DEV + "  debug:\n    packages:\n      - gdb\n"
    lock = published.lock(published.define("curl", more))
    assert by_name(lock)["libllvm"].variants == ("debug", "dev")
    assert by_name(lock)["gdb"].variants == ("debug",)
    assert [package.name for package in lock.packages["amd64"]].count("libllvm") == 1


def test_a_request_of_a_variant_counts_although_it_could_meet_an_essential_dependency(workshop):
    workshop.publish({**PACKAGES, "gawk": {"Provides": "awk"}})
    lock = workshop.lock(workshop.define("mawk", "variants:\n  dev:\n    packages:\n      - gawk\n"))
    assert (by_name(lock)["gawk"].because, by_name(lock)["gawk"].essential) == ("requested", False)


def test_a_variant_may_not_change_a_package_of_what_it_extends(workshop):
    workshop.publish({"aa": {"Depends": "bb"}, "bb": {}})
    workshop.publish({"bb": {}}, suite="next", version="2.0")
    more = "essential: false\nvariants:\n  dev:\n    packages:\n      - bb/stable\n"
    with pytest.raises(DefinitionError) as caught:
        workshop.lock(workshop.define("aa", more, suites="stable, next"))
    assert caught.value.message.endswith(
        "formation.yaml:12: runtime has bb 2.0, and dev, which extends it, would have 1.0"
    )
    assert caught.value.hint == "ask for it in runtime, so that both have the same"


def test_a_variant_may_not_leave_out_a_package_of_what_it_extends(workshop):
    workshop.publish({"aa": {"Recommends": "bb"}, "bb": {}, "cc": {}})
    more = "essential: false\nrecommends: true\nvariants:\n  dev:\n    packages: [cc, -bb]\n"
    with pytest.raises(DefinitionError, match=r"has bb 1\.0, and dev, which extends it, would go without it") as caught:
        workshop.lock(workshop.define("aa", more))
    assert (caught.value.hint or "").startswith("leave it out of runtime")


def test_a_variant_that_leaves_out_what_a_package_of_the_other_needs_is_told_so(workshop):
    workshop.publish({"aa": {"Depends": "bb"}, "bb": {}})
    more = "essential: false\nvariants:\n  dev:\n    packages: [-bb]\n"
    with pytest.raises(DefinitionError, match=r"yaml:11: runtime has bb 1\.0, and dev, .*, would go without it"):
        workshop.lock(workshop.define("aa", more))


def test_unknown_packages_are_all_told_with_file_line_and_similar_names(published):
    definition = published.define("curl libcurl-4 libc7")
    with pytest.raises(DefinitionError) as caught:
        published.lock(definition)
    file = definition.path
    assert caught.value.message == (
        f"{file}:8: no archive of the definition has a package libcurl-4\n    hint: did you mean libcurl4?\n"
        f"{file}:9: no archive of the definition has a package libc7\n    hint: did you mean libc6?"
    )


def test_a_single_unknown_package_has_its_hint_beside(published):
    with pytest.raises(DefinitionError) as caught:
        published.lock(published.define("crul"))
    assert caught.value.message.endswith("formation.yaml:7: no archive of the definition has a package crul")
    assert caught.value.hint == "did you mean curl?"


def test_unknown_exclusions_are_all_told_with_file_line_and_similar_names(published):
    with pytest.raises(DefinitionError) as caught:
        published.lock(published.define("curl -clagn -libnghttp2-14 -xyzzy"))
    file = published.base / "formation.yaml"
    assert caught.value.message == (
        f"{file}:8: no archive of the definition has a package clagn to leave out\n    hint: did you mean -clang?\n"
        f"{file}:10: no archive of the definition has a package xyzzy to leave out"
    )


def test_an_essential_package_cannot_be_left_out_where_the_essential_ones_are_wanted(workshop):
    workshop.publish({"bash": {"Essential": "yes"}, "curl": {}})
    definition = workshop.define("curl -bash")
    with pytest.raises(DefinitionError) as caught:
        workshop.lock(definition)
    assert caught.value.message == (
        f"{definition.path}:8: bash is essential, and what needs it does not say so (Debian Policy 3.8)"
    )
    assert "`essential: false`" in (caught.value.hint or "")
    assert names(workshop.lock(workshop.define("curl -bash", "essential: false\n"))) == ["curl"]


def test_an_exclusion_may_be_of_what_one_architecture_has(workshop):
    workshop.publish({"aa": {}, "bb": {"Architecture": "arm64"}}, architectures=("amd64", "arm64"))
    lock = workshop.lock(workshop.define("aa -bb", TWO + "essential: false\n"))
    assert names(lock) == names(lock, architecture="arm64") == ["aa"]


def test_an_exclusion_that_breaks_what_nobody_asked_for_is_told_with_its_line(workshop):
    workshop.publish({"dpkg": {"Essential": "yes", "Depends": "tar"}, "tar": {}, "jq": {}})
    with pytest.raises(UnresolvableError, match=r"formation\.yaml:8: for runtime on amd64, dpkg cannot be installed"):
        workshop.lock(workshop.define("jq -tar"))


def test_a_virtual_package_cannot_be_left_out(workshop):
    workshop.publish({"aa": {"Depends": "mta"}, "bb": {"Provides": "mta"}, "cc": {"Provides": "mta"}})
    with pytest.raises(DefinitionError) as caught:
        workshop.lock(workshop.define("aa -mta", "essential: false\n"))
    message = "formation.yaml:8: mta is a virtual package, and nothing is left out by it; bb, cc provide it"
    assert caught.value.message.endswith(message)
    assert caught.value.hint == "leave them out by their own names"


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("keys:", "components: [mian], keys:", UsageError, "has no component mian"),
        ("[stable]", "[stabel]", GoneError, "stabel/InRelease"),
    ],
)
def test_what_an_archive_does_not_have_is_told_with_file_and_line(published, old, new, error, message):
    file = published.define("curl").path
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(error, match=message) as caught:
        published.lock(load_definition(file))
    assert caught.value.message.startswith(f"{file}:5: ")
    assert caught.value.hint


def test_each_archive_is_told_with_its_own_line(published):
    file = published.define("curl").path
    text = file.read_text()
    first = next(line for line in text.splitlines(keepends=True) if "name: local" in line)
    second = first.replace("name: local", "name: second").replace("[stable]", "[nosuch]")
    file.write_text(text.replace(first, first + second))
    with pytest.raises(GoneError, match="nosuch/InRelease") as caught:
        published.lock(load_definition(file))
    assert caught.value.message.startswith(f"{file}:6: ")


def test_packages_that_do_not_go_together_name_the_request_and_its_line(workshop):
    workshop.publish({"aa": {"Depends": "bb"}, "bb": {"Conflicts": "cc"}, "cc": {}})
    with pytest.raises(UnresolvableError) as caught:
        workshop.lock(workshop.define("aa cc", "essential: false\n"))
    assert "formation.yaml:" in caught.value.message
    assert "for runtime on amd64" in caught.value.message


def test_a_version_and_a_suite_can_be_asked_for(workshop):
    workshop.publish({"aa": {}, "bb": {}})
    workshop.publish({"aa": {}, "bb": {}, "cc": {}}, suite="next", version="2.0")
    lock = workshop.lock(workshop.define("aa=1.0 bb/stable cc", "essential: false\n", suites="stable, next"))
    chosen = {name: (package.version, package.suite) for name, package in by_name(lock).items()}
    assert chosen == {"aa": ("1.0", "stable"), "bb": ("1.0", "stable"), "cc": ("2.0", "next")}


def test_a_version_that_no_archive_has_is_told_with_those_it_has(workshop):
    workshop.publish({"aa": {}})
    with pytest.raises(DefinitionError) as caught:
        workshop.lock(workshop.define("aa=3.0"))
    assert ":7: aa=3.0: no archive has that version; there is 1.0 (stable)" in caught.value.message


def test_a_package_that_is_left_out_is_not_chosen_to_meet_a_dependency(workshop):
    workshop.publish({"aa": {"Depends": "bb | cc"}, "bb": {}, "cc": {}})
    lock = workshop.lock(workshop.define("aa -bb", "essential: false\n"))
    assert names(lock) == ["aa", "cc"]


def test_recommended_packages_come_only_when_the_definition_says_so(workshop):
    workshop.publish({"aa": {"Recommends": "bb"}, "bb": {}})
    assert names(workshop.lock(workshop.define("aa", "essential: false\n"))) == ["aa"]
    lock = workshop.lock(workshop.define("aa", "essential: false\nrecommends: true\n"))
    assert by_name(lock)["bb"].because == "aa Recommends"


def test_each_architecture_has_its_own_packages(workshop):
    workshop.publish(
        {"aa": {"Depends": "data"}, "data": {"Architecture": "all"}, "only": {"Architecture": "arm64"}},
        architectures=("amd64", "arm64"),
    )
    lock = workshop.lock(workshop.define("aa only:arm64", TWO + "essential: false\n"))
    assert [(package.name, package.architecture) for package in lock.packages["amd64"]] == [
        ("aa", "amd64"),
        ("data", "all"),
    ]
    assert names(lock, architecture="arm64") == ["aa", "data", "only"]
    assert by_name(lock)["data"] == by_name(lock, "arm64")["data"]
    assert parse_lock(lock_text(lock), "formation.lock") == lock


def test_metadata_older_than_that_of_the_lock_before_is_refused(workshop):
    workshop.publish(age=HOUR)
    definition = workshop.define("curl")
    lock = workshop.lock(definition)
    workshop.publish(age=2 * HOUR)
    with pytest.raises(IntegrityError, match="replay"):
        workshop.lock(definition, previous=lock)
    assert workshop.lock(definition).epoch < lock.epoch


def test_a_suite_at_another_address_is_not_compared_with_the_lock_before(workshop):
    workshop.publish()
    definition = workshop.define("curl")
    lock = workshop.lock(definition)
    moved = tuple(dataclasses.replace(suite, uri="http://127.0.0.2/", date=2**40) for suite in lock.suites)
    assert workshop.lock(definition, previous=dataclasses.replace(lock, suites=moved)) == lock


def test_expired_metadata_is_refused(workshop):
    workshop.publish(age=2 * HOUR, valid_until=NOW - HOUR)
    with pytest.raises(IntegrityError, match="expired"):
        workshop.lock(workshop.define("curl"))


def test_an_archive_with_another_key_is_refused(published):
    other = new_key("other")
    (published.base / "archive.asc").write_text(str(other.extract_certificate()))
    with pytest.raises(IntegrityError, match="is signed by"):
        published.lock(published.define("curl"))


def test_an_index_that_is_not_what_was_signed_is_refused(published):
    for file in (published.directory / "served").rglob("Packages.xz"):
        file.write_bytes(b"x" * file.stat().st_size)
    for file in (published.directory / "served").rglob("by-hash/SHA256/*"):
        file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(IntegrityError):
        published.lock(published.define("curl"))


def test_a_missing_suite_is_unreachable(published):
    with pytest.raises(UnreachableError, match="InRelease"):
        published.lock(published.define("curl", suites="stable, missing"))


def test_a_component_that_the_suite_lacks_is_a_usage_error(published):
    archives = (
        f"archives:\n  - {{name: local, uri: '{published.url}/archive', suites: [stable], components: [mian], "
        "keys: [./archive.asc]}\n"
    )
    with pytest.raises(UsageError, match="has no component mian"):
        published.lock(published.define("curl", archives))


def two_archives(workshop):
    return (
        "archives:\n"
        f"  - {{name: local, uri: '{workshop.url}/archive', suites: [stable], keys: [./archive.asc]}}\n"
        f"  - {{name: private, uri: '{workshop.url}/private', suites: [toy], keys: [private.asc]}}\n"
    )


def test_a_private_archive_is_verified_with_its_own_key(workshop):
    workshop.publish()
    workshop.key = new_key("private")
    workshop.publish({"service": {"Depends": "libc6"}}, name="private", suite="toy")
    lock = workshop.lock(workshop.define("service", two_archives(workshop)))
    package = by_name(lock)["service"]
    assert (package.archive, package.suite) == ("private", "toy")
    assert lock.suites[0].signed_by != lock.suites[1].signed_by


def test_between_equal_versions_the_first_archive_wins(workshop):
    workshop.publish()
    workshop.publish({"curl": {}}, name="private", suite="toy")
    package = by_name(workshop.lock(workshop.define("curl", two_archives(workshop))))["curl"]
    assert (package.archive, package.suite) == ("local", "stable")


def test_an_archive_of_ubuntu_s_layout_is_locked_in_the_same_way(workshop):
    """Pockets share a codename, components are several, and indexes are compressed with gzip too."""
    main = make_deb(workshop.directory, "bash", architecture="amd64", fields={"Essential": "yes"})
    universe = make_deb(workshop.directory, "jq", architecture="amd64", version="1.7.1-3build1")
    where = workshop.directory / "served" / "ubuntu"
    for suite in ("noble", "noble-updates", "noble-security"):
        debs = {"main": [main], "universe": [universe] if suite == "noble" else []}
        make_archive(where, debs, suite=suite, codename="noble", key=workshop.key, compression="gz")
    workshop.base.mkdir()
    (workshop.base / "ubuntu.asc").write_bytes((where / "key.asc").read_bytes())
    archives = (
        f"archives:\n  - {{name: ubuntu, uri: '{workshop.url}/ubuntu', components: [main, universe], "
        "suites: [noble, noble-updates, noble-security], keys: [ubuntu.asc]}\n"
    )
    lock = workshop.lock(workshop.define("jq", archives))
    assert names(lock) == ["bash", "jq"]
    assert by_name(lock)["jq"].path == "pool/universe/j/jq/jq_1.7.1-3build1_amd64.deb"
    assert by_name(lock)["bash"].suite == "noble"


def test_an_index_that_is_none_is_named_by_its_address(workshop):
    workshop.publish({"odd": {"Version": "1 2"}})
    with pytest.raises(MalformedError) as caught:
        workshop.lock(workshop.define("odd"))
    place = f"{workshop.url}/archive/dists/stable/main/binary-amd64/Packages.xz"
    assert caught.value.message.startswith(f"{place}: a stanza of a Packages index has no valid Version field: ")
