"""Whose name and password a registry gets: the files of `podman login` and `docker login`, and credential helpers.

Sources: containers-auth.json(5); Docker's "docker login", "Credential stores" and docker/cli cli/config/configfile.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from formation.dataclass import dataclass, field, replace
from formation.errors import FormationError, MalformedError, UsageError
from formation.network.access import is_there
from formation.oci.regular_file import open_regular
from formation.oci.strict_json import MAXIMUM_SIZE, JsonObject, parse_object
from formation.registry.repository import DOCKER_HUB, Repository
from formation.registry.settings import user_configuration

_DOCKER_HUB_KEYS = (DOCKER_HUB, "index.docker.io", "https://index.docker.io/v1/")
_URL_PATHS = ("", "/", "/v1", "/v1/", "/v2", "/v2/")
_HELPER_SECONDS = 30
_IDENTITY_TOKEN = "<token>"
"""The name that a helper gives where the secret is no password but a token to get tokens with."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A login. It never shows its secret."""

    username: str
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)
    """Stands in for name and password at the token server; None: there is none."""
    origin: str = field(default="", compare=False)
    """Where it was found, for messages: a file, or a credential helper."""

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        text = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(text).decode("ascii")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown, also not as a server may write it that echoes it."""
        plain = [secret for secret in (self.password, self.identity_token) if secret]
        both = f"{self.username}:{self.password}" if self.password else ""
        encoded = [form for secret in (*plain, both) if secret for form in _encoded(secret)]
        # As forms and URLs carry them (RFC 3986): a token server is sent the identity token in a form.
        quoted = [form for secret in (*plain, *encoded) for form in (quote(secret, safe=""), quote_plus(secret))]
        return tuple(dict.fromkeys((*plain, *encoded, *quoted)))


def _encoded(secret: str) -> tuple[str, ...]:
    """`secret` in base64 of both alphabets (RFC 4648), without the padding, which is left out by many."""
    data = secret.encode()
    forms = (base64.b64encode(data), base64.urlsafe_b64encode(data))
    return tuple(text for form in forms for text in (form.decode(), form.decode().rstrip("=")))


def find_credential(environment: Mapping[str, str], repository: Repository) -> Credential | None:
    """The login for `repository`; None: nobody has logged in.

    REGISTRY_AUTH_FILE is the only file when it is set. Else: podman's auth.json below XDG_RUNTIME_DIR and
    XDG_CONFIG_HOME, then Docker's config.json below DOCKER_CONFIG or ~/.docker. The first with a login for the
    repository counts. Raises UsageError for a broken file, and FormationError for a credential helper that fails.
    """
    for path in _files(environment):
        if is_there(path):
            try:
                found = _in_file(path, environment, repository)
            except MalformedError as error:
                # It is the person's own file: nothing from outside is other than it was promised.
                raise UsageError(error.message, hint="mend it, or log in anew: podman login") from None
            if found is not None:
                return found if found.origin else replace(found, origin=str(path))
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    chosen = environment.get("REGISTRY_AUTH_FILE")
    if chosen:
        if not Path(chosen).exists():
            raise UsageError(f"REGISTRY_AUTH_FILE names {chosen}, which does not exist")
        yield Path(chosen)
        return
    home = environment.get("HOME", "")
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    if config := user_configuration(environment):
        yield config / "containers" / "auth.json"
    if docker := environment.get("DOCKER_CONFIG") or (home and f"{home}/.docker"):
        yield Path(docker) / "config.json"


def _in_file(path: Path, environment: Mapping[str, str], repository: Repository) -> Credential | None:
    with open_regular(path, "the login file", follow=True) as file:
        json_file = parse_object(file.read(MAXIMUM_SIZE + 1), f"login file {path}")
    keys = tuple(_keys(repository))
    helpers = json_file.text_map("credHelpers")
    for key in keys:
        if key in helpers and (found := _ask_helper(helpers[key], key, environment)) is not None:
            return found
    entries = json_file.optional_object("auths")
    for key in keys:
        if entries is not None and (entry := _entry(entries, key)) is not None:
            return entry
    if store := json_file.optional_text("credsStore"):
        # A store knows hosts; asked for each of the names under which `docker login` may have filed it.
        hosts = _DOCKER_HUB_KEYS[::-1] if repository.host == DOCKER_HUB else (repository.host,)
        for host in hosts:
            if (found := _ask_helper(store, host, environment)) is not None:
                return found
    return None


def _keys(repository: Repository) -> Iterator[str]:
    """The names under which a login may stand, the most exact first: a namespace goes before its host."""
    parts = repository.name.split("/")
    for length in range(len(parts), 0, -1):
        yield f"{repository.host}/{'/'.join(parts[:length])}"
    if repository.host == DOCKER_HUB:
        yield from _DOCKER_HUB_KEYS
    yield repository.host
    # Old versions of Docker filed logins by URL.
    yield from (f"{scheme}://{repository.host}{path}" for scheme in ("https", "http") for path in _URL_PATHS)


def _entry(entries: JsonObject, key: str) -> Credential | None:
    """The login that `auths` has at `key`; None: none, as in the empty entries that stand for a credsStore's."""
    entry = entries.optional_object(key)
    if entry is None:
        return None
    token = entry.optional_text("identitytoken") or None
    name, password = entry.optional_text("username") or "", entry.optional_text("password") or ""
    if text := entry.optional_text("auth"):
        try:
            name, colon, password = base64.b64decode(text, validate=True).decode().rstrip("\0").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            colon = ""
        if not colon:
            raise MalformedError(f"{entry.what}: its auth is not NAME:PASSWORD in base64") from None
    return Credential(name, password, token) if token or password else None


def _ask_helper(name: str, server: str, environment: Mapping[str, str]) -> Credential | None:
    """What `docker-credential-NAME get` says; None when it has no login for `server`. The server goes by stdin."""
    import shutil  # few have a helper

    if not name or "/" in name:
        raise FormationError(f"the login file names {name[:100]!r}, which is no credential helper")
    helper = f"docker-credential-{name}"
    program = shutil.which(helper, path=environment.get("PATH"))
    if program is None:
        raise FormationError(
            f"the credential helper {helper} for {server} is not installed",
            hint=f"install it, or log in without it: podman login {server}",
        )
    code, said = _run_helper(program, server, environment)
    if code != 0:
        # The protocol has one sentence for "not found", on stdout. Other output is not shown: it may hold a secret.
        if b"credentials not found" in said.lower():
            return None
        raise FormationError(
            f"{helper} gave no login for {server}: exit code {code}", hint=_see_for_yourself(helper, server)
        )
    try:
        answer = json.loads(said[:MAXIMUM_SIZE])
        user, secret = answer["Username"], answer["Secret"]
        # Python's JSON has half characters (\ud800), which no header can carry.
        f"{user}{secret}".encode()
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise FormationError(
            f"{helper} did not answer as a credential helper does", hint=_see_for_yourself(helper, server)
        )
    return Credential("", "", secret, helper) if user == _IDENTITY_TOKEN else Credential(user, secret, None, helper)


def _see_for_yourself(helper: str, server: str, what: str = "says") -> str:
    look = f"see what it {what}: echo {server} | {helper} get"
    return f"{look} (or log in without it: podman login {server})"


def _run_helper(program: str, server: str, environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Exit code and stdout of the helper. Raises FormationError when it cannot be run, or does not end in time.

    What a helper has said when it ends is its answer, also where a process that it started holds its stdout open.
    """
    import subprocess  # takes 3 ms, and few have a helper

    name = Path(program).name
    try:
        helper = subprocess.Popen(
            [program, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        )
    except OSError as error:
        raise FormationError(f"{name} cannot be run: {error.strerror}") from None
    try:
        said, _ = helper.communicate(server.encode(), _HELPER_SECONDS)
    except subprocess.TimeoutExpired as late:
        if helper.poll() is None:
            raise FormationError(
                f"{name} gave no login for {server} in {_HELPER_SECONDS} s, and was ended",
                hint=_see_for_yourself(name, server, "waits for"),
            ) from None
        said = late.output or b""
    finally:
        helper.kill()
        # Not read to their end, as subprocess.run does: what the helper has started may keep them open for ever.
        for pipe in (helper.stdin, helper.stdout):
            if pipe is not None:
                pipe.close()
        helper.wait()
    return helper.returncode, said
