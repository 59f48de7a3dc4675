"""Whole distributions by one name: `distribution: debian/trixie` instead of their archives written out."""

from formation.debian.archive import Archive

_DEBIAN = ("bookworm", "trixie")
_UBUNTU = ("jammy", "noble")
_SNAPSHOT = "https://snapshot.debian.org/archive"

DISTRIBUTIONS = (*(f"debian/{release}" for release in _DEBIAN), *(f"ubuntu/{release}" for release in _UBUNTU))


def archives_of(distribution: str) -> tuple[Archive, ...]:
    """The archives of one of DISTRIBUTIONS, security updates last, from the addresses that its installer uses.

    Only `main` of Debian is used, as in its own images; of Ubuntu `main` and `universe`.
    """
    family, release = distribution.split("/")
    return _debian(release) if family == "debian" else _ubuntu(release)


def architectures_of(distribution: str) -> tuple[str, ...] | None:
    """The architectures that `archives_of` serves; None for all. Ubuntu keeps most in another archive."""
    return ("amd64", "i386") if distribution.startswith("ubuntu/") else None


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


def _ubuntu(release: str) -> tuple[Archive, ...]:
    return (
        Archive(
            name="ubuntu",
            uri="http://archive.ubuntu.com/ubuntu",
            suites=(release, f"{release}-updates", f"{release}-security"),
            components=("main", "universe"),
            keys=("ubuntu",),
            signed_by=None,
            snapshot=None,
        ),
    )
