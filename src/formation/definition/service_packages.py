"""The packages of a service as a definition of their own: what locks, explains and fetches packages takes those."""

from formation.debian.archive import Archive
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import RUNTIME, Definition, Variant


def package_definition(service: ServiceDefinition, archives: tuple[Archive, ...]) -> Definition:
    """A definition whose only variant, `runtime`, asks for what `service` adds to its base, and has nothing else.

    `archives` are the service's own, or those of its base.
    """
    runtime = Variant(
        name=RUNTIME,
        extends=None,
        description=service.description,
        packages=service.packages,
        without=service.without,
        groups=(),
        users=(),
        directories=(),
        files=(),
        config=service.config,
    )
    return Definition(
        path=service.path,
        name=service.name,
        version=service.version,
        description=service.description,
        architectures=service.architectures,
        archives=archives,
        recommends=service.recommends,
        essential=False,
        path_excludes=(),
        path_includes=(),
        layer_budget=1,
        compression="gzip",
        variants=(runtime,),
        digest=service.digest,
        shown_path=service.shown_path,
        package_lines=service.package_lines,
        lines={str(path[0]): line for path, line in service.lines.items() if len(path) == 1},
        archive_lines=_archive_lines(service),
    )


def _archive_lines(service: ServiceDefinition) -> dict[str, int]:
    """The lines of the archives that the service writes out: those of its distribution come before them."""
    count = sum(len(path) == 2 and path[0] == "archives" for path in service.lines)
    own = (service.archives or ())[-count:] if count else ()
    return {archive.name: service.lines["archives", index] for index, archive in enumerate(own)}
