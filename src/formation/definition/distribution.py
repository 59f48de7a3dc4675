"""Whole distributions by one name: `distribution: debian/trixie` instead of their archives written out."""

from formation.debian.archive import Archive

_DEBIAN = ("bookworm", "trixie")
_SNAPSHOT = "https://snapshot.debian.org/archive"

DISTRIBUTIONS = tuple(f"debian/{release}" for release in _DEBIAN)


def archives_of(distribution: str) -> tuple[Archive, ...]:
    """The archives of one of DISTRIBUTIONS, security updates last, from the addresses that its installer uses.

    Only `main` is used, as in Debian's own images. Ubuntu's mirrors differ by place: name one under archives:.
    """
    return _debian(distribution.partition("/")[2])


def _debian(release: str) -> tuple[Archive, ...]:
    return (
        Archive(
            name="debian",
            uri="http://deb.debian.org/debian",
            suites=(release, f"{release}-updates"),
            components=("main",),
            keys=(f"debian-{release}",),
            signed_by=None,
            snapshot=f"{_SNAPSHOT}/debian/{{timestamp}}",
        ),
        Archive(
            name="debian-security",
            uri="http://deb.debian.org/debian-security",
            suites=(f"{release}-security",),
            components=("main",),
            keys=(f"debian-{release}",),
            signed_by=None,
            snapshot=f"{_SNAPSHOT}/debian-security/{{timestamp}}",
        ),
    )
