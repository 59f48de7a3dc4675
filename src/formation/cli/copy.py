"""`formation copy`: an image from anywhere to anywhere."""

import os
from argparse import Namespace

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, named_repository, open_registry


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "copy",
        "copy an image between the store, layouts, archives, Docker and registries",
        """
        Copies an image byte for byte, so that its digest stays: from and to the local store, oci:DIR[:TAG],
        docker-archive:FILE[:REF], docker-daemon:REF and docker://REF. An index is copied with every image in it, unless
        --platform chooses; an archive and Docker hold one image, that for this machine.

        A registry is sent only what it lacks: what another of its repositories has is mounted from there. The tag of a
        version that has other content there is refused, unless it is forced; `formation publish` writes versions and
        moves 1.0, 1 and latest with them.
        """,
        """
        formation copy formation/base:1.0.1 docker://registry.example.com/test/base:try
        formation copy docker://registry.example.com/formation/base:1.0.1 oci:layout:1.0.1
        formation copy oci:layout:1.0.1 docker-archive:base.tar:formation/base:1.0.1 --platform linux/arm64
        """,
    )
    parser.add_argument("source", metavar="SRC", help="what to copy")
    parser.add_argument("target", metavar="DST", help="where to")
    parser.add_argument("--platform", metavar="OS/ARCH", help="only the image for it: linux/arm64")
    add_registry_options(parser)
    parser.add_argument("--force", action="store_true", help="overwrite the tag of a version in a registry")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be copied where")
    parser.add_argument("--json", action="store_true", help="print what was copied as JSON")


def _refuse_tagless(target: str) -> None:
    """Raises UsageError for a name in a registry without a tag: `latest` goes back only where somebody says so."""
    from formation.errors import UsageError

    named = named_repository(target)
    if named.tag is None and named.digest is None:
        raise UsageError(
            f"{target} has no tag, and latest is written only where it is named",
            hint=f"name one: {target}:TAG (or publish a version: formation publish)",
        )


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.oci.descriptor import parse_platform_name
    from formation.oci.name import Transport, parse_name
    from formation.registry.copy import Place, copy
    from formation.registry.platforms import machine_platform

    source, target = parse_name(arguments.source), parse_name(arguments.target)
    if target.transport is Transport.REGISTRY:
        _refuse_tagless(arguments.target)
    platform = parse_platform_name(arguments.platform) if arguments.platform else None
    if target.transport is Transport.DOCKER_ARCHIVE and target.path is not None and not arguments.dry_run:
        context = context.beside(context.directory / target.path)
    with context.progress() as progress, open_registry(arguments, context, progress) as registry:
        machine = machine_platform(os.uname().machine)
        place = Place(context.store, registry, context.directory, context.environment, machine)
        digest = copy(source, target, place, platform, force=arguments.force, dry_run=arguments.dry_run)
    if arguments.json:
        found = {"source": str(source), "target": str(target), "digest": digest, "dry_run": arguments.dry_run}
        context.write_json(found)
    else:
        context.write(f"{'would copy ' if arguments.dry_run else ''}{source}  {digest}  {target}\n")
    return 0
