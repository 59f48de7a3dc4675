"""The contract that an image makes: what it says of itself, and everything that somebody may rely on."""

from formation.contract.facts import Facts
from formation.contract.promise import (
    Contract,
    DirectoryPromise,
    GroupPromise,
    PackagePromise,
    SonamePromise,
    UserPromise,
)
from formation.dataclass import replace
from formation.oci.annotations import layer_packages


def annotated_contract(facts: Facts, name: str) -> Contract:
    """What the image carries as a promise: the packages that its layers are said to hold; empty for most images.

    A service may bring another version of what its base has.
    """
    versions = {name: version for layer in facts.image.manifest.layers for name, version in layer_packages(layer)}
    return Contract(
        source=f"{name}, its annotations",
        packages=tuple(PackagePromise(package, version, None) for package, version in sorted(versions.items())),
    )


def contract_of(facts: Facts, name: str) -> Contract:
    """All that the image `name` has and its users see: for comparing two images, or an image with another's contract.

    Directories are those that no package has: the platform's own.
    """
    execution = facts.image.config.execution
    packaged = {path for listing in facts.listings for path in listing.paths or ()}
    users, groups = facts.user_names, facts.group_names
    found = Contract(
        source=name,
        packages=tuple(
            PackagePromise(each.name, each.version, each.architecture) for each in facts.packages if each.installed
        ),
        users=tuple(
            UserPromise(
                user.name,
                user.uid,
                groups.get(user.gid, str(user.gid)),
                tuple(sorted(group.name for group in facts.groups if user.name in group.members)),
                user.home,
                user.shell,
            )
            for user in sorted(facts.users)
        ),
        groups=tuple(GroupPromise(group.name, group.gid) for group in sorted(facts.groups)),
        directories=tuple(
            DirectoryPromise(
                f"/{path}",
                users.get(node.entry.uid, str(node.entry.uid)),
                groups.get(node.entry.gid, str(node.entry.gid)),
                node.entry.mode,
            )
            for path, node in facts.files
            if node.entry.type == "directory" and path and path not in packaged
        ),
        environment=tuple(facts.environment.items()),
        volumes=execution.volumes,
        ports=execution.exposed_ports,
        labels=tuple(sorted(execution.labels.items())),
        user=execution.user,
        working_directory=execution.working_directory,
        entrypoint=execution.entrypoint,
        command=execution.command,
        stop_signal=execution.stop_signal,
        commands=tuple(facts.commands),
        sonames=tuple(
            SonamePromise(soname, library.elf.provides)
            for soname, library in facts.libraries.sonames(facts.architecture or "").items()
        ),
    )
    return with_defaults(found)


def with_defaults(contract: Contract) -> Contract:
    """`contract` with what engines take where an image's config says nothing (image-spec 1.1, config.md)."""
    return replace(
        contract,
        user=contract.user or "root",
        working_directory=contract.working_directory or "/",
        entrypoint=contract.entrypoint or (),
        command=contract.command or (),
        stop_signal=contract.stop_signal or "SIGTERM",
    )
