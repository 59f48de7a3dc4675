"""The look at what was just written: does it still hold, although others know no leases?"""

from collections.abc import Collection
from typing import Final

from formation.errors import FormationError
from formation.registry.lease import Lease
from formation.registry.moving_tags import held_by, other_version
from formation.registry.registry import manifest, put_manifest, tag_digest, tags
from formation.registry.tag_plan import VersionTag, holder

_ROUNDS: Final = 5


def look_again(tag: VersionTag, digest: str, written: Collection[str], held: Lease) -> None:
    """Makes sure that what was `written` for the version `tag`, which has the content `digest`, still holds.

    A moving tag of this run that ended below the greatest version is moved forward to it; one that stands for something
    newer, whose version tag is not there yet, stays. Raises FormationError when the version tag has other content now,
    for then another publisher won, or none, and when a moving tag does not stay.
    """
    session = held.session
    now = tag_digest(session, tag.text)
    if now is None:
        raise FormationError(
            f"{session.repository}:{tag.text} was written, and is not there: somebody has removed it, or the registry "
            "did not keep it",
            hint="run the same command again",
        )
    if now != digest:
        raise FormationError(
            f"another publisher wrote {session.repository}:{tag.text} at the same time, and won",
            hint="give this content the next version",
        )
    for name in tag.moving:
        if name in written:
            _put_right(name, tag, digest, held)


def _put_right(name: str, tag: VersionTag, digest: str, held: Lease) -> None:
    session = held.session
    for _ in range(_ROUNDS):
        listed = holder(name, tags(session))
        best = tag if listed is None or listed.release <= tag.release else listed
        greatest = digest if best is tag else tag_digest(session, best.text)
        now = tag_digest(session, name)
        if greatest is None or now == greatest:
            return
        if best is not tag and other_version(session, best, greatest) is not None:
            return  # nobody knows what it was, and what it is now may be older
        said = None if now is None or now == digest else held_by(session, name, now, tag.variant)
        if said is not None and said.release > best.release:
            return
        found = manifest(session, greatest)
        put_manifest(session, found.data, found.descriptor.media_type, name, guard=held.check)
    raise FormationError(
        f"{session.repository}:{name} was written for {best.text} {_ROUNDS} times, and does not stay: something else "
        "writes it, or the registry does not keep it",
        hint="run the same command again when nothing else writes to the repository",
    )
