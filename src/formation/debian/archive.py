"""A package archive, and how its verified indexes are had."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Archive:
    """A package archive in Debian's format: Debian, Ubuntu, or a private one."""

    name: str
    """Unique in the definition; the image's /etc/apt/sources.list.d/NAME.sources carries it."""
    uri: str
    """Without a trailing slash: http://deb.debian.org/debian"""
    suites: tuple[str, ...]
    components: tuple[str, ...]
    keys: tuple[str, ...]
    """Key sets that may sign it: names of sets that ship with Formation (`debian-trixie`), or paths of key files
    relative to the definition (they contain a slash or end in .asc, .gpg or .pgp)."""
    signed_by: str | None
    """Path *in the image* of the keyring for apt's Signed-By; None: /usr/share/keyrings/debian-archive-keyring.gpg for
    the shipped Debian sets, /usr/share/keyrings/ubuntu-archive-keyring.gpg for Ubuntu's; for key files of the
    definition, Formation writes /etc/apt/keyrings/NAME.asc or .gpg."""
    snapshot: str | None
    """URI of the snapshot of this archive, with `{timestamp}` (20261121T091544Z) in it; None: it has no snapshot."""
