"""`formation tags`: what a repository of a registry holds."""

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, open_registry
from formation.cli.text import size_text, table

if TYPE_CHECKING:
    from formation.registry.listing import TagEntry


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "tags",
        "list the tags of a repository in a registry",
        """
        Lists the tags of a repository: versions first, the newest above; then the moving tags with the version that
        each stands for now; then all others. Sizes are those of a first pull of all platforms, compressed.

        The time is that of the image's creation; for an image that Formation built it is that of the newest file in its
        packages, since the hour of the build must not change the image. A registry does not say when a tag was written
        or moved; docs/publishing.md tells what follows from the versions.
        """,
        """
        formation tags registry.example.com/formation/base
        formation tags localhost:5000/formation/base --json | jq -r '.tags[] | select(.version) | .tag'
        """,
    )
    parser.add_argument("repository", metavar="REPO", help="registry.example.com/formation/base, docker:// or not")
    add_registry_options(parser)
    parser.add_argument("--json", action="store_true", help="print the tags as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.errors import UsageError
    from formation.oci.name import Transport
    from formation.oci.reference import parse_reference
    from formation.registry.listing import list_tags

    text = arguments.repository.removeprefix(Transport.REGISTRY.value)
    if "/" not in text and (text == "localhost" or not {":", "."}.isdisjoint(text)):
        raise UsageError(f"{text!r} names no repository", hint=f"name one: {text}/formation/base")
    reference = parse_reference(text)
    with context.progress() as progress, open_registry(arguments, context, progress) as registry:
        entries = list_tags(reference, registry)
    if arguments.json:
        context.write_json({"repository": reference.repository, "tags": [_as_data(entry) for entry in entries]})
    elif entries:
        header = ("TAG", "VERSION", "DIGEST", "PLATFORMS", "SIZE", "CREATED")
        context.write(table(header, [_row(entry) for entry in entries], right=frozenset({4})))
    else:
        context.write(f"no tags in {reference.repository}\n")
    return 0


def _row(entry: "TagEntry") -> tuple[str, ...]:
    content = entry.content
    return (
        entry.tag,
        entry.version or "",
        content.digest[7:19],
        " ".join(content.platforms),
        size_text(content.size),
        (content.created or "")[:19],
    )


def _as_data(entry: "TagEntry") -> dict[str, Any]:
    content = entry.content
    return {
        "tag": entry.tag,
        "version": entry.version,
        "digest": content.digest,
        "platforms": list(content.platforms),
        "size": content.size,
        "created": content.created,
    }
