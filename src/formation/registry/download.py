"""One blob from a registry: resumed where it was cut, from the next place when one fails, verified as it comes."""

from collections.abc import Sequence

from formation.errors import FormationError, IntegrityError, UnreachableError
from formation.network.answers import Answer
from formation.network.partial import PartialFile
from formation.network.transfer import transfer
from formation.oci.descriptor import Descriptor
from formation.registry.session import Session


def download_blob(sessions: Sequence[Session], descriptor: Descriptor, file: PartialFile) -> None:
    """Brings the blob, complete and right, into `file`, which is empty.

    `sessions` are asked in order. Raises the last place's RegistryError, UnreachableError or IntegrityError.
    """
    for session in sessions:
        try:
            _fill(session, descriptor, file)
            return
        except FormationError:
            if session is sessions[-1]:
                raise
            file.restart()


def _fill(session: Session, descriptor: Descriptor, file: PartialFile) -> None:
    """Brings the right bytes into `file`. Two halves of a resumed blob may not fit together: a whole one decides."""
    what = f"blob {descriptor.digest} of {session.repository}"
    target = f"{session.repository.path}/blobs/{descriptor.digest}"

    def opener(url: str, *, start: int) -> Answer:
        return session.open(target, what, session.scope("pull"), start=start)

    try:
        resumed = transfer(what, file, opener, session.run, session.settings.patience)
        if file.sha256 != descriptor.digest and resumed:
            file.restart()
            transfer(what, file, opener, session.run, session.settings.patience)
    except UnreachableError as error:
        raise session.failed(what, error) from error
    if file.sha256 != descriptor.digest:
        raise IntegrityError(f"{what} has the digest {file.sha256}")
