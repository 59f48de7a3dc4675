"""What an error answer of a registry means (OCI distribution-spec 1.1, "Error Codes")."""

from collections.abc import Iterable, Mapping

from formation.errors import FormationError, MalformedError, UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.http import BUSY, retry_after
from formation.network.response import Response
from formation.network.status import status_phrase, status_text
from formation.oci.strict_json import parse_object
from formation.registry.repository import api_host

_MOST = 64 * 1024
_SHOWN = 300


class WebPage(UnreachableError):
    """A page for people came instead of what a registry says: who answers is something else."""


class InternalError(UnreachableError):
    """A registry answered 500 to the last attempt, as docker-registry does for a manifest that is cut on its disk."""


class RegistryError(FormationError):
    """A registry refused. `status` is HTTP's, `codes` are the specification's: `MANIFEST_UNKNOWN`."""

    def __init__(self, message: str, status: int, codes: tuple[str, ...] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = codes


class NotThere(RegistryError):
    """The registry does not have it (404)."""


class LoginNeeded(RegistryError):
    """The registry wants a login, or another one (401, 403)."""


def refusal(
    response: Response, what: str, host: str, secrets: Iterable[str], login: str = "", *, registry: str
) -> FormationError | FailedAttempt:
    """The error for an answer of 400 and above; `what` was asked for, with the login found in `login`.

    `host` answered: the registry itself, or its token server. Logins are those of the `registry`.
    What the server says is shown in part, and with `secrets` blotted out: it may have echoed a header.
    """
    codes, said = _read(response, secrets)
    message = f"{what}: {host} answers {status_text(response.status)}" + (f": {said}" if said else "")
    status = response.status
    if status in BUSY:
        reason = f"{host} answers {status_text(status)}"
        return FailedAttempt(reason, status=status, retry_after=retry_after(response), at=host)
    if status == 401 and login:
        return LoginNeeded(
            f"{message}; the login in {login} was refused", status, codes, hint=f"podman login {registry}"
        )
    if status == 401:
        return LoginNeeded(message, status, codes, hint=f"log in: podman login {registry} (or docker login {registry})")
    if status == 403:
        return LoginNeeded(message, status, codes, hint="the login lacks this right, or is another's")
    if status == 404:
        return NotThere(message, status, codes)
    return RegistryError(message, status, codes)


def refuse_page(data: bytes, headers: Mapping[str, str], what: str, at: str, host: str, base: str) -> None:
    """Raises WebPage where what came from `at` as an answer to a request to `host`, and should be JSON, is HTML.

    `base` is the URL of the registry, for people to look at.

    A gateway gives its page for everything, with 200; to call that damage would send people to the registry's storage.
    """
    typed = headers.get("Content-Type", "").partition(";")[0].strip().lower() == "text/html"
    begin = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if begin != b"<" and (not typed or begin == b"{"):
        return
    where = at if at in ("", host, api_host(host)) else f"{at}, to which {host} leads,"
    raise WebPage(
        f"{what}: {where or host} answers with a web page ({'text/html' if typed else 'it begins with <'}), not as a "
        "registry does: a proxy or a login page stands between",
        hint=f"look at it: curl -sSLi {base}/v2/ (is a proxy missing in https_proxy or no_proxy?)",
    )


def _read(response: Response, secrets: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """Error codes, and the messages as one line. Empty when the body is something else."""
    try:
        data = response.read(_MOST)
        errors = parse_object(data, "error").objects("errors")
        codes = tuple(code for error in errors if (code := error.optional_text("code")))
        said = "; ".join(text for error in errors if (text := error.optional_text("message")))
    except (FailedAttempt, MalformedError):
        return (), ""
    finally:
        response.close()
    # The longest first: one may be the beginning of another, of which the rest would stay.
    for secret in sorted(secrets, key=len, reverse=True):
        said = said.replace(secret, "…")
    shown = "".join(character if character.isprintable() else " " for character in said)[:_SHOWN]
    return codes, "" if shown.lower() == status_phrase(response.status).lower() else shown
