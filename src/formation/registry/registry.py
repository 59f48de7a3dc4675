"""Registries: manifests, tags and blobs by name (OCI distribution-spec 1.1)."""

import re
import threading
from collections.abc import Callable, Container, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlencode

from formation.digest import check_digest, sha256
from formation.errors import FormationError, IntegrityError, MalformedError, UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.long_waits import LongWaits
from formation.network.response import Response
from formation.network.transfer import Run
from formation.oci.descriptor import Descriptor
from formation.oci.media_types import INDEXES, MANIFESTS
from formation.oci.reference import TAG, Reference
from formation.oci.strict_json import MAXIMUM_SIZE, parse_object
from formation.progress import Progress, Silent
from formation.registry.exchange import Exchange
from formation.registry.refusal import NotThere, RegistryError
from formation.registry.registries import Place, Registries, read_registries
from formation.registry.repository import Repository, repository_of
from formation.registry.session import Session
from formation.registry.settings import Settings
from formation.registry.tokens import Scope
from formation.registry.tree import Found

if TYPE_CHECKING:
    from formation.registry.credentials import Credential

_ACCEPT: Final = ", ".join(sorted(INDEXES | MANIFESTS))
_NEXT: Final = r'<([^>]{1,4096})>\s*;[^,]*rel="?next"?'
_PAGE: Final = 1000
_MOST_TAGS: Final = 200_000
_NO_BLOB: Final = frozenset({"BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "DIGEST_INVALID"})
"""What registries answer about a manifest whose blobs they cannot read.

docker-registry 2.8 does so for some milliseconds while another client uploads the same blob: it truncates the file that
links the repository to it before it writes it again. So this is asked again.
"""
_LINK_TRIES: Final = 4
_NO_METHOD: Final = 405


class Registry:
    """A client for any number of registries. A context manager; its methods may be called from any thread."""

    def __init__(self, settings: Settings, progress: Progress | None = None) -> None:
        self.settings = settings
        self.progress: Progress = progress or Silent()
        self.run = Run(settings.pause, LongWaits(self.progress.note, settings.clock))
        """All transfers; `cancel` ends them."""
        self._exchange = Exchange(settings)
        self._registries: Registries | None = None
        self._sessions: dict[tuple[Repository, bool], Session] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exchange.close()

    def session(self, repository: Repository, *, insecure: bool = False) -> Session:
        """The session for exactly this repository; mirrors do not count."""
        with self._lock:
            session = self._sessions.get((repository, insecure))
            if session is None:
                session = Session(
                    repository,
                    self._exchange,
                    self.settings,
                    lambda: self._login(repository),
                    self.run,
                    insecure=insecure,
                )
                self._sessions[repository, insecure] = session
            return session

    def target(self, reference: Reference) -> Session:
        """Where `reference` is written to: as registries.conf places it, never a mirror."""
        place = self._places(reference)[-1]
        return self.session(place.repository, insecure=place.insecure)

    def find(self, reference: Reference) -> tuple[tuple[Session, ...], Found]:
        """The manifest or index of `reference`, and where it and its blobs are, in the order to ask.

        A mirror that lacks it, refuses or cannot be reached is passed over. Raises NotThere, LoginNeeded,
        UnreachableError, IntegrityError.
        """
        places = [place for place in self._places(reference) if reference.digest or not place.by_digest_only]
        sessions = tuple(self.session(place.repository, insecure=place.insecure) for place in places)
        for number, session in enumerate(sessions):
            try:
                return sessions[number:], manifest(session, reference.digest or reference.tag or "latest")
            except FormationError as error:
                if number == len(sessions) - 1:
                    if isinstance(error, NotThere) and "NAME_UNKNOWN" not in error.codes:
                        error.hint = f"what is there: formation tags {reference.repository}"
                    raise
                self.progress.note(f"the mirror {session.repository.host} is passed over: {error.message}")
        raise AssertionError("the last place raises")

    def _login(self, repository: Repository) -> "Credential | None":
        # Only for a server that asks for one.
        from formation.registry.credentials import find_credential

        return find_credential(self.settings.environment, repository)

    def _places(self, reference: Reference) -> tuple[Place, ...]:
        with self._lock:
            if self._registries is None:
                self._registries = read_registries(self.settings.environment)
        return self._registries.places(repository_of(reference))


def manifest(session: Session, name: str, *, size: int | None = None) -> Found:
    """The manifest or index with the tag or digest `name`, of `size` bytes unless that is None.

    Raises NotThere, IntegrityError when bytes and digest differ, MalformedError over 4 MiB.
    """
    what = f"{session.repository}{'@' if ':' in name else ':'}{name}"
    target = f"{session.repository.path}/manifests/{name}"
    data, headers = session.read(target, what, session.scope("pull"), headers={"Accept": _ACCEPT})
    digest = sha256(data)
    promised = name if ":" in name else headers.get("Docker-Content-Digest", digest)
    # A registry may promise in another algorithm; that promise cannot be held against a sha256.
    if promised.startswith("sha256:") and promised != digest:
        raise IntegrityError(f"{what} has the digest {digest}, but {check_digest(promised)} was promised")
    if size is not None and len(data) != size:
        raise IntegrityError(f"{what} has {len(data)} bytes, but its descriptor promises {size}")
    json = parse_object(data, what)
    media_type = json.optional_text("mediaType") or headers.get("Content-Type", "").partition(";")[0].strip()
    if media_type not in INDEXES | MANIFESTS:
        raise MalformedError(f"{what} is {media_type[:100]!r}, which is neither an image nor an index")
    return Found(Descriptor(media_type, digest, len(data)), data)


def tag_digest(session: Session, tag: str) -> str | None:
    """The digest that `tag` stands for now; None when there is no such tag."""
    what, scope = f"{session.repository}:{tag}", session.scope("pull")
    target = f"{session.repository.path}/manifests/{tag}"
    try:
        found = _head(session, target, what, scope, headers={"Accept": _ACCEPT})
        digest = None if found is None else found.headers.get("Docker-Content-Digest")
        # The header is optional; whoever leaves it out is asked for the manifest itself.
        return check_digest(digest) if digest else manifest(session, tag).descriptor.digest
    except NotThere:
        return None


def version_digest(session: Session, tag: str, listed: Callable[[], Container[str]]) -> str | None:
    """As `tag_digest`. Raises FormationError when there is no such tag although it is among the tags `listed`.

    Only one of the two answers can be true, and who believes the 404 writes over a version. `listed` is called only
    after a 404.
    """
    try:
        digest = tag_digest(session, tag)
    except UnreachableError as error:
        # docker-registry fails so for ever where the manifest is cut on its disk.
        hint = (
            "run it again later; where it stays so, mend the registry's storage, or give this content the next version"
        )
        raise UnreachableError(error.message, hint=error.hint or hint) from error
    if digest is None and tag in listed():
        raise FormationError(
            f"{session.repository}:{tag} is in the list of tags, but asking for it gives 404: whether it is there "
            "cannot be known, and no tag was written",
            hint="run it again later, for a list may lag behind a removal; or give this content the next version; or, "
            f"where the registry has lost it: formation copy IMAGE docker://{session.repository}:{tag} --force",
        )
    return digest


def tags(session: Session, *, required: bool = False) -> tuple[str, ...]:
    """All tags of a repository, sorted; empty when there is no such repository, unless it is `required`.

    Raises MalformedError for pages without end, which a broken or hostile registry links in a circle; NotThere when a
    required repository is not there.
    """
    what, scope = f"the tags of {session.repository}", session.scope("pull")
    target = f"{session.repository.path}/tags/list?{urlencode({'n': _PAGE})}"
    found: set[str] = set()
    asked: set[str] = set()
    while target:
        asked.add(target)
        try:
            data, headers = session.read(target, what, scope)
        except NotThere:
            if required:
                raise
            return ()
        page = parse_object(data, what).texts("tags")
        # A tag becomes a part of URLs, and of messages.
        if wrong := next((tag for tag in page if not TAG.fullmatch(tag)), None):
            raise MalformedError(f"{what}: {wrong[:100]!r} is among them, which is no tag")
        grown = found.union(page)
        if len(grown) > _MOST_TAGS:
            raise MalformedError(f"{what}: more than {_MOST_TAGS}")
        following = re.search(_NEXT, headers.get("Link", ""))
        next_target = "" if following is None else session.local(following[1], target)
        if next_target and (next_target in asked or len(grown) == len(found)):
            raise MalformedError(f"{what}: the registry's pages never end")
        found, target = grown, next_target
    return tuple(sorted(found))


def put_manifest(
    session: Session, data: bytes, media_type: str, name: str, *, guard: Callable[[], None] = lambda: None
) -> None:
    """Makes the tag or digest `name` stand for `data`, whose blobs are there. Idempotent. Raises RegistryError.

    `guard` is called before each attempt, and raises when it is too late for one.
    """
    if len(data) > MAXIMUM_SIZE:
        raise FormationError(f"the manifest has {len(data)} bytes; registries take at most {MAXIMUM_SIZE}")
    what = f"writing {session.repository}{'@' if ':' in name else ':'}{name}"
    failures = 0
    while True:
        try:
            answer = session.call(
                "PUT",
                f"{session.repository.path}/manifests/{name}",
                what,
                session.scope("pull", "push"),
                headers={"Content-Type": media_type},
                body=data,
                guard=guard,
            )
            break
        except RegistryError as error:
            failures += 1
            if failures == _LINK_TRIES or not error.codes or not _NO_BLOB.issuperset(error.codes):
                raise
            session.run.pause(session.settings.patience.delay(failures, None))
    stored = answer.headers.get("Docker-Content-Digest")
    if stored and stored.startswith("sha256:") and stored != sha256(data):
        raise IntegrityError(f"{what}: the registry stored {check_digest(stored)} instead of {sha256(data)}")


def delete_manifest(session: Session, digest: str) -> None:
    """Removes the manifest and every tag on it. Raises RegistryError where the registry does not allow that."""
    target = f"{session.repository.path}/manifests/{digest}"
    what = f"removing {session.repository}@{digest}"
    session.call("DELETE", target, what, session.scope("pull", "push", "delete"))


def has_blob(session: Session, descriptor: Descriptor, right: str, *more: str) -> bool:
    """Whether the repository has the blob. The rights are those that are needed afterwards: pull alone, or push too."""
    return blob_size(session, descriptor, right, *more) == descriptor.size


def blob_size(session: Session, descriptor: Descriptor, right: str, *more: str) -> int | None:
    """How many bytes the repository has of the blob, all where it does not say; None: it has none. See `has_blob`."""
    target, what = f"{session.repository.path}/blobs/{descriptor.digest}", f"blob {descriptor.digest}"
    scope = session.scope(right, *more)
    try:
        head = _head(session, target, what, scope)
        right_length = (None, str(descriptor.size))
        if head is not None and head.status == 200 and head.headers.get("Content-Length") in right_length:
            return descriptor.size
        # A gateway may give the length of its own empty body. What comes with the bytes is theirs.
        answer = session.open(target, what, scope, start=0)
        answer.close()
        return descriptor.size if answer.length is None else answer.length
    except (NotThere, FailedAttempt):
        return None
    except UnreachableError as error:
        raise session.failed(what, error) from error


def _head(
    session: Session, target: str, what: str, scope: Scope, *, headers: Mapping[str, str] | None = None
) -> Response | None:
    """The answer to HEAD; None from a registry, or a gateway before it, that has only GET. Raises as `Session.call`."""
    try:
        return session.call("HEAD", target, what, scope, headers=headers)
    except RegistryError as error:
        if error.status == _NO_METHOD:
            return None
        raise


def small_blob(session: Session, descriptor: Descriptor) -> bytes:
    """The whole blob, such as a config. Raises IntegrityError, also over 4 MiB, and as `Session.read`."""
    what = f"blob {descriptor.digest} of {session.repository}"
    target = f"{session.repository.path}/blobs/{descriptor.digest}"
    data, _ = session.read(target, what, session.scope("pull"), json=False)
    if sha256(data) != descriptor.digest or len(data) != descriptor.size:
        raise IntegrityError(f"{what} has the digest {sha256(data)}")
    return data
