"""The contract that a definition makes, with the versions of its lock."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from formation.contract.promise import (
    Contract,
    DirectoryPromise,
    FilePromise,
    GroupPromise,
    PackagePromise,
    SonamePromise,
    UserPromise,
)
from formation.dataclass import replace
from formation.debian.request import PackageRequest
from formation.definition.image_checks import Checks
from formation.definition.minimal import is_taken
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import RUNTIME, Definition, Directory, File, Group, ImageConfig, User, Variant
from formation.digest import sha256_file
from formation.errors import UsageError
from formation.lock.model import Lock, LockedPackage
from formation.oci.image import Image
from formation.oci.platform_index import version_of

_NEVER_COMPARED = frozenset({"org.opencontainers.image.created", "org.opencontainers.image.revision"})
"""Labels that tell of a build, and not of what was defined."""


def base_contract(definition: Definition, variant: str, architecture: str | None, lock: Lock | None) -> Contract:
    """What the variant of a base promises. With a `lock` every package has its version there.

    Raises UsageError when the definition has no such variant.
    """
    lineage = lineage_of(definition, variant)
    checks = checks_of(definition, variant)
    place = definition.shown_path
    requested = [request for each in lineage for request in each.packages]
    locked: tuple[LockedPackage, ...] = ()
    if lock is not None and architecture in lock.packages:
        locked = lock.of(architecture, frozenset(each.name for each in lineage))
    packages = _packages(definition, requested, locked)
    only = lineage[-1].only
    if only is not None:
        # What else it has follows from the libraries that these need: not even the lock tells.
        packages = {name: packages.get(name, PackagePromise(name, None, None, place)) for name in only}
    above = lineage[:-1] if only is not None else ()
    return _contract(
        f"{place}, variant {variant}" if variant != RUNTIME else place,
        packages.values(),
        [name for each in lineage for name in each.without],
        [group for each in lineage for group in each.groups],
        [user for each in lineage for user in each.users],
        [
            directory
            for each in lineage
            for directory in each.directories
            if each not in above or is_taken(directory.path)
        ],
        [_file(file) for each in lineage for file in each.files if each not in above or is_taken(file.path)],
        lineage[-1].config,
        (),
        checks,
        place,
    )


def lineage_of(definition: Definition, variant: str) -> tuple[Variant, ...]:
    """`variant` and all that it extends, `runtime` first. Raises UsageError when there is none of the name."""
    names = [each.name for each in definition.variants]
    if variant not in names:
        raise UsageError(f"{definition.shown_path} has no variant {variant!r}", hint=f"it has: {', '.join(names)}")
    return definition.lineage(variant)


def variant_of(image: Image, definition: Definition) -> str:
    """The variant of `definition` that `image` says it is, by its version; `runtime` when it says none of them."""
    version = version_of(image)
    return next((each.name for each in definition.variants if version == definition.tag(each.name)), RUNTIME)


def service_contract(service: ServiceDefinition, architecture: str | None, lock: Lock | None) -> Contract:
    """What a service promises beside what its base does. With a `lock` every package has its version there."""
    locked = lock.packages[architecture] if lock is not None and architecture in lock.packages else ()
    packages = _packages(service, service.packages, locked)
    contract = _contract(
        service.shown_path,
        packages.values(),
        service.without,
        service.groups,
        service.users,
        service.directories,
        list(_service_files(service)),
        service.config,
        service.ports,
        service.checks,
        service.shown_path,
    )
    bases = () if lock is None else lock.base
    digest = next((each.digest for each in bases if each.architecture == architecture), None)
    trees = tuple(file.path for file in service.files if file.is_directory)
    return replace(contract, base_digest=digest, trees=trees)


def checks_of(definition: Definition | ServiceDefinition, variant: str) -> Checks:
    """The section `checks`, with those of the variants that `variant` extends; a minimal variant has its own alone."""
    if isinstance(definition, ServiceDefinition):
        return definition.checks
    lineage = definition.lineage(variant)
    if lineage[-1].only is not None:
        # Those of what it extends are about programs that it does not have.
        return lineage[-1].checks
    checks = Checks()
    for each in lineage:
        checks += each.checks
    return checks


def _packages(
    definition: Definition | ServiceDefinition, requested: Sequence[PackageRequest], locked: Sequence[LockedPackage]
) -> dict[str, PackagePromise]:
    """By name. What is `locked` has its version, whatever was requested."""
    found: list[PackageRequest | LockedPackage] = [*requested, *locked]
    return {
        each.name: PackagePromise(each.name, each.version, each.architecture, definition.place_of_package(each.name))
        for each in found
    }


def _contract(
    source: str,
    packages: Iterable[PackagePromise],
    forbidden: Iterable[str],
    groups: Iterable[Group],
    users: Iterable[User],
    directories: Iterable[Directory],
    files: list[FilePromise],
    config: ImageConfig,
    ports: tuple[str, ...],
    checks: Checks,
    place: str,
) -> Contract:
    return Contract(
        source=source,
        packages=tuple(sorted(packages, key=lambda each: each.name)),
        forbidden=tuple(sorted(set(forbidden))),
        users=tuple(
            UserPromise(
                each.name, each.uid, each.group, tuple(sorted(each.groups)), each.home, each.shell, place=each.place
            )
            for each in users
        ),
        groups=tuple(GroupPromise(each.name, each.gid, each.place) for each in groups),
        directories=tuple(
            DirectoryPromise(each.path, each.owner, each.group, each.mode, each.place) for each in directories
        ),
        files=tuple(files),
        environment=config.environment,
        volumes=config.volumes,
        ports=ports,
        labels=tuple((name, value) for name, value in config.labels if name not in _NEVER_COMPARED),
        user=config.user,
        working_directory=config.working_directory,
        entrypoint=config.entrypoint,
        command=config.command,
        stop_signal=config.stop_signal,
        commands=tuple(sorted(set(checks.in_path))),
        sonames=tuple(SonamePromise(name, (), checks.place) for name in sorted(set(checks.libraries))),
        config_place=place,
    )


def _file(file: File) -> FilePromise:
    if file.content is not None:
        digest = hashlib.sha256(file.content).hexdigest()
    else:
        assert file.source is not None
        digest = sha256_file(file.source).removeprefix("sha256:")
    return FilePromise(file.path, file.owner, file.group, file.mode, digest, file.place)


def _service_files(service: ServiceDefinition) -> Iterator[FilePromise]:
    """Files whose path the definition gives; what a whole directory holds is not promised, nor what a build makes."""
    for file in service.files:
        if file.is_directory:
            continue
        digest = None if file.content is None else hashlib.sha256(file.content).hexdigest()
        place = service.place(file.data_path)
        yield FilePromise(file.path, file.owner, file.group, file.mode, digest, place)
