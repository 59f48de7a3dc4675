"""Requests to one repository: authorised, redirected where that is safe, tried again where that may help."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from formation.errors import FormationError, UnreachableError
from formation.network.answers import FailedAttempt
from formation.network.http import MOST_REDIRECTS, REDIRECTS, HttpAnswer, answer_of, drop, redirected
from formation.network.partial import Memory
from formation.network.response import Response
from formation.network.status import status_text
from formation.network.transfer import FailedTransfer, Run, transfer
from formation.network.url import target_of
from formation.oci.strict_json import MAXIMUM_SIZE
from formation.registry.challenge import parse_challenges
from formation.registry.exchange import Body, Exchange
from formation.registry.refusal import InternalError, RegistryError, refusal, refuse_page
from formation.registry.repository import Repository, api_host
from formation.registry.settings import Settings
from formation.registry.tokens import Authorizer, Scope

if TYPE_CHECKING:
    from formation.registry.credentials import Credential


class Session:
    """Speaks to a repository's registry. May be used from any thread."""

    def __init__(
        self,
        repository: Repository,
        exchange: Exchange,
        settings: Settings,
        login: "Callable[[], Credential | None]",
        run: Run,
        *,
        insecure: bool = False,
    ) -> None:
        """`run` ends all transfers at once. `insecure`: the registry need not have TLS."""
        self.repository = repository
        self.settings = settings
        self._exchange = exchange
        self._insecure = insecure
        self._login = login
        self._authorizer: Authorizer | None = None
        self._lock = threading.Lock()
        self._only_400 = True
        self.run = run

    def scope(self, *rights: str) -> Scope:
        """The rights `pull`, `push` in this repository."""
        return (f"repository:{self.repository.name}:{','.join(rights)}",)

    def call(
        self,
        method: str,
        target: str,
        what: str,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> Response:
        """The answer to a request that may be sent twice, its body read and dropped.

        `what` is asked for, for messages; `guard` is called before each attempt. Raises RegistryError and its kinds
        for an answer of 400 and above, and UnreachableError after too many failures.
        """

        failures = 0
        while True:
            self.run.check()
            try:
                guard()
                response = self.attempt(method, target, what, scope, headers=headers, body=body)
                drop(response)
                return response
            except FailedAttempt as failure:
                failures += 1
                try:
                    self.run.pause_after(failure, failures, self.settings.patience)
                except FailedTransfer as error:
                    raise self.failed(what, error) from failure

    def read(
        self, target: str, what: str, scope: Scope, *, headers: Mapping[str, str] | None = None, json: bool = True
    ) -> tuple[bytes, Mapping[str, str]]:
        """A body of at most 4 MiB, and the headers of its answer. Raises as `call`, and IntegrityError beyond.

        `json`: the registry answers so to what is asked, and WebPage is raised for a page in its place.
        """
        sink = Memory(MAXIMUM_SIZE)
        seen: list[Response] = []

        def opener(url: str, *, start: int) -> HttpAnswer:
            response = self.attempt("GET", target, what, scope, headers=headers)
            seen.append(response)
            return answer_of(response, 0)

        try:
            transfer(f"{what} at {self.repository.host}", sink, opener, self.run, self.settings.patience)
        except UnreachableError as error:
            raise self.failed(what, error) from error
        data, answer = sink.bytes(), seen[-1]
        if json:
            refuse_page(data, answer.headers, what, answer.at, self.repository.host, self._base())
        return data, answer.headers

    def open(self, target: str, what: str, scope: Scope, *, start: int) -> HttpAnswer:
        """An open body from byte `start` on. Raises as an Opener of `network.transfer` does, and RegistryError."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        return answer_of(self.attempt("GET", target, what, scope, headers=headers), start)

    def attempt(
        self,
        method: str,
        target: str,
        what: str,
        scope: Scope,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Response:
        """The answer to one request, its body not yet read: below 400, or 416 where a range was asked for.

        `target` is a path of the registry, or a URL that it gave. Raises FailedAttempt, UnreachableError,
        RegistryError and its kinds.
        """
        base = self._base()
        authorizer = self._authorised(base)
        url = urljoin(base, target)
        for _ in range(MOST_REDIRECTS):
            response = self._authorised_send(method, url, headers or {}, body, scope, base, authorizer)
            self._only_400 &= response.status == 400
            if response.status >= 400 and not (response.status == 416 and "Range" in (headers or {})):
                host, registry = urlsplit(url).netloc, self.repository.host
                error = refusal(response, what, host, authorizer.secrets, authorizer.login, registry=registry)
                if self.settings.plain_http and self._only_400 and isinstance(error, RegistryError) and not error.codes:
                    # What servers with TLS answer to those who speak without.
                    error.hint = "it may have TLS: leave --plain-http out"
                raise error
            if response.status not in REDIRECTS:
                return response
            drop(response)
            if method not in ("GET", "HEAD"):
                raise self._led_away(response, what)
            url = self._redirected(url, response.headers.get("Location", ""))
        raise UnreachableError(f"{what}: {self.repository.host} redirects more than {MOST_REDIRECTS} times")

    def failed(self, what: str, error: UnreachableError) -> UnreachableError:
        """`error`, which says only why, for `what` was asked for; with the server where it does not name it."""
        host, reason = self.repository.host, error.message.removeprefix(f"{what}: ")
        at = (error.at if isinstance(error, FailedTransfer) else "") or host
        if at in reason:
            where = ""
        elif at in (host, api_host(host)):
            where = f" ({at})"
        else:
            where = f" ({at}, to which {host} leads)"
        internal = isinstance(error, FailedTransfer) and error.status == 500
        return (InternalError if internal else UnreachableError)(f"{what}: {reason}{where}", hint=error.hint)

    def location(self, response: Response, asked: str) -> str:
        """The URL in the Location of an answer to a request for `asked`. Raises UnreachableError for an unsafe one.

        A registry behind a proxy that ends TLS often names itself with http: then https is meant.
        """
        base = self._base()
        given = response.headers.get("Location", "")
        try:
            parts = urlsplit(urljoin(urljoin(base, asked), given))
            if base.startswith("https:") and parts.scheme == "http" and parts.hostname == urlsplit(base).hostname:
                return f"{base}{parts._replace(scheme='', netloc='').geturl()}"
        except ValueError as error:
            raise self._refused(given) from error
        return self._redirected(base, parts.geturl())

    def local(self, url: str, asked: str) -> str:
        """The path and query of `url`, which an answer to a request for `asked` names.

        Raises UnreachableError when it is another server's, or no URL.
        """
        base = self._base()
        try:
            whole = urljoin(urljoin(base, asked), url)
            if _origin(whole) == _origin(base):
                return urlsplit(whole)._replace(scheme="", netloc="").geturl()
        except (ValueError, UnreachableError) as error:
            shown = url.partition("?")[0][:200]
            raise UnreachableError(f"{self.repository.host} goes on at {shown!r}, which is no URL") from error
        raise UnreachableError(f"{self.repository.host} goes on at another server, {urlsplit(whole).netloc[:200]}")

    def _base(self) -> str:
        """See `Exchange.base`."""
        return self._exchange.base(self.repository.host, self._insecure)

    def _redirected(self, url: str, location: str) -> str:
        """Where `location` leads. Raises UnreachableError, which does not show it: it may be signed with a secret."""
        try:
            return redirected(url, location)
        except UnreachableError as error:
            raise self._refused(location) from error

    def _led_away(self, response: Response, what: str) -> RegistryError:
        """The error for a redirect of what would write: nothing was written, and no redirect is asked to."""
        shown = response.headers.get("Location", "").partition("?")[0][:200]
        return RegistryError(
            f"{what}: {self.repository.host} answers {status_text(response.status)}, which leads to {shown!r}: "
            "writes follow no redirect",
            response.status,
            hint="name the registry by the address that it leads to, and leave --plain-http out where that has https",
        )

    def _refused(self, location: str) -> UnreachableError:
        shown = location.partition("?")[0][:200]
        return UnreachableError(
            f"{self.repository.host} redirects to {shown!r}, which is no URL, or loses the encryption"
        )

    def _authorised_send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body | None,
        scope: Scope,
        base: str,
        authorizer: Authorizer,
    ) -> Response:
        """One answer; after 401 once more, with what the registry asked for. Other hosts never see a login."""
        if _origin(url) != _origin(base):
            return self._exchange.send(method, url, headers, body, self.run)
        sent = authorizer.header(scope)
        for again in (True, False):
            own = {**headers, "Authorization": sent} if sent is not None else headers
            response = self._exchange.send(method, url, own, body, self.run)
            if response.status != 401 or not again:
                return response
            offers = parse_challenges(", ".join(response.headers.getlist("WWW-Authenticate")))
            renewed = authorizer.renew(scope, offers, sent)
            if renewed is None or renewed == sent:
                return response
            drop(response)
            sent = renewed
        raise AssertionError("the loop returns")

    def _authorised(self, base: str) -> Authorizer:
        with self._lock:
            if self._authorizer is None:
                plain = base.startswith("http:")
                self._authorizer = Authorizer(self._login, self._ask_token, self.settings.clock, plain=plain)
            return self._authorizer

    def _ask_token(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> bytes:
        """See `tokens.TokenServer`. Redirects are not followed: they would carry the login along."""
        host = urlsplit(url).netloc
        try:
            response = self._exchange.send(method, url, headers, body, self.run)
        except FailedAttempt as error:
            raise _of_token_server(host, error) from error
        if response.status >= 400:
            secrets = () if self._authorizer is None else self._authorizer.secrets
            login = "" if self._authorizer is None else self._authorizer.login
            registry = self.repository.host
            raise refusal(response, f"the login for {registry} at {host}", host, secrets, login, registry=registry)
        try:
            if response.status != 200:
                raise FormationError(f"the token server {host} answers {status_text(response.status)}")
            data = response.read(MAXIMUM_SIZE + 1)
            what = f"the login for {self.repository.host}"
            refuse_page(data, response.headers, what, host, self.repository.host, self._base())
            return data
        except FailedAttempt as error:
            raise _of_token_server(host, error) from error
        finally:
            response.close()


def _of_token_server(host: str, error: FailedAttempt) -> FailedAttempt:
    reason = f"the token server {host} failed: {error.reason}"
    return FailedAttempt(reason, unconnected=error.unconnected, at=host)


def _origin(url: str) -> tuple[str, str, int]:
    """Which server has `url`. Raises UnreachableError."""
    target = target_of(url)
    return target.scheme, target.host, target.port
