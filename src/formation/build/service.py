"""Everything that decides the image of a service, and the checks that find what is wrong before anything is built."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from formation import __version__
from formation.build.base_files import BaseFiles
from formation.build.opened_base import Places, open_base
from formation.build.programs import Providers
from formation.build.recall import IMAGE_FORMAT
from formation.build.service_checks import Findings, check_files, check_redeclared, unwritable_volumes
from formation.contents.filesystem import Filesystem
from formation.dataclass import dataclass, replace
from formation.debian.administration import STATUS
from formation.debian.installed import installed_packages
from formation.debian.package import BinaryPackage
from formation.definition.base_accounts import check_base_accounts
from formation.definition.service_files import collect
from formation.definition.service_values import CollectedFile, ServiceDefinition
from formation.digest import sha256
from formation.errors import DefinitionError, UsageError, quoted
from formation.install.additions import pinned
from formation.lock.lockfile import lock_path
from formation.lock.model import Lock, LockedPackage
from formation.lock.service_check import service_staleness
from formation.oci.image import Image

PLAN_FORMAT = 1
"""Part of a service's key: a change of what is made of the same plan must raise it."""

Read = Callable[[Image], BaseFiles]
"""Reads the file system of an image."""
Fetch = Callable[[Sequence[LockedPackage]], Sequence[Path]]
"""Brings packages into the store; gives their files."""


class StaleLockError(UsageError):
    """The lock is not of this service, or of what its base is now."""


@dataclass(frozen=True, slots=True)
class Means:
    """What planning a service uses of the world."""

    places: Places
    read: Read
    fetch: Fetch
    providers: Providers


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Everything that decides the image of a service.

    Its layers are those of the base, one for the packages when there are any, and one for the rest.
    """

    service: ServiceDefinition
    architecture: str
    base: Image
    """In the store."""
    lock: Lock
    lock_text: str
    packages: tuple[LockedPackage, ...]
    """What the service adds to the base, sorted by name."""
    path_filters: tuple[tuple[str, ...], tuple[str, ...]]
    """Patterns of what the base's dpkg leaves out of packages, and keeps all the same."""
    files: tuple[CollectedFile, ...]
    """By path, none of which leads through a symbolic link of the base; what is on this machine is pinned."""
    below: Filesystem
    """What is in the base: decided by its digest."""
    notes: tuple[str, ...] = ()
    """What is no error, and better known, each with file and line."""

    @property
    def packages_key(self) -> str:
        """The name of the package layer: equal keys, equal layers. The service's own files have no part in it."""
        packages = [(each.name, each.sha256) for each in self.packages]
        return _key(self.base.digest, self.architecture, packages, self.lock.epoch, self.path_filters)

    @property
    def key(self) -> str:
        """The name of the build: equal keys, equal images."""
        service = self.service
        files = [
            (each.path, each.kind.value, each.mode, each.owner, each.group, each.target, _content(each))
            for each in self.files
        ]
        says = (service.name, service.version, service.description, service.base, service.config, service.ports)
        return _key(
            self.packages_key,
            self.lock_text,
            says,
            service.health_check,
            (service.groups, service.users, service.directories),
            files,
        )


def plan_service(
    service: ServiceDefinition, lock: Lock, lock_text: str, architecture: str, means: Means
) -> ServicePlan:
    """The plan for the image of `service` on a Debian architecture of it; the caller uses the store.

    Checked in this order: the base is there, the lock is of this service and of that base, and then all at once: users
    and groups, sources, paths, and the programs. Nothing is built, and nothing downloaded but packages of the lock.

    Raises DefinitionError with everything that is wrong, each with file and line; StaleLockError; and what `open_base`
    raises.
    """
    base = open_base(service, architecture, means.places)
    files_of_base = cache(lambda: means.read(base))

    def installed(architecture: str) -> tuple[BinaryPackage, ...]:
        return installed_packages(files_of_base().texts.get(STATUS, b""), architecture, service.base)

    _check_lock(service, service_staleness(service, lock, {architecture: base.digest}, installed))
    there = files_of_base()
    packages = lock.packages[architecture]
    findings = Findings()
    with findings.collected():
        _check_dpkg(service, packages, there)
    with findings.collected():
        check_base_accounts(service, there.users, there.groups)
    with findings.collected():
        check_redeclared(service, there)
    files: tuple[CollectedFile, ...] = ()
    with findings.collected():
        files = check_files(
            service,
            collect(service),
            architecture,
            there,
            base.config.execution,
            lambda: means.fetch(packages) if packages else (),
            means.providers,
            findings,
        )
    findings.check()
    return ServicePlan(
        service,
        architecture,
        base,
        lock,
        lock_text,
        packages,
        there.path_filters,
        tuple(map(_pinned, files)),
        there.merged,
        # What packages bring is not known yet.
        () if packages else tuple(unwritable_volumes(service, files, there)),
    )


def _check_lock(service: ServiceDefinition, reason: str | None) -> None:
    """Raises StaleLockError when there is a reason why the lock is stale."""
    if reason is not None:
        path = lock_path(service.path)
        raise StaleLockError(f"{path} is stale: {reason}", hint=f"formation lock {quoted(service.path.parent)}")


def _check_dpkg(service: ServiceDefinition, packages: Sequence[LockedPackage], base: BaseFiles) -> None:
    """Raises DefinitionError when `packages` could not be installed: the base's dpkg does that, or one among them."""
    if packages and base.tree.node("usr/bin/dpkg") is None:
        there = {package.name for package in base.merged.packages()[0] if package.installed}
        if "dpkg" not in {package.name for package in packages} - there:
            raise DefinitionError(
                f"{service.place(('packages',))}: {service.base} has no dpkg, and only dpkg can configure packages",
                hint="stand on a base that has a package manager",
            )


def _pinned(file: CollectedFile) -> CollectedFile:
    if file.local is None:
        return file
    now = pinned(file.local, file.path)
    return replace(file, size=now.size, pinned=now)


def _content(file: CollectedFile) -> str | None:
    if file.pinned is not None:
        return file.pinned.digest
    return None if file.content is None else sha256(file.content)


def _key(*facts: object) -> str:
    digest = hashlib.sha256()
    for fact in (__version__, IMAGE_FORMAT, PLAN_FORMAT, *facts):
        text = repr(fact)
        digest.update(f"{len(text)} {text}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
