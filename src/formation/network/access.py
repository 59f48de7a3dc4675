"""What opens the servers of archives: certificate authorities and logins.

Sources: apt_auth.conf(5); netrc(5), whose form is the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from formation.dataclass import dataclass, field
from formation.errors import UsageError
from formation.network.url import Target, is_plain_loopback, target_of

_LARGEST: Final = 1 << 20
_WITH_VALUE: Final = frozenset({"login", "password", "account"})


@dataclass(frozen=True, slots=True)
class Access:
    """What opens archives. The default has nothing but the machine's own authorities."""

    authorities: tuple[Path, ...] = ()
    """Files of certificate authorities to trust besides the machine's."""
    logins: Path | None = None
    """A file of logins in the form of apt's auth.conf, which need not be there; None: there is no place for one."""


@dataclass(frozen=True, slots=True)
class _Login:
    machine: str
    """`example.com`, `example.com:8443/path`, with `https://` or `http://` before it or not."""
    name: str
    password: str = field(repr=False)

    def fits(self, target: Target) -> bool:
        """Whether it is meant for `target`. Without a port it is for the usual one, and a path is for all below it."""
        scheme, _, rest = self.machine.rpartition("://")
        host, _, path = rest.partition("/")
        named = host.lower() in (target.authority, target.full_authority) and scheme in ("", target.scheme)
        return named and f"{target.path}/".startswith(f"/{path.rstrip('/')}/" if path.strip("/") else "/")

    @property
    def header(self) -> str:
        """For Authorization (RFC 7617)."""
        import base64  # for few only

        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode("ascii")


class Logins:
    """The logins of a file, read when first asked for."""

    def __init__(self, path: Path | None) -> None:
        """`path`: see `Access.logins`."""
        self._path = path
        self._known: tuple[_Login, ...] | None = None

    def header(self, url: str) -> str | None:
        """What to send for `url`; None: nothing. Without TLS, nobody but this machine gets a login. Raises UsageError.

        As with apt, the first that fits counts.
        """
        if self._known is None:
            self._known = () if self._path is None or not is_there(self._path) else tuple(_read(self._path))
        if not self._known:
            return None
        target = target_of(url)
        if not _is_safe(target):
            return None
        return next((login.header for login in self._known if login.fits(target)), None)

    def remedy(self, url: str, *, sent: bool) -> str:
        """What to do where a server wants a login for `url`, or another one than was `sent`."""
        target = target_of(url)
        path = self._path or "~/.config/formation/auth.conf"
        if sent:
            return f"put the right one into {path}, at the first machine that fits {target.authority}"
        if not _is_safe(target):
            return "a login is sent over https alone: name the archive with https"
        return f"put a login into {path}: machine {target.authority} login NAME password PASSWORD"


def is_there(path: Path) -> bool:
    """Whether `path` is there for this user: HOME may be another's, as under `docker run --user`."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _is_safe(target: Target) -> bool:
    return target.scheme == "https" or is_plain_loopback(target.full_authority)


def _read(path: Path) -> Iterator[_Login]:
    """The logins in a file. Raises UsageError, which shows nothing of it: there may be a password in every word."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode()
    except OSError as error:
        raise UsageError(f"the logins in {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the logins in {path} are not UTF-8") from None
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = iter(" ".join(lines).split())
    machine, found = "", {"login": "", "password": ""}
    for word in words:
        if word in ("machine", "default"):
            yield from _complete(machine, found)
            # netrc's default is for every server: nobody wants to send a password to all of them.
            machine, found = next(words, "") if word == "machine" else "", {"login": "", "password": ""}
        elif word in _WITH_VALUE:
            found[word] = next(words, "")
        else:
            raise UsageError(
                f"{path} is no file of logins: something else stands where machine, login or password is due",
                hint="write it as apt's auth.conf: machine example.com login NAME password PASSWORD",
            )
    yield from _complete(machine, found)


def _complete(machine: str, found: dict[str, str]) -> Iterator[_Login]:
    if machine and found["login"]:
        yield _Login(machine, found["login"], found["password"])
