"""The lock that an image was built from, where it is kept beside the image."""

from formation.digest import check_digest
from formation.errors import FormationError, MalformedError
from formation.lock.lockfile import LIMIT, parse_lock
from formation.lock.model import Lock
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.image import Image
from formation.oci.verified import verified


def stored_lock_text(image: Image, name: str) -> str:
    """The lock of `image`, which messages call `name`, as text.

    Raises FormationError when the image names none, or its source does not have it; IntegrityError and MalformedError
    when it is not what the image names.
    """
    digest = image.manifest.annotations.get(LOCK_DIGEST)
    if digest is None:
        raise FormationError(f"{name} does not say from which lock it was built")
    with verified(image.source.open_blob(check_digest(digest)), digest, None, f"lock {digest}") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise MalformedError(f"lock {digest} has more than {LIMIT} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedError(f"lock {digest} is not text") from None


def stored_lock(image: Image) -> Lock | None:
    """The lock that `image` was built from; None when it names none, or its source does not have it in order."""
    try:
        return parse_lock(stored_lock_text(image, "the image"), "its lock")
    except FormationError:
        return None
