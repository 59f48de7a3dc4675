"""A package archive, and where its packages are."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from formation.dataclass import dataclass
from formation.errors import MalformedError

_DAY: Final = 86_400


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
    check_valid_until: bool = True
    """Refuse metadata after its Valid-Until. False is for archives that stand still, such as a snapshot or a frozen
    mirror; a replay of old metadata then passes unseen. apt's Check-Valid-Until."""


def package_urls(archive: Archive, path: str, *, epoch: int) -> tuple[str, ...]:
    """Where the file at `path` of `archive` may be had: the live archive first, then its snapshots.

    `path` is a Filename field; `epoch`, in seconds since 1970, is when the archive had the file. Snapshots are taken
    a few times a day, some hours after the archive changes, and a time stands for the last one before it. So the
    snapshot of `epoch` may lack what was new just then; the one of the day after has it, and still has what was old.
    Raises MalformedError for a path that leaves the archive.
    """
    quoted = _quoted(path, archive)
    bases = [archive.uri]
    if archive.snapshot is not None:
        bases += [archive.snapshot.replace("{timestamp}", _timestamp(time)) for time in (epoch, epoch + _DAY)]
    return tuple(dict.fromkeys(f"{base.rstrip('/')}/{quoted}" for base in bases))


def _quoted(path: str, archive: Archive) -> str:
    """A Filename as the end of a URL.

    `+` is quoted, as apt does: object stores read a plain one as a space (Debian bug 1003653). `~` and `:` stay.
    """
    # Indexes that dpkg-scanpackages made say ./pool/…
    parts = path.removeprefix("./").split("/")
    if not path.isprintable() or {"", ".", ".."} & set(parts) or "\\" in path or ":" in parts[0]:
        raise MalformedError(f"the archive {archive.name} has a package at {path[:200]!r}, which is not inside it")
    return quote("/".join(parts), safe="/~:")


def _timestamp(seconds: int) -> str:
    """A time as snapshot archives write it: 20261121T091544Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")
