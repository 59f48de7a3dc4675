"""What definitions say that an audit can hold an image to, and what they accept in it."""

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from formation.contract.from_definition import lineage_of
from formation.debian.archive import Archive
from formation.definition.audit_exceptions import AuditException
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import Definition
from formation.errors import FormationError, UsageError
from formation.lock.lockfile import lock_path, read_lock
from formation.lock.model import LockedBase
from formation.security.findings import Kind
from formation.security.fingerprints import fingerprints
from formation.security.subject import Declared

_LARGEST_KEY_FILE = 4 << 20


Packages = frozenset[tuple[str, str]]
"""Names and versions."""


def declared_by(
    definitions: Sequence[Definition | ServiceDefinition],
    architecture: str | None,
    installed: Callable[[str], Packages | None],
) -> Declared:
    """What `definitions` say of an image for `architecture`: that of a service, that of its base, or both.

    `installed` gives the packages of the base with a digest, None when it is not at hand; it is asked where the
    definition of a service's base is not among these.
    """
    services = [each for each in definitions if isinstance(each, ServiceDefinition)]
    archives = [(definition, archive) for definition in definitions for archive in definition.archives or ()]
    return Declared(
        packages=_packages(definitions, architecture, installed),
        hosts=frozenset(urlsplit(archive.uri).hostname or "" for _, archive in archives),
        keys=frozenset(key for definition, archive in archives for key in _keys(definition, archive)),
        base=services[-1].base if services else None,
    )


def exceptions_by(definition: Definition | ServiceDefinition, variant: str) -> tuple[AuditException, ...]:
    """What `definition` accepts in its image. Raises UsageError for a variant that a base does not have."""
    if isinstance(definition, ServiceDefinition):
        return definition.exceptions
    return tuple(exception for each in lineage_of(definition, variant) for exception in each.exceptions)


def kind_by(definitions: Sequence[Definition | ServiceDefinition]) -> Kind:
    """What the image of `definitions` is for: they are those of a service with or without its base's, or a base's."""
    return "service" if any(isinstance(each, ServiceDefinition) for each in definitions) else "base"


def _packages(
    definitions: Sequence[Definition | ServiceDefinition],
    architecture: str | None,
    installed: Callable[[str], Packages | None],
) -> Packages | str:
    """Those of the locks, or why not all of them are known."""
    found: set[tuple[str, str]] = set()
    bases: list[LockedBase] = []
    for definition in definitions:
        path = lock_path(definition.path)
        lock = read_lock(path) if path.exists() else None
        if lock is None or architecture not in lock.packages:
            return f"needs a lock {path} for {architecture or 'its architecture'}"
        found.update((package.name, package.version) for package in lock.packages[architecture])
        bases += (base for base in lock.base if base.architecture == architecture)
    if any(isinstance(each, Definition) for each in definitions):
        return frozenset(found)
    for base in bases:
        below = installed(base.digest)
        if below is None:
            return f"needs {base.name} as the lock has it, or its definition too: --definition DIR again"
        found |= below
    return frozenset(found)


def _keys(definition: Definition | ServiceDefinition, archive: Archive) -> Iterator[str]:
    for key in archive.keys:
        path = definition.path.parent / key
        # Names of shipped key sets have no file; theirs are Debian's.
        if "/" not in key and not key.endswith((".asc", ".gpg", ".pgp")):
            continue
        try:
            with path.open("rb") as file:
                yield from fingerprints(file.read(_LARGEST_KEY_FILE))
        except OSError as error:
            raise UsageError(f"cannot read the key file {path}: {error.strerror}") from None
        except FormationError as error:
            raise UsageError(f"the key file {path} is none: {error.message}") from None
