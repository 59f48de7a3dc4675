"""Which entries of a changelog belong to the way from one version to another."""

from formation.release.changelogs import Way, news, ways
from formation.release.packages import PackageState, package_changes


def changelog(*versions: str, source: str = "hello") -> str:
    return "".join(
        f"{source} ({version}) trixie; urgency=low\n\n  * CVE-2025-{1000 + number}\n\n"
        " -- A <a@b>  Fri, 01 Jan 2021 00:00:00 +0000\n\n"
        for number, version in enumerate(versions)
    )


def state(name: str, version: str, source: str = "hello", source_version: str | None = None) -> PackageState:
    return PackageState(name, version, source, source_version or version, 0)


def test_entries_are_those_after_the_old_version_up_to_the_new_one():
    found = news(
        Way("hello", "1.0-1", "1.2-1", False), {"changelog.Debian.gz": changelog("1.3-1", "1.2-1", "1.1-1", "1.0-1")}
    )
    assert found is not None
    assert [entry.version for entry in found.entries] == ["1.2-1", "1.1-1"]
    assert found.cves == ("CVE-2025-1001", "CVE-2025-1002")
    assert found.complete


def test_a_changelog_that_was_cut_says_so():
    found = news(Way("hello", "1.0-1", "1.2-1", False), {"changelog.gz": changelog("1.2-1", "1.1-1")})
    assert found is not None
    assert not found.complete


def test_news_count_only_where_there_is_no_changelog():
    way = Way("hello", "1.0-1", "1.2-1", False)
    both = news(way, {"NEWS.Debian.gz": changelog("1.1-1"), "changelog.Debian.gz": changelog("1.2-1", "1.0-1")})
    alone = news(way, {"NEWS.Debian.gz": changelog("1.1-1")})
    assert both is not None
    assert alone is not None
    assert [entry.version for entry in both.entries] == ["1.2-1"]
    assert [entry.version for entry in alone.entries] == ["1.1-1"]
    assert news(way, {"changelog.gz": "Version 1.2\n* upstream\n"}) is None


def test_a_rebuild_has_its_entry_in_a_file_of_its_own():
    (way,) = ways(
        package_changes(
            {"amd64": [state("hello", "1.0-1", source_version="1.0-1")]},
            {"amd64": [state("hello", "1.0-1+b2", source_version="1.0-1")]},
        )
    )
    assert way == Way("hello", "1.0-1", "1.0-1+b2", False)
    found = news(
        way, {"changelog.Debian.gz": changelog("1.0-1"), "changelog.Debian.amd64.gz": changelog("1.0-1+b2", "1.0-1+b1")}
    )
    assert found is not None
    assert [entry.version for entry in found.entries] == ["1.0-1+b2", "1.0-1+b1"]


def test_a_downgrade_is_the_way_back():
    (way,) = ways(package_changes({"amd64": [state("hello", "2-1")]}, {"amd64": [state("hello", "1-1")]}))
    assert (way.older, way.newer, way.backwards, way.side) == ("1-1", "2-1", True, "old")


def test_binary_packages_of_one_source_share_the_widest_way():
    old = {"amd64": [state("a", "1:9-1", source_version="2-1"), state("b", "2-2")]}
    new = {"amd64": [state("a", "1:9-3", source_version="2-3"), state("b", "2-3")]}
    assert ways(package_changes(old, new)) == (Way("hello", "2-1", "2-3", False),)


def test_a_package_of_another_source_has_no_way():
    old, new = {"amd64": [state("a", "1-1", "one")]}, {"amd64": [state("a", "2-1", "two")]}
    assert ways(package_changes(old, new)) == ()
