"""The right to move the tags of a repository, held by one publisher at a time.

The distribution API has no compare-and-swap, but it has tags that appear atomically and a list of them. A publisher
first writes a tag of its own, `formation-lease-EXPIRY-NONCE`, and then lists all tags: of two publishers at least one
sees the other (Lamport, "A fast mutual exclusion algorithm", 1987, builds on the same fact). Only who sees no other
lease goes on. The lease in its name's order first keeps its tag and waits; the others withdraw theirs.

A lease ends by itself, in the registry's own time, so that a killed publisher stops nobody for long; and a publisher
whose lease is about to end writes nothing more. docs/publishing.md says what that leaves open.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.errors import FormationError
from formation.oci.media_types import OCI_MANIFEST
from formation.registry.artifact import artifact, upload_content
from formation.registry.registry import delete_manifest, put_manifest, tag_digest, tags
from formation.registry.session import Session

SECONDS = 120
"""How long a lease holds. Moving four tags takes a second or two."""
MARGIN = 45
"""Seconds before its end from which on nothing is written any more: longer than a request may take."""
PATIENCE = 180
"""Seconds that a publisher waits for others."""

_PREFIX = "formation-lease-"
_NAME = re.compile(r"formation-lease-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{16}")
_TIME = "%Y%m%dT%H%M%SZ"
_KIND = "application/vnd.formation.lease.v1"


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held."""

    tag: str
    session: Session
    ends: float
    """In seconds of the session's clock."""
    until: datetime
    """The same in the registry's time."""

    def now(self) -> datetime:
        """The registry's time."""
        return self.until - timedelta(seconds=self.ends - self.session.settings.clock())

    def check(self) -> None:
        """Raises FormationError when it is too late to write anything."""
        if self.session.settings.clock() > self.ends - MARGIN:
            raise FormationError(
                f"publishing to {self.session.repository} took too long, and was stopped before it moved another tag",
                hint="run the same command again: it goes on where it was",
            )


def is_lease(tag: str) -> bool:
    """Whether `tag` is one of a publisher at work, or what one left behind."""
    return tag.startswith(_PREFIX)


@contextmanager
def lease(session: Session, note: Callable[[str], None] = lambda message: None) -> Iterator[Lease]:
    """The lease on the repository while the block runs. Waits for other publishers, and says so by `note`.

    Raises FormationError when they do not end in time, and RegistryError when the login may not push.
    """
    upload_content(session)
    held = _acquire(session, note)
    try:
        yield held
    finally:
        _release(session, held.tag)


def _acquire(session: Session, note: Callable[[str], None]) -> Lease:
    clock, began = session.settings.clock, session.settings.clock()
    waits = False
    while True:
        own = _announce(session)
        try:
            while rivals := _rivals(session, own.tag):
                if not waits:
                    note(f"another publisher is at work in {session.repository}: waiting for it")
                    waits = True
                if clock() - began > PATIENCE:
                    raise FormationError(
                        f"another publisher is at work in {session.repository} ({min(rivals)})",
                        hint="run the same command again when it has ended",
                    )
                if min(rivals) < own.tag or clock() > own.ends - MARGIN:
                    break
                session.run.pause(0.5)
            else:
                return own
        except BaseException:
            _release(session, own.tag)
            raise
        _release(session, own.tag)
        while any(rival < own.tag for rival in _rivals(session, own.tag)) and clock() - began <= PATIENCE:
            session.run.pause(0.5)


def _announce(session: Session) -> Lease:
    begun = session.settings.clock()
    until = datetime.fromtimestamp(_server_time(session) + SECONDS, UTC)
    tag = f"{_PREFIX}{until.strftime(_TIME)}-{secrets.token_hex(8)}"
    put_manifest(session, _manifest(tag), OCI_MANIFEST, tag)
    return Lease(tag, session, begun + SECONDS, until)


def _rivals(session: Session, own: str) -> list[str]:
    """The leases of others that hold now."""
    now = datetime.fromtimestamp(_server_time(session), UTC).strftime(_TIME)
    released = sha256(_manifest("released"))
    found = [tag for tag in tags(session) if tag != own and (match := _NAME.fullmatch(tag)) and match[1] > now]
    return [tag for tag in found if tag_digest(session, tag) not in (None, released)]


def _release(session: Session, tag: str) -> None:
    """Removes the lease; where the registry does not delete, marks it as released. Failing that, it ends by itself."""
    with suppress(FormationError):
        try:
            delete_manifest(session, sha256(_manifest(tag)))
        except FormationError:
            put_manifest(session, _manifest("released"), OCI_MANIFEST, tag)


def _manifest(name: str) -> bytes:
    """A manifest that is nobody else's: deleting it removes this tag and no other."""
    return artifact(_KIND, {"dev.formation.lease": name})


def _server_time(session: Session) -> float:
    """Seconds since 1970 by the registry's clock, which all publishers share; by our own where it does not say."""
    answer = session.call("GET", "/v2/", f"the registry {session.repository.host}", session.scope("pull", "push"))
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return time.time()
