"""Where a repository is asked for: its mirrors, then itself (containers-registries.conf(5), version 2)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from formation.dataclass import dataclass
from formation.errors import FormationError, UsageError
from formation.network.access import is_there
from formation.oci.regular_file import read_regular
from formation.registry.repository import Repository
from formation.registry.settings import user_configuration

_MAXIMUM_SIZE = 1 << 20
_RULED = rb"""(?m)^[ \t]*(?:\[[ \t\["']*registry\b|["']?registry["']?[ \t]*[.=][ \t]*[^"' \t])"""
"""How a table `registry` begins, `[[registry]]` as a rule. Most files have none, such as Debian's own two of comments
and names of images, and the parser takes 5 ms to import."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository can be read."""

    repository: Repository
    insecure: bool = False
    """Whether it may be spoken to without TLS."""
    by_digest_only: bool = False
    """Whether it may be asked for digests, but not for tags."""


@dataclass(frozen=True, slots=True)
class _Rule:
    prefix: str
    """`registry.example.com/namespace`, or `*.example.com`."""
    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[tuple[str, bool, bool], ...]
    """Location, insecure, by digest only; in the order to ask."""


@dataclass(frozen=True, slots=True)
class Registries:
    """What the files say."""

    rules: tuple[_Rule, ...] = ()

    def places(self, repository: Repository) -> tuple[Place, ...]:
        """Where to read `repository`, in the order to try; the last one is where it is written.

        Raises FormationError when the files block it.
        """
        fitting = [(len(rule.prefix), rule) for rule in self.rules if _fits(rule.prefix, repository)]
        if not fitting:
            return (Place(repository),)
        rule = max(fitting, key=lambda pair: pair[0])[1]
        if rule.blocked:
            raise FormationError(f"registries.conf blocks {repository}")
        mirrors = (Place(_moved(repository, rule, at), insecure, exact) for at, insecure, exact in rule.mirrors)
        return (*mirrors, Place(_moved(repository, rule, rule.location), rule.insecure))


def read_registries(environment: Mapping[str, str]) -> Registries:
    """The rules of registries.conf and its registries.conf.d, the user's before the machine's. Raises UsageError.

    CONTAINERS_REGISTRIES_CONF names the only file when it is set.
    """
    rules: dict[str, _Rule] = {}
    for path in _files(environment):
        for rule in _read(path):
            rules[rule.prefix] = rule
    return Registries(tuple(rules.values()))


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    if chosen := environment.get("CONTAINERS_REGISTRIES_CONF"):
        yield Path(chosen)
        return
    config = user_configuration(environment)
    user = config / "containers" if config else None
    machine = Path("/etc/containers")
    places = (machine,) if user is None else (user, machine)
    files = (place / "registries.conf" for place in places)
    first = next((path for path in files if is_there(path) and path.is_file()), None)
    if first is not None:
        yield first
    for place in reversed(places):
        if is_there(place / "registries.conf.d"):
            yield from sorted((place / "registries.conf.d").glob("*.conf"))


def _read(path: Path) -> Iterator[_Rule]:
    data = read_regular(path.resolve(), "registries.conf", _MAXIMUM_SIZE)
    if not re.search(_RULED, data):
        return
    import tomllib

    try:
        value = tomllib.loads(data.decode())
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    entries = value.get("registry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{path}: registry is not a list of tables, which version 2 of the format has")
    for entry in entries:
        location = _text(entry, "location", path)
        prefix = _text(entry, "prefix", path) or location
        if prefix and (location or prefix.startswith("*.")):
            yield _Rule(prefix, location, _flag(entry, "insecure"), _flag(entry, "blocked"), _mirrors(entry, path))


def _mirrors(entry: dict[str, Any], path: Path) -> tuple[tuple[str, bool, bool], ...]:
    only = _flag(entry, "mirror-by-digest-only")
    mirrors = entry.get("mirror", [])
    if not isinstance(mirrors, list) or not all(isinstance(mirror, dict) for mirror in mirrors):
        raise UsageError(f"{path}: mirror is not a list of tables")
    return tuple(
        (
            _text(mirror, "location", path),
            _flag(mirror, "insecure"),
            only or mirror.get("pull-from-mirror") == "digest-only",
        )
        for mirror in mirrors
        if mirror.get("location") and mirror.get("pull-from-mirror") != "tag-only"
    )


def _text(table: dict[str, Any], key: str, path: Path) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise UsageError(f"{path}: {key} is not a string")
    if "@" in value:
        # Not shown: there may be a password in it.
        raise UsageError(
            f"{path}: {key} holds a login, which would not be used", hint="keep logins where `podman login` puts them"
        )
    return value.rstrip("/")


def _flag(table: dict[str, Any], key: str) -> bool:
    return table.get(key) is True


def _fits(prefix: str, repository: Repository) -> bool:
    if prefix.startswith("*."):
        return repository.host.partition(":")[0].endswith(prefix[1:])
    whole = str(repository)
    return whole == prefix or whole.startswith(f"{prefix}/")


def _moved(repository: Repository, rule: _Rule, location: str) -> Repository:
    """`repository` with the prefix of the rule replaced by `location`."""
    if not location:
        return repository
    rest = repository.name if rule.prefix.startswith("*.") else str(repository)[len(rule.prefix) :].lstrip("/")
    host, _, name = f"{location}/{rest}".rstrip("/").partition("/")
    return Repository(host.lower(), name)
