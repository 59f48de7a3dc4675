"""What is chosen for requests on small archives, each made for one rule of apt; and why something cannot be had."""

import random

import pytest

from formation.debian.index import parse_packages
from formation.debian.package import BinaryPackage
from formation.debian.request import PackageRequest
from formation.debian.resolver import Resolution, resolve
from formation.debian.universe import Universe
from formation.errors import UnresolvableError


def stanza(name: str, version: str = "1", **fields: str) -> str:
    defaults = {"Architecture": "amd64", "Filename": f"pool/{name}.deb", "Size": "1", "SHA256": "0" * 64}
    written = {field.replace("_", "-"): value for field, value in fields.items()}
    return "".join(
        f"{field}: {value}\n" for field, value in {"Package": name, "Version": version, **defaults, **written}.items()
    )


def universe(*stanzas: str, security: tuple[str, ...] = ()) -> Universe:
    suites = {"stable": stanzas, "security": security}
    indexes = [
        parse_packages("\n".join(texts).encode(), archive="debian", suite=suite) for suite, texts in suites.items()
    ]
    return Universe(indexes, architecture="amd64", priorities=[500, 500])


def request(text: str) -> PackageRequest:
    name, _, version = text.partition("=")
    name, _, suite = name.partition("/")
    return PackageRequest(name, version or None, suite or None)


def resolved(archive: Universe, *names: str, recommends: bool = False, **options) -> Resolution:
    return resolve(archive, [request(name) for name in names], recommends=recommends, **options)


def chosen(archive: Universe, *names: str, **options) -> list[str]:
    return [selected.package.name for selected in resolved(archive, *names, **options).packages]


def because(archive: Universe, *names: str, **options) -> dict[str, str]:
    return {selected.package.name: selected.because for selected in resolved(archive, *names, **options).packages}


def reason(archive: Universe, *names: str, **options) -> str:
    with pytest.raises(UnresolvableError) as raised:
        resolved(archive, *names, **options)
    return raised.value.message + (f"\nhint: {raised.value.hint}" if raised.value.hint else "")


def package(text: str) -> BinaryPackage:
    return parse_packages(text.encode(), archive="debian", suite="stable")[0]


def test_dependencies_are_followed_and_recommends_only_when_asked_for():
    archive = universe(
        stanza("a", Depends="b", Pre_Depends="c", Recommends="d", Suggests="e"),
        stanza("b", Depends="a"),
        *map(stanza, "cdef"),
    )
    assert chosen(archive, "a") == ["a", "b", "c"]
    assert chosen(archive, "a", recommends=True) == ["a", "b", "c", "d"]


def test_essential_packages_are_part_of_every_system():
    archive = universe(
        stanza("a"), stanza("base", Essential="yes", Pre_Depends="libc", Recommends="m"), stanza("libc"), stanza("m")
    )
    found = resolved(archive, "a", recommends=True)
    assert [(s.package.name, s.because, s.essential) for s in found.packages] == [
        ("a", "requested", False),
        ("base", "essential", True),
        ("libc", "base Pre-Depends", True),
        ("m", "base Recommends", False),
    ]
    assert chosen(archive, "a", essential=False) == ["a"]


def test_each_package_has_the_shortest_way_from_a_request():
    archive = universe(stanza("a", Depends="b, c"), stanza("b", Depends="c, d"), stanza("c"), stanza("d"), stanza("e"))
    assert because(archive, "a", "e") == {
        "a": "requested", "b": "a Depends", "c": "a Depends", "d": "b Depends", "e": "requested",
    }  # fmt: skip


def test_the_first_alternative_that_can_be_installed_is_taken():
    archive = universe(
        stanza("a", Depends="missing | broken | good | better"),
        stanza("broken", Depends="missing"),
        stanza("good"),
        stanza("better"),
    )
    assert chosen(archive, "a") == ["a", "good"]


def test_an_alternative_that_is_selected_already_is_enough():
    archive = universe(stanza("a", Depends="x | y"), stanza("x"), stanza("y"))
    assert chosen(archive, "a", "y") == ["a", "y"]
    assert chosen(archive, "y", "a") == ["a", "y"]


def test_a_real_package_comes_before_its_providers():
    archive = universe(stanza("a", Depends="x"), stanza("p", Provides="x", Priority="required"), stanza("x"))
    assert chosen(archive, "a") == ["a", "x"]


def test_providers_are_taken_by_priority_and_then_the_last_that_the_indexes_mention():
    archive = universe(
        stanza("a", Depends="mta"),
        stanza("p", Provides="mta", Priority="optional"),
        stanza("q", Provides="mta", Priority="standard"),
        stanza("r", Provides="mta", Priority="optional"),
        stanza("b", Depends="ftp"),
        stanza("s", Provides="ftp", Priority="optional"),
        stanza("t", Provides="ftp", Priority="optional"),
    )
    assert chosen(archive, "a") == ["a", "q"]
    assert chosen(archive, "b") == ["b", "t"]


def test_a_virtual_package_is_versioned_only_as_its_provider_says():
    archive = universe(
        stanza("a", Depends="x (>= 2)"),
        stanza("old", Provides="x (= 1)"),
        stanza("plain", "9", Provides="x"),
        stanza("new", Provides="x (= 2)"),
    )
    assert chosen(archive, "a") == ["a", "new"]


def test_any_is_satisfied_by_a_package_that_allows_it_only():
    python = stanza("a", Depends="python:any")
    assert chosen(universe(python, stanza("python", Multi_Arch="allowed")), "a") == ["a", "python"]
    assert "no archive has python:any" in reason(universe(python, stanza("python")), "a")


@pytest.mark.parametrize("qualifier", ["native", "amd64"])
def test_a_dependency_on_our_own_architecture_is_an_ordinary_one(qualifier):
    archive = universe(stanza("a", Depends=f"b:{qualifier}"), stanza("b", Architecture="all"))
    assert chosen(archive, "a") == ["a", "b"]


def test_packages_of_other_architectures_are_not_there():
    archive = universe(stanza("a", Depends="b"), stanza("b", Architecture="i386"), stanza("c", Depends="a:i386"))
    assert "no archive has b" in reason(archive, "a")
    assert "no archive has a:i386" in reason(archive, "c")


def test_the_highest_version_of_all_suites_is_the_candidate():
    archive = universe(stanza("a", "1-1"), security=(stanza("a", "1-1+deb13u1"),))
    assert [s.package.version for s in resolved(archive, "a").packages] == ["1-1+deb13u1"]


def test_between_equal_versions_the_first_index_wins():
    archive = universe(stanza("a"), security=(stanza("a"),))
    assert [s.package.suite for s in resolved(archive, "a").packages] == ["stable"]


@pytest.mark.parametrize("text", ["a=1", "a/stable"])
def test_a_request_can_name_a_version_or_a_suite(text):
    archive = universe(stanza("a", Provides="x (= 1)"), stanza("b", Depends="x (= 1)"), security=(stanza("a", "2"),))
    assert [s.package.version for s in resolved(archive, text).packages] == ["1"]
    assert chosen(archive, text, "b") == ["a", "b"]


def test_a_request_for_a_virtual_package_takes_the_only_provider():
    archive = universe(stanza("p", Provides="x"), stanza("q", Provides="y"), stanza("r", Provides="y"))
    assert chosen(archive, "x") == ["p"]
    assert "q, r provide it" in reason(archive, "y")


def test_a_choice_that_conflicts_with_a_request_is_not_made():
    archive = universe(stanza("a", Depends="x | y"), stanza("x", Conflicts="b"), stanza("y"), stanza("b"))
    assert chosen(archive, "a", "b") == ["a", "b", "y"]


def test_a_choice_that_a_later_request_rules_out_is_made_again_and_its_leftovers_go():
    archive = universe(
        stanza("a", Depends="x | y"), stanza("x", Depends="x-data"), stanza("x-data"), stanza("y"),
        stanza("b", Conflicts="x"),
    )  # fmt: skip
    assert chosen(archive, "a", "b") == ["a", "b", "y"]


def test_what_is_only_recommended_gives_way():
    archive = universe(stanza("a", Recommends="x"), stanza("x"), stanza("b", Breaks="x (<< 2)"))
    assert chosen(archive, "a", "b", recommends=True) == ["a", "b"]


def test_a_recommendation_that_cannot_be_met_does_not_matter():
    archive = universe(stanza("a", Recommends="x, missing"), stanza("x", Depends="missing"))
    assert chosen(archive, "a", recommends=True) == ["a"]


def test_a_package_may_conflict_with_what_it_provides_itself():
    archive = universe(stanza("a", Provides="mta", Conflicts="mta", Replaces="mta"), stanza("b", Depends="mta"))
    assert chosen(archive, "b") == ["a", "b"]


def test_a_package_that_is_left_out_is_never_chosen():
    archive = universe(stanza("a", Depends="x | y", Recommends="x"), stanza("x"), stanza("y"), stanza("b", Depends="x"))
    assert chosen(archive, "a", recommends=True, without=frozenset({"x"})) == ["a", "y"]
    assert "x is left out by the definition" in reason(archive, "b", without=frozenset({"x"}))
    assert "x is requested, and left out" in reason(archive, "x", without=frozenset({"x"}))


def test_what_is_left_out_is_told_where_it_is_wanted_by_another_name():
    archive = universe(
        stanza("perl", **{"Multi-Arch": "allowed"}),
        stanza("a", Depends="perl:any"),
        stanza("b", Depends="mta (>= 2)"),
        stanza("exim", Provides="mta (= 2)"),
        stanza("nullmailer", Provides="mta (= 1)"),
    )
    assert "\n    perl is left out by the definition" in reason(archive, "a", without=frozenset({"perl"}))
    told = reason(archive, "b", without=frozenset({"exim"}))
    assert "\n    mta is provided by nullmailer as 1; exim is left out by the definition" in told


def test_what_is_installed_stays_and_satisfies():
    archive = universe(stanza("a", Depends="x | y, z (>= 1)"), stanza("x"), stanza("y"), stanza("z", "2"))
    installed = [package(stanza("y", Recommends="x")), package(stanza("z", "1.5"))]
    found = resolved(archive, "a", installed=installed, recommends=True)
    assert [(s.package.name, s.package.version, s.because) for s in found.packages] == [
        ("a", "1", "requested"), ("y", "1", "installed"), ("z", "1.5", "installed"),
    ]  # fmt: skip


def test_what_is_installed_changes_only_on_request():
    archive = universe(stanza("a", Depends="z (>= 2)"), stanza("z", "2"))
    installed = [package(stanza("z", "1"))]
    assert "z 1 is installed and stays as it is" in reason(archive, "a", installed=installed)
    found = resolved(archive, "a", "z", installed=installed)
    assert [s.package.version for s in found.packages] == ["1", "2"]


def test_what_conflicts_with_the_installed_cannot_be_added():
    archive = universe(stanza("a", Conflicts="z"), stanza("b", Depends="a | c"), stanza("c"))
    installed = [package(stanza("z"))]
    assert "a 1 Conflicts: z" in reason(archive, "a", installed=installed)
    assert chosen(archive, "b", installed=installed) == ["b", "c", "z"]


def test_a_request_that_no_archive_has_gets_the_nearest_names():
    archive = universe(stanza("openssl"), stanza("openssh-client"))
    assert reason(archive, "openssll") == (
        "no archive of the definition has a package openssll\nhint: did you mean openssl?"
    )


def test_a_version_that_no_archive_has_gets_those_there_are():
    archive = universe(stanza("a", "1"), security=(stanza("a", "2"),))
    assert reason(archive, "a=3") == (
        "a=3: no archive has that version; there is 2 (security), 1 (stable)\nhint: request a=2"
    )


def test_a_suite_that_no_archive_has_is_told_with_those_there_are():
    archive = universe(stanza("a", "1"), security=(stanza("b", "2"),))
    assert reason(archive, "a/backports") == (
        "a/backports: no archive has the suite backports; there are stable, security\n"
        "hint: name an archive that has it under `archives:`"
    )


def test_a_suite_that_has_another_version_is_told_with_those_there_are():
    archive = universe(stanza("a", "1"), security=(stanza("b", "2"),))
    assert reason(archive, "a/security") == (
        "a/security: the suite security does not have it; there is 1 (stable)\nhint: request a/stable"
    )


def test_names_that_only_packages_write_get_no_hint():
    archive = universe(stanza("a", Depends="nothere | alsonot"), stanza("note"), stanza("nothere2"))
    assert reason(archive, "a").endswith("no archive has alsonot, and nothing provides it")


def test_a_missing_dependency_is_told_with_the_chain_from_the_request():
    archive = universe(stanza("a", Depends="b"), stanza("b", Depends="c | d"), stanza("c", Depends="e (>= 2)"),
                       stanza("e", "1.5"), stanza("good"))  # fmt: skip
    assert reason(archive, "good", "a") == (
        "a cannot be installed:\n"
        "  a 1 Depends: b\n"
        "    b 1 Depends: c | d\n"
        "      c 1 Depends: e (>= 2)\n"
        "        the archives have e 1.5\n"
        "      no archive has d, and nothing provides it"
    )


def test_a_version_that_would_do_and_is_not_chosen_is_told_with_its_suite():
    old = (stanza("a", "1", Depends="b (= 1)"), stanza("b", "1"), stanza("b", "2"))
    archive = universe(*old, security=(stanza("a", "2"), stanza("b", "2")))
    assert reason(archive, "a=1") == (
        "a cannot be installed:\n"
        "  a 1 Depends: b (= 1)\n"
        "    the archives have b 2 (not chosen: 1 of stable)\n"
        "hint: request b/stable as well"
    )
    # By its name alone, b was asked for in no version.
    assert reason(archive, "a=1", "b").endswith("\nhint: request b/stable")
    assert "hint" not in reason(archive, "a=1", "b=2")


def versions(archive: Universe, *names: str, **options) -> dict[str, str]:
    return {s.package.name: s.package.version for s in resolved(archive, *names, **options).packages}


def test_a_suite_that_is_named_gives_what_the_package_needs_as_well_where_the_candidate_would_not_do():
    needs = {"Depends": "b (= 1), c, d (>= 1)"}
    archive = universe(
        stanza("a", "1", **needs), stanza("b", "1", Depends="e (<< 2) | f"), stanza("c", "1"), stanza("d", "1"),
        stanza("e", "1"),
        security=(stanza("a", "2"), stanza("b", "2"), stanza("c", "2"), stanza("d", "2"), stanza("e", "2")),
    )  # fmt: skip
    assert versions(archive, "a/stable") == {"a": "1", "b": "1", "c": "2", "d": "2", "e": "1"}
    # What was asked for in one version or suite stays, and what was asked for by its name alone does not.
    assert "a 1 Depends: b (= 1)" in reason(archive, "a/stable", "b=2")
    assert "a 1 Depends: b (= 1)" in reason(archive, "b/security", "a/stable")
    assert versions(archive, "a/stable", "b", "c") == {"a": "1", "b": "1", "c": "2", "d": "2", "e": "1"}


def test_a_suite_that_is_named_and_lacks_what_a_recommended_package_needs_changes_nothing_for_others():
    archive = universe(
        stanza("a", "1", Recommends="b (<< 2)"), stanza("b", "1", Depends="d (= 1), e (= 1)"), stanza("c", Depends="b"),
        stanza("d", "1"),
        security=(stanza("a", "2"), stanza("b", "2"), stanza("d", "2"), stanza("e", "2")),
    )  # fmt: skip
    assert versions(archive, "a/stable", "c", recommends=True) == {"a": "1", "b": "2", "c": "1"}


def test_the_order_of_the_requests_counts_whichever_names_a_version():
    archive = universe(stanza("a", Depends="x | y"), stanza("b", Depends="y | x"), stanza("x"), stanza("y"))
    assert chosen(archive, "a=1", "b") == ["a", "b", "x"]
    assert chosen(archive, "b", "a=1") == ["a", "b", "y"]


def test_an_essential_package_comes_from_a_suite_that_is_named_where_the_candidate_would_not_do():
    archive = universe(stanza("a", "1", Depends="e (<< 2)"), stanza("e", "1", Essential="yes"),
                       security=(stanza("e", "2", Essential="yes"),))  # fmt: skip
    assert versions(archive, "a/stable") == {"a": "1", "e": "1"}


@pytest.mark.parametrize("others", [["v"], ["a"], ["a", "v"]])
@pytest.mark.parametrize("exact", ["a/stable", "a=1"])
def test_of_several_requests_of_a_package_the_one_with_version_or_suite_decides(exact, others):
    archive = universe(stanza("a", "1", Provides="v"), security=(stanza("a", "2", Provides="v"),))
    assert versions(archive, exact, *others) == versions(archive, *others, exact) == {"a": "1"}


def test_requests_of_one_package_in_two_suites_are_refused_whatever_their_names():
    archive = universe(stanza("a", "1", Provides="v, w"), stanza("b", "1"),
                       security=(stanza("a", "2", Provides="v, w"), stanza("b", "2", Depends="a (= 2)")))  # fmt: skip
    told = "v/security is a 2 of security, and another request is of 1 of stable"
    assert reason(archive, "v/security", "a/stable").startswith(told)
    assert reason(archive, "a=1", "v/security").startswith(told)
    assert reason(archive, "v/security", "w/stable").startswith(told)
    assert versions(archive, "a", "v/stable") == {"a": "1"}
    assert "b 2 Depends: a (= 2)" in reason(archive, "v/stable", "b/security")


def test_what_is_installed_meets_a_request_of_what_it_provides_and_is_never_made_older():
    archive = universe(stanza("a", "1", Provides="v"), security=(stanza("b", "1"),))
    installed = [package(stanza("a", "2", Provides="v"))]
    assert versions(archive, "v", installed=installed) == {"a": "2"}
    assert versions(archive, "a", installed=installed) == {"a": "2"}
    assert versions(archive, "a=1", installed=installed) == {"a": "1"}
    assert versions(archive, "v", installed=[package(stanza("a", "2"))]) == {"a": "1"}


def test_a_suite_that_is_named_gives_the_provider_of_a_virtual_package():
    archive = universe(stanza("a", "1", Provides="v"), stanza("b", "1", Provides="v"), stanza("c", Provides="w"),
                       security=(stanza("b", "2", Provides="v"),))  # fmt: skip
    assert versions(archive, "v/security") == {"b": "2"}
    assert "a, b provide it" in reason(archive, "v/stable")
    assert (
        reason(archive, "w/security") == "w/security: nothing of the suite security provides it; there is c 1 (stable)"
    )


@pytest.mark.slow
def test_what_a_suite_needs_of_itself_may_be_long_and_may_be_wanted_in_many_ways():
    long = [stanza(f"p{n}", "1", Depends=f"p{n + 1} (= 1)") for n in range(2000)]
    wide = [stanza(f"{c}{n}", "1", Depends=f"l{n + 1} (= 1) | r{n + 1} (= 1)") for n in range(300) for c in "lr"]
    newer = [stanza(f"p{n}", "2") for n in range(2001)] + [stanza(f"{c}{n}", "2") for n in range(300) for c in "lr"]
    archive = universe(*long, stanza("p2000", "1"), *wide, security=tuple(newer))
    assert set(versions(archive, "p0/stable").values()) == {"1"}
    # In 2 to the power of 300 ways.
    assert "l0 1 Depends: l1 (= 1) | r1 (= 1)" in reason(archive, "l0/stable")


def test_nothing_is_taken_unasked_from_a_suite_that_is_not_automatic():
    suites = {
        "stable": (stanza("a", "1", Depends="b"), stanza("b", "1")),
        "backports": (stanza("a", "2", Depends="b (>= 2)"), stanza("b", "2"), stanza("c", "2")),
        "experimental": (stanza("b", "3"), stanza("c", "3")),
    }
    indexes = [parse_packages("\n".join(texts).encode(), archive="d", suite=suite) for suite, texts in suites.items()]
    archive = Universe(indexes, architecture="amd64", priorities=[500, 100, 1])
    assert versions(archive, "a", "c") == {"a": "1", "b": "1", "c": "2"}
    assert versions(archive, "a/backports") == {"a": "2", "b": "2"}
    assert versions(archive, "b/experimental") == {"b": "3"}


def test_a_conflict_is_told_with_those_who_asked():
    archive = universe(stanza("a", Depends="x"), stanza("b", Depends="c"), stanza("c", Depends="y"),
                       stanza("x", Conflicts="y"), stanza("y"))  # fmt: skip
    message = reason(archive, "a", "b")
    assert "x 1 Conflicts: y" in message
    assert message.startswith(("a cannot be installed:", "b cannot be installed:"))


def test_requests_that_conflict_are_told():
    archive = universe(stanza("a", Conflicts="b"), stanza("b"))
    assert "a 1 Conflicts: b" in reason(archive, "a", "b")


def test_a_provided_version_that_does_not_fit_is_told():
    archive = universe(stanza("a", Depends="x (>= 2)"), stanza("p", Provides="x (= 1)"))
    assert "x is provided by p as 1" in reason(archive, "a")


@pytest.mark.slow
def test_a_chain_longer_than_the_stack_is_followed():
    archive = universe(*(stanza(f"p{n}", Depends=f"p{n + 1}") for n in range(2500)), stanza("p2500"))
    assert len(chosen(archive, "p0")) == 2501
    archive = universe(*(stanza(f"p{n}", Depends=f"p{n + 1}") for n in range(1000)))
    assert reason(archive, "p0").startswith("p0 cannot be installed:\n  p0 1 Depends: p1\n    p1 1 Depends: p2\n")


def test_the_order_of_the_stanzas_in_memory_does_not_matter_only_that_of_the_index():
    texts = [stanza(f"p{n}", Provides="virtual", Depends=f"p{(n * 7) % 40}") for n in range(40)]
    archive = universe(stanza("a", Depends="virtual"), *texts)
    results = {tuple(chosen(archive, "a", *random.Random(seed).sample(["p1", "p2"], 2))) for seed in range(5)}
    assert len(results) == 1
