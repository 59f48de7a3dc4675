"""When the tags of a repository were written and moved, as its publishers note down: a registry keeps neither.

The notes are lines in an annotation of an artifact with a tag of its own, the newest last; `-` stands for no digest:

    2026-11-24T09:30:00Z latest sha256:BEFORE sha256:AFTER

Who publishes adds its lines while it has the lease, and before it writes the tags. Cut between the two, it leaves lines
of what has not come about; so the last line of a tag counts only while the tag stands for what it says, and the next
line of that kind takes its place.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from formation.dataclass import dataclass
from formation.errors import MalformedError
from formation.oci.manifest import parse_manifest
from formation.oci.media_types import OCI_MANIFEST
from formation.oci.reference import TAG
from formation.registry.artifact import artifact
from formation.registry.refusal import NotThere
from formation.registry.registry import manifest, put_manifest
from formation.registry.session import Session

HISTORY_TAG: Final = "formation-history"
_KIND: Final = "application/vnd.formation.history.v1"
_ANNOTATION: Final = "dev.formation.history"
_MOST: Final = 500
"""Lines that are kept, 90 kB: a manifest may have 4 MB, and every publication writes all of them."""
_LINE: Final = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z) ({TAG.pattern}) "
    r"(-|sha256:[0-9a-f]{64}) (sha256:[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Move:
    """A tag came to stand for something else, or was about to."""

    at: str
    """RFC 3339, in the registry's time."""
    tag: str
    before: str | None
    """The digest that it stood for; None: there was no such tag."""
    after: str


def read_history(session: Session) -> tuple[Move, ...]:
    """All that is noted, the oldest first. Raises MalformedError when the tag stands for something else."""
    try:
        annotations = parse_manifest(manifest(session, HISTORY_TAG).data).annotations
    except NotThere:
        return ()
    if _ANNOTATION not in annotations:
        raise MalformedError(f"{session.repository}:{HISTORY_TAG} is not the history of its tags")
    return tuple(_move(session, line) for line in annotations[_ANNOTATION].splitlines())


def note_moves(session: Session, moves: Sequence[Move], *, guard: Callable[[], None]) -> tuple[Move, ...]:
    """Adds `moves`, none of which has come about yet. Gives what was noted before. Raises as above, and RegistryError.

    The caller holds the lease; `guard` is called before each attempt to write, and raises when it does not any more.
    """
    before = read_history(session)
    last = {move.tag: move for move in before}
    stood = {move.tag: move.before for move in moves}
    undone = {m for m in last.values() if m.tag in stood and m.before == stood[m.tag] and m.after != stood[m.tag]}
    lines = [_line(move) for move in (*(move for move in before if move not in undone), *moves)]
    data = artifact(_KIND, {_ANNOTATION: "\n".join(lines[-_MOST:])})
    put_manifest(session, data, OCI_MANIFEST, HISTORY_TAG, guard=guard)
    return before


def _move(session: Session, line: str) -> Move:
    found = _LINE.fullmatch(line)
    if found is None:
        raise MalformedError(f"{session.repository}:{HISTORY_TAG} has the line {line[:100]!r}, which tells no move")
    return Move(found[1], found[2], None if found[3] == "-" else found[3], found[4])


def _line(move: Move) -> str:
    return f"{move.at} {move.tag} {move.before or '-'} {move.after}"
