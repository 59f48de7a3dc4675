"""The entry of a release in CHANGELOG.md."""

from formation.release.level import Level, Reason
from formation.release.notes import entry
from formation.release.versions import judge_version


def test_an_entry_tells_what_broke_and_no_markdown_of_others_gets_in():
    reasons = [
        Reason(Level.MAJOR, "user-uid", "user app: uid 990 → 991"),
        Reason(Level.MINOR, "environment-added", "environment X: nothing → [a](b) <img>\n# y", "dev"),
        Reason(Level.MAJOR, "directory-removed", "directory /srv/__init__ removed"),
        Reason(Level.PATCH, "package-upgraded", "openssl 1 → 2"),
    ]
    text = entry(judge_version("1.0.0", Level.MAJOR, "2.0.0"), "2.0.0", (), reasons, 1_795_392_000)
    assert text.splitlines() == [
        "## 2.0.0 - 2026-11-23",
        "",
        "Breaks the contract of 1.0.0: look at each item before a service moves.",
        "",
        "### Breaking",
        "- user app: uid 990 → 991",
        r"- directory /srv/\_\_init\_\_ removed",
        "",
        "### Added",
        r"- dev: environment X: nothing → \[a\](b) \<img\>�\# y",
    ]


def test_what_changed_is_not_told_as_added():
    program = Reason(Level.MINOR, "file-content", "file /usr/local/bin/dns has another content")
    port = Reason(Level.MINOR, "port-added", "port 53/udp added")
    verdict = judge_version("1.0.0", Level.MINOR, "1.1.0")
    assert entry(verdict, "1.1.0", (), [program, port], 1_795_392_000).splitlines()[2:] == [
        "Takes nothing away that 1.0.0 has; what changed is below.",
        "",
        "### Added",
        "- port 53/udp added",
        "",
        "### Changed",
        "- file /usr/local/bin/dns has another content",
    ]
    only_new = entry(verdict, "1.1.0", (), [port], 1_795_392_000)
    assert "Has all that 1.0.0 has, and more." in only_new
    assert "### Changed" not in only_new
