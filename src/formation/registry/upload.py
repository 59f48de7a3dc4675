"""One blob into a repository: mounted from another, or sent in pieces and resumed where it was cut.

Source: OCI distribution-spec 1.1, "Pushing blobs".
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, Literal, cast
from urllib.parse import quote, urlencode

from formation.errors import FormationError, IntegrityError
from formation.network.answers import FailedAttempt
from formation.network.http import drop
from formation.network.response import Response
from formation.network.transfer import FailedTransfer
from formation.oci.descriptor import Descriptor
from formation.oci.image import BlobSource, remedy_of
from formation.registry.refusal import LoginNeeded, RegistryError
from formation.registry.registry import blob_size, has_blob
from formation.registry.session import Session

Outcome = Literal["there", "mounted", "sent"]

_RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_LOST: Final = frozenset({400, 404, 409, 416})
"""What registries answer about an upload that they no longer know, or know with other bytes."""
_NO_UPLOADS: Final = 405
"""What docker-registry answers while it is read-only, or a mirror."""
_GOOD_PROGRESS: Final = 64 * 1024
_SKIPPED: Final = 1 << 20


def upload_blob(
    session: Session,
    descriptor: Descriptor,
    source: BlobSource,
    advance: Callable[[int], object],
    mounts: Sequence[str] = (),
) -> Outcome:
    """Makes the repository have the blob, and says how. The registry verifies the digest; it is not computed here.

    `mounts` are repositories of the same registry that may have it. `advance` hears of every byte sent; what has to
    be sent again is taken back with a negative number. Raises RegistryError, LoginNeeded, UnreachableError, and
    IntegrityError when the blob's bytes are not those of its digest, or the registry keeps others.
    """
    size = blob_size(session, descriptor, "pull", "push")
    if size == descriptor.size:
        return "there"
    outcome = _mount_or_send(session, descriptor, source, advance, mounts if size is None else ())
    if size is not None and not has_blob(session, descriptor, "pull", "push"):
        # As docker-registry, which looks at names alone.
        raise IntegrityError(
            f"{session.repository} has {size} bytes of blob {descriptor.digest}, not {descriptor.size}, and takes it "
            "not anew",
            hint="mend the registry's storage: what it believes to have it takes from nobody",
        )
    return outcome


def _mount_or_send(
    session: Session,
    descriptor: Descriptor,
    source: BlobSource,
    advance: Callable[[int], object],
    mounts: Sequence[str],
) -> Outcome:
    location = None
    for name in mounts:
        location = location or _mount(session, descriptor, name)
        if location == "":
            return "mounted"
    _Upload(session, descriptor, source, advance).run(location)
    return "sent"


def _mount(session: Session, descriptor: Descriptor, name: str) -> str | None:
    """Empty when the blob was mounted; else the upload that the registry began instead, or None."""
    query = urlencode({"mount": descriptor.digest, "from": name})
    target = f"{session.repository.path}/blobs/uploads/?{query}"
    scope = (*session.scope("pull", "push"), f"repository:{name}:pull")
    try:
        answer = session.call("POST", target, f"mounting {descriptor.digest} from {name}", scope)
    except (LoginNeeded, RegistryError):
        # No right to read there, or a registry that cannot mount: the blob is sent.
        return None
    return "" if answer.status == 201 else session.location(answer, target)


class _Upload:
    """An upload under way."""

    def __init__(
        self, session: Session, descriptor: Descriptor, source: BlobSource, advance: Callable[[int], object]
    ) -> None:
        self._session = session
        self._descriptor = descriptor
        self._source = source
        self._advance = advance
        self._told = 0
        self._what = f"blob {descriptor.digest} to {session.repository}"
        self._scope = session.scope("pull", "push")
        self._chunk = session.settings.chunk
        self._offset = 0
        self._furthest = 0

    def run(self, location: str | None) -> None:
        """Sends everything, from the upload at `location` on; None begins one."""
        failures = 0
        while True:
            try:
                location = location or self._begin()
                return self._send(location)
            except FailedAttempt as error:
                failure = error
            except RegistryError as error:
                location = self._after_refusal(error, begun=location is not None)
                failure = FailedAttempt(error.message.removeprefix(f"{self._what}: "))
            failures = 1 if self._offset > self._furthest + _GOOD_PROGRESS else failures + 1
            self._furthest = max(self._furthest, self._offset)
            try:
                self._session.run.pause_after(failure, failures, self._session.settings.patience)
            except FailedTransfer as ended:
                raise self._session.failed(self._what, ended) from failure
            if location is not None:
                location = self._resume(location)
            if location is None:
                if has_blob(self._session, self._descriptor, "pull", "push"):
                    # The answer to the last request was lost, not the request.
                    return self._tell(self._descriptor.size)
                self._offset = 0

    def _begin(self) -> str:
        target = f"{self._session.repository.path}/blobs/uploads/"
        answer = self._answer("POST", target)
        least = answer.headers.get("OCI-Chunk-Min-Length", "")
        if re.fullmatch("[0-9]{1,17}", least):
            self._chunk = max(self._chunk, int(least))
        return self._session.location(answer, target)

    def _send(self, location: str) -> None:
        """Sends pieces from the offset on, the last of them with the request that ends the upload."""
        self._tell(self._offset)
        while self._descriptor.size - self._offset > self._chunk:
            end = self._offset + self._chunk
            headers = {"Content-Range": f"{self._offset}-{end - 1}"}
            answer = self._answer("PATCH", location, headers, end)
            location = self._session.location(answer, location)
            accepted = _accepted(answer)
            self._offset = end if accepted is None or accepted > end else accepted
        separator = "&" if "?" in location else "?"
        target = f"{location}{separator}digest={quote(self._descriptor.digest)}"
        headers = {"Content-Range": f"{self._offset}-{self._descriptor.size - 1}"} if self._offset else {}
        self._answer("PUT", target, headers, self._descriptor.size)
        self._offset = self._descriptor.size

    def _answer(
        self, method: str, target: str, headers: dict[str, str] | None = None, end: int | None = None
    ) -> Response:
        """The answer to a request that carries the bytes from the offset to `end`; None: no bytes."""
        length = 0 if end is None else end - self._offset
        own = {"Content-Length": str(length), "Content-Type": "application/octet-stream", **(headers or {})}
        body = (lambda: self._slice(length)) if length else None
        response = self._session.attempt(method, target, self._what, self._scope, headers=own, body=body)
        drop(response)
        return response

    def _resume(self, location: str) -> str | None:
        """Where the upload goes on, with the offset set to what the registry has; None: it has to begin anew."""
        try:
            answer = self._answer("GET", location)
        except (FailedAttempt, FormationError):
            return None
        accepted = _accepted(answer)
        if accepted is None or accepted > self._descriptor.size:
            return None
        self._offset = accepted
        return self._session.location(answer, location) if answer.headers.get("Location") else location

    def _after_refusal(self, error: RegistryError, *, begun: bool) -> str | None:
        """None, to begin anew, when the registry lost the upload. Raises for what would be refused again."""
        if "DIGEST_INVALID" in error.codes and self._offset == 0:
            hint = remedy_of(self._source, self._descriptor.digest)
            raise IntegrityError(f"{self._what}: its bytes do not have that digest", hint=hint) from error
        # What was not begun cannot be lost: a repository that is not there, or an address that is no registry's.
        if error.status in _LOST and "NAME_UNKNOWN" not in error.codes and (begun or error.status != 404):
            return None
        if error.status == _NO_UPLOADS:
            error.hint = "the registry takes no uploads: it is a mirror, or read-only for a while"
        raise error

    def _slice(self, length: int) -> BinaryIO:
        stream = self._source.open_blob(self._descriptor.digest)
        if stream.seekable():
            stream.seek(self._offset)
        else:
            left = self._offset
            while left and (skipped := stream.read(min(left, _SKIPPED))):
                left -= len(skipped)
        return cast(BinaryIO, _Slice(stream, length, self._offset, self._on_read, self._what))

    def _on_read(self, position: int) -> None:
        self._session.run.check()
        self._tell(position)

    def _tell(self, position: int) -> None:
        self._advance(position - self._told)
        self._told = position


class _Slice(io.RawIOBase):
    """A part of a blob, as the body of a request."""

    def __init__(self, stream: BinaryIO, length: int, position: int, on_read: Callable[[int], None], what: str) -> None:
        self._stream = stream
        self._left = length
        self._position = position
        self._on_read = on_read
        self._what = what

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted)
        if wanted and not data:
            raise IntegrityError(f"{self._what}: it is shorter than its descriptor says")
        self._left -= len(data)
        self._position += len(data)
        self._on_read(self._position)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def _accepted(answer: Response) -> int | None:
    """How many bytes the registry has; None when it does not say. `0-0` is written for none, and for one."""
    match = _RANGE.fullmatch(answer.headers.get("Range", ""))
    if match is None:
        return None
    return int(match[1]) + 1 if match[1] != "0" else 0
