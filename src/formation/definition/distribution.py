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


def shipped_archive(uri: str, suite: str | None = None) -> Archive | None:
    """The archive of one of DISTRIBUTIONS at the address `uri`, with TLS or without, that has `suite`, or any."""
    archives = (archive for name in DISTRIBUTIONS for archive in archives_of(name))
    return next((each for each in archives if same_address(each.uri, uri) and suite in (None, *each.suites)), None)


def snapshot_of(uri: str) -> str | None:
    """The address of the snapshots of the archive at `uri`, as far as that is known."""
    archive = shipped_archive(uri)
    return None if archive is None else archive.snapshot


def same_address(one: str, other: str) -> bool:
    """Whether two addresses name the same archive, be it with TLS or without."""
    return one.partition("://")[2].rstrip("/") == other.partition("://")[2].rstrip("/")


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
