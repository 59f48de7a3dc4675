"""The patterns of `leave_out:`. tests/integration/test_unpack_against_dpkg.py gives them to the real dpkg."""

import pytest

from formation.definition.leave_out import patterns


def includes(*keep: str, paths: tuple[str, ...] = ("/usr/share/man/*",)) -> tuple[str, ...]:
    return patterns(documentation=False, manual_pages=False, locales=False, paths=paths, keep=keep)[1]


@pytest.mark.parametrize(
    ("keep", "parents"),
    [
        ("/usr/share/man/man1/jq*", ("/usr/share/man/man1",)),
        ("/usr/share/man/man1/jq.1.gz", ("/usr/share/man/man1",)),
        ("/usr/share/man/de/man1/*", ("/usr/share/man/de",)),
        ("/usr/share/man/de/man1/jq?1", ("/usr/share/man/de", "/usr/share/man/de/man1")),
        # dpkg keeps what begins with /usr/share/man/man by itself.
        ("/usr/share/man/man*/jq.1.gz", ()),
        ("/usr/share/man/man1/*", ()),
        ("/usr/share/doc/jq/README", ()),
    ],
)
def test_excluded_directories_on_the_way_to_what_is_kept_are_kept(keep: str, parents: tuple[str, ...]):
    assert includes(keep) == (*parents, keep)


def test_a_directory_above_several_is_included_once():
    assert includes("/usr/share/man/man1/a", "/usr/share/man/man1/b") == (
        "/usr/share/man/man1",
        "/usr/share/man/man1/a",
        "/usr/share/man/man1/b",
    )


def test_nothing_excluded_leaves_what_is_kept_as_it_is():
    assert includes("/usr/share/man/man1/a", paths=()) == ("/usr/share/man/man1/a",)


def test_what_debians_slim_images_include_needs_no_more():
    found = patterns(documentation=True, manual_pages=True, locales=True, paths=(), keep=())[1]
    assert found == (
        "/usr/share/doc/*/copyright",
        "/usr/share/locale/all_languages",
        "/usr/share/locale/currency/*",
        "/usr/share/locale/l10n/*",
        "/usr/share/locale/languages",
        "/usr/share/locale/locale.alias",
    )
