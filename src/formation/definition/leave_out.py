"""What packages bring that an image does not need, as dpkg's path-exclude and path-include patterns.

The three groups are those of the official slim images (debuerreotype, .slimify-excludes and .slimify-includes), so a
service built on either sees the same files. Debian Policy 12.5 wants every package's copyright file kept.
"""

from collections.abc import Iterator

from formation.debian.path_filters import any_of, literal_prefix

DOCUMENTATION = (
    ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/linda/*", "/usr/share/lintian/overrides/*"),
    ("/usr/share/doc/*/copyright",),
)
"""Excludes, and the includes that win over them."""

MANUAL_PAGES: tuple[tuple[str, ...], tuple[str, ...]] = (("/usr/share/man/*",), ())
"""Directories such as /usr/share/man/man1 stay: see install/bootstrap.py."""

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
    """The path-exclude and the path-include patterns, each in a fixed order and once.

    The excluded directories on the way to an include are included too, so that dpkg can unpack there.
    """
    chosen = [
        group
        for group, wanted in ((DOCUMENTATION, documentation), (MANUAL_PAGES, manual_pages), (LOCALES, locales))
        if wanted
    ]
    excludes = [pattern for group in chosen for pattern in group[0]]
    excludes += paths
    includes = [pattern for group in chosen for pattern in group[1]]
    includes = [each for pattern in (*includes, *keep) for each in (*_parents(pattern, excludes), pattern)]
    return tuple(dict.fromkeys(excludes)), tuple(dict.fromkeys(includes))


def _parents(include: str, excludes: list[str]) -> Iterator[str]:
    """The directories above what `include` may match that `excludes` keep out, the highest first.

    dpkg keeps an excluded directory by itself only when its path begins with all of the include that stands before the
    first wildcard, so not /usr/share/man/man1 for /usr/share/man/man1/jq*.
    """
    excluded = any_of(excludes)
    *parts, _ = literal_prefix(include).split("/")
    for end in range(2, len(parts) + 1):
        parent = "/".join(parts[:end])
        if excluded and excluded.fullmatch(parent):
            yield parent
