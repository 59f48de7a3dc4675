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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from formation.dataclass import dataclass
from formation.digest import sha256
from formation.errors import FormationError
from formation.oci.media_types import OCI_MANIFEST
from formation.registry.artifact import artifact, upload_content
from formation.registry.refusal import NotThere
from formation.registry.registry import delete_manifest, put_manifest, tag_digest, tags
from formation.registry.session import Session

SECONDS = 120
"""How long a lease holds. Moving four tags takes a second or two."""
MARGIN = 45
"""Seconds before its end from which on nothing is written any more: longer than a request may take."""
PATIENCE = 180
"""Seconds that a publisher waits for others."""

_PAUSE = 0.5
"""Seconds between two looks at the tags."""
_LISTS = 20
"""How often a list of tags without the own lease is asked for anew."""
_MOST_REMOVED = 20
"""Leases of killed publishers that one publication removes."""
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

    def tags(self) -> tuple[str, ...]:
        """The repository's tags, this lease among them. Raises FormationError where the registry's list lacks it.

        Such a list may lack versions as well: one that lags behind, or is empty because the login may not see it.
        """
        for _ in range(_LISTS):
            found = tags(self.session)
            if self.tag in found:
                return found
            self.session.run.pause(_PAUSE)
        raise FormationError(
            f"the list of the tags of {self.session.repository} lacks {self.tag}, which was just written: what is "
            "published there cannot be known, and nothing was",
            hint="the login must be allowed to list the repository's tags, and no cache may stand before the registry",
        )

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
    _remove_ended(held)


def _acquire(session: Session, note: Callable[[str], None]) -> Lease:
    clock, began = session.settings.clock, session.settings.clock()
    waits = False
    while True:
        own = _announce(session)
        try:
            while rivals := _rivals(own):
                if not waits:
                    killed = f"if it was killed, {SECONDS} seconds at most"
                    note(f"another publisher is at work in {session.repository}: waiting for it ({killed})")
                    waits = True
                if clock() - began > PATIENCE:
                    raise FormationError(
                        f"another publisher is at work in {session.repository} ({min(rivals)})",
                        hint="run the same command again when it has ended",
                    )
                if min(rivals) < own.tag or clock() > own.ends - MARGIN:
                    break
                session.run.pause(_PAUSE)
            else:
                return own
        except BaseException:
            _release(session, own.tag)
            raise
        _release(session, own.tag)
        while any(rival < own.tag for rival in _held(session, tags(session))) and clock() - began <= PATIENCE:
            session.run.pause(_PAUSE)


def _announce(session: Session) -> Lease:
    """A new lease, written. One that is interrupted in the middle of that is given back: it may be there."""
    begun = session.settings.clock()
    until = datetime.fromtimestamp(_server_time(session) + SECONDS, UTC)
    tag = f"{_PREFIX}{until.strftime(_TIME)}-{secrets.token_hex(8)}"
    try:
        put_manifest(session, _manifest(tag), OCI_MANIFEST, tag)
    except KeyboardInterrupt:
        _release(session, tag)
        raise
    return Lease(tag, session, begun + SECONDS, until)


def _rivals(own: Lease) -> list[str]:
    """The leases of others that hold now. Raises as `Lease.tags`."""
    return [tag for tag in _held(own.session, own.tags()) if tag != own.tag]


def _held(session: Session, listed: Iterable[str]) -> list[str]:
    """The leases that hold now, of the tags `listed`."""
    now = datetime.fromtimestamp(_server_time(session), UTC).strftime(_TIME)
    released = sha256(_manifest("released"))
    found = [tag for tag in listed if (match := _NAME.fullmatch(tag)) and match[1] > now]
    return [tag for tag in found if tag_digest(session, tag) not in (None, released)]


def _remove_ended(held: Lease) -> None:
    """Removes the leases that killed publishers left behind, where the registry deletes: nobody else would."""
    now = held.now().strftime(_TIME)
    with suppress(FormationError):
        ended = [tag for tag in tags(held.session) if (match := _NAME.fullmatch(tag)) and match[1] < now]
        for tag in ended[-_MOST_REMOVED:]:
            # One that was marked as released has no manifest of its own.
            with suppress(NotThere):
                delete_manifest(held.session, sha256(_manifest(tag)))


def _release(session: Session, tag: str) -> None:
    """Removes the lease; where the registry does not delete, marks it as released. Failing that, it ends by itself."""
    with suppress(FormationError):
        try:
            delete_manifest(session, sha256(_manifest(tag)))
        except FormationError:
            # While another lease goes, docker-registry may drop the manifest, fail, and keep the tag in its list: what
            # stands for a manifest that is there can be removed. One that is gone is gone again afterwards.
            put_manifest(session, _manifest("released"), OCI_MANIFEST, tag)
            delete_manifest(session, sha256(_manifest("released")))


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
