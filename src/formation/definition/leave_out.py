"""What packages bring that an image does not need, as dpkg's path-exclude and path-include patterns.

The three groups are those of the official slim images (debuerreotype, .slimify-excludes and .slimify-includes), so a
service built on either sees the same files. Debian Policy 12.5 wants every package's copyright file kept.
"""

DOCUMENTATION = (
    ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/linda/*", "/usr/share/lintian/overrides/*"),
    ("/usr/share/doc/*/copyright",),
)
"""Excludes, and the includes that win over them."""

MANUAL_PAGES: tuple[tuple[str, ...], tuple[str, ...]] = (("/usr/share/groff/*", "/usr/share/man/*"), ())

LOCALES = (
    ("/usr/share/locale/*",),
    (
        "/usr/share/locale/all_languages",
        "/usr/share/locale/currency/*",
        "/usr/share/locale/l10n/*",
        "/usr/share/locale/languages",
        "/usr/share/locale/locale.alias",
    ),
)
"""Translated messages. The includes are tables that programs read in every language, C included."""


def patterns(
    *, documentation: bool, manual_pages: bool, locales: bool, paths: tuple[str, ...], keep: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The path-exclude and the path-include patterns, each in a fixed order and once."""
    chosen = [
        group
        for group, wanted in ((DOCUMENTATION, documentation), (MANUAL_PAGES, manual_pages), (LOCALES, locales))
        if wanted
    ]
    excludes = [pattern for group in chosen for pattern in group[0]]
    includes = [pattern for group in chosen for pattern in group[1]]
    return tuple(dict.fromkeys([*excludes, *paths])), tuple(dict.fromkeys([*includes, *keep]))
