"""The Authorization header for one repository (distribution, "Token Authentication Specification"; RFC 7617)."""

import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode, urlsplit

from formation.dataclass import dataclass, field
from formation.errors import FormationError, MalformedError
from formation.oci.strict_json import parse_object
from formation.registry.challenge import Challenge

if TYPE_CHECKING:
    from formation.registry.credentials import Credential

Scope = tuple[str, ...]
"""Rights to ask for: `repository:formation/base:pull,push`."""

_DEFAULT_LIFE = 60
"""Seconds that a token holds when its server does not say (token specification)."""
_TOKEN = r"[\x21-\x7e]{1,65536}"


class TokenServer(Protocol):
    """Sends one request to a token server, and gives the body of the answer.

    Raises FailedAttempt, UnreachableError, LoginNeeded.
    """

    def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float
    """In seconds of the clock: when it should be renewed."""


class Authorizer:
    """Gets and keeps the headers. May be used from any thread."""

    def __init__(
        self, login: "Callable[[], Credential | None]", ask: TokenServer, clock: Callable[[], float], *, plain: bool
    ) -> None:
        """`login` is called when a server first wants one. `plain`: the registry itself is spoken to without TLS."""
        self._login = login
        self._ask = ask
        self._clock = clock
        self._plain = plain
        self._credential: Credential | None = None
        self._looked = False
        self._basic: str | None = None
        self._bearer: Challenge | None = None
        self._tokens: dict[Scope, _Token] = {}
        self._lock = threading.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        found = () if self._credential is None else self._credential.secrets
        return (*found, *(token.header.removeprefix("Bearer ") for token in list(self._tokens.values())))

    @property
    def login(self) -> str:
        """Where the login that servers got was found; empty: there was none."""
        return "" if self._credential is None else self._credential.origin

    def header(self, scope: Scope) -> str | None:
        """What to send; None before a server has asked for anything. Renews a token that is about to end."""
        with self._lock:
            if self._basic is not None or self._bearer is None:
                return self._basic
            token = self._tokens.get(scope)
            if token is None or token.until <= self._clock():
                token = self._tokens[scope] = self._fetch(self._bearer, scope)
            return token.header

    def renew(self, scope: Scope, challenges: Sequence[Challenge], refused: str | None) -> str | None:
        """What to send after 401, where `refused` was sent; None when there is nothing else to offer."""
        with self._lock:
            for challenge in challenges:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    self._bearer, self._basic = challenge, None
                    known = self._tokens.get(scope)
                    if known is None or known.header == refused:
                        known = self._tokens[scope] = self._fetch(challenge, scope)
                    return known.header
                if challenge.scheme == "basic" and (credential := self._known_login()) is not None:
                    self._basic = credential.basic if credential.password else None
                    return self._basic if self._basic != refused else None
            return None

    def _known_login(self) -> "Credential | None":
        if not self._looked:
            self._credential, self._looked = self._login(), True
        return self._credential

    def _fetch(self, challenge: Challenge, scope: Scope) -> _Token:
        realm = challenge.parameters["realm"]
        self._check_realm(realm)
        wanted = scope or tuple(challenge.parameters.get("scope", "").split())
        fields = [("service", challenge.parameters.get("service", "")), ("client_id", "formation")]
        credential = self._known_login()
        if credential is not None and credential.identity_token is not None:
            fields += [("grant_type", "refresh_token"), ("refresh_token", credential.identity_token)]
            fields += [("scope", " ".join(wanted))]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            data = self._ask("POST", realm, headers, urlencode(fields).encode())
        else:
            query = urlencode([*fields, *(("scope", each) for each in wanted)])
            headers = {} if credential is None else {"Authorization": credential.basic}
            data = self._ask("GET", f"{realm}{'&' if '?' in realm else '?'}{query}", headers, None)
        return self._token(data)

    def _token(self, data: bytes) -> _Token:
        answer = parse_object(data, "the token server's answer")
        text = answer.optional_text("token") or answer.optional_text("access_token") or ""
        if not re.fullmatch(_TOKEN, text):
            raise MalformedError("the token server's answer has no token")
        life = answer.size("expires_in") if answer.value.get("expires_in") is not None else _DEFAULT_LIFE
        # Renewed a while before its end, so that none ends on the way; half its life where that is short.
        return _Token(f"Bearer {text}", self._clock() + max(life - 15, life / 2))

    def _check_realm(self, realm: str) -> None:
        """The realm gets the password, and the registry says where it is."""
        try:
            parts = urlsplit(realm)
            scheme, host = parts.scheme, parts.hostname
        except ValueError:
            scheme, host = "", None
        if not host or scheme not in ("https", "http"):
            raise MalformedError(f"the registry names {realm[:200]!r} as its token server")
        if scheme == "http" and not self._plain:
            raise FormationError(
                f"the registry sends logins to {host} without TLS, which is refused", hint="allow it: --plain-http"
            )
