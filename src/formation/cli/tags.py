"""`formation tags`: what a repository of a registry holds."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, named_repository, open_registry
from formation.cli.text import counted, size_text, table

if TYPE_CHECKING:
    from formation.registry.history import Move
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

        CREATED is the day of the image's creation; for an image that Formation built it is that of the newest file in
        its packages, since the hour of the build must not change the image. SINCE is when the tag was written or moved
        to this image, and what it stood for before, as `formation publish` noted down; empty where it did not, as for
        a tag that something else wrote: a registry does not keep it. --json has all that was noted.

        A version's tag whose image calls itself another version is shown with that: something else wrote over it, and
        `formation copy --force` puts back what it was.

        A tag whose manifest or config is broken, missing or refused in the registry is listed as `broken`, beside all
        others; the exit code is 4 then, or 5 where the registry failed.
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
    from formation.registry.listing import list_tags

    reference = named_repository(arguments.repository)
    if reference.tag or reference.digest:
        one = f"formation pull docker://{reference} && formation inspect {reference}"
        hint = f"formation tags {reference.repository} (or about one image: {one})"
        raise UsageError(f"{reference} is one image, and all tags of a repository are listed", hint=hint)
    with context.progress() as progress, open_registry(arguments, context, progress) as registry:
        entries = list_tags(reference, registry)
    versions = {
        entry.content.digest: entry.version
        for entry in entries
        if entry.version and entry.content.digest and entry.says is None
    }
    if arguments.json:
        tags = [_as_data(entry, versions) for entry in entries]
        context.write_json({"repository": reference.repository, "tags": tags})
    elif entries:
        header = ("TAG", "VERSION", "DIGEST", "PLATFORMS", "SIZE", "CREATED", "SINCE")
        context.write(table(header, [_row(entry, versions) for entry in entries], right=frozenset({4})))
    else:
        context.write(f"no tags in {reference.repository}\n")
    _raise_broken(entries, reference.repository)
    return 0


def _raise_broken(entries: "Sequence[TagEntry]", repository: str) -> None:
    """Raises the error for what is broken, of which the first is told; does nothing where nothing is."""
    from formation.errors import IntegrityError, UnreachableError
    from formation.registry.refusal import NotThere, RegistryError

    broken = [(entry.tag, entry.content.problem) for entry in entries if entry.content.problem]
    if not broken:
        return
    tag, first = broken[0]
    hint = "mend the registry's storage: as a rule it takes nothing anew that it believes to have"
    if isinstance(first, NotThere):
        hint = f"send it again: formation copy IMAGE docker://{repository}:{tag} --force"
    elif isinstance(first, UnreachableError):
        # Its own, where what answered is no registry. docker-registry fails so for a manifest that is cut on its disk.
        hint = first.hint or f"run it again later; where it stays so, {hint}"
    elif isinstance(first, RegistryError):
        hint = first.hint or "ask who runs the registry: it gives the tag to nobody, or not to this login"
    more = f" (and {counted(len(broken) - 1, 'tag')} more)" if len(broken) > 1 else ""
    lost = any(isinstance(problem, UnreachableError) for _, problem in broken)
    raise (UnreachableError if lost else IntegrityError)(f"{first.message}{more}", hint=hint)


def _row(entry: "TagEntry", versions: Mapping[str, str]) -> tuple[str, ...]:
    content = entry.content
    return (
        entry.tag,
        f"{entry.version}, but says {entry.says}" if entry.says else entry.version or "",
        content.digest[7:19],
        "broken" if content.problem else " ".join(content.platforms),
        "" if content.problem else size_text(content.size),
        (content.created or "")[:10],
        _since(entry.moved, versions) if entry.moved else "",
    )


def _since(move: "Move", versions: Mapping[str, str]) -> str:
    """`2026-11-24 09:30, before 1.0.0`."""
    when = move.at[:16].replace("T", " ")
    return when if move.before is None else f"{when}, before {versions.get(move.before, move.before[7:19])}"


def _as_data(entry: "TagEntry", versions: Mapping[str, str]) -> dict[str, Any]:
    content = entry.content
    moved = entry.moved
    return {
        "tag": entry.tag,
        "version": entry.version,
        "says": entry.says,
        "digest": content.digest or None,
        "platforms": list(content.platforms),
        "size": None if content.problem else content.size,
        "created": content.created,
        "error": content.problem.message if content.problem else None,
        "since": None if moved is None else moved.at,
        "moves": [
            {
                "at": move.at,
                "before": move.before,
                "version_before": versions.get(move.before or ""),
                "after": move.after,
                "version_after": versions.get(move.after),
            }
            for move in entry.moves
        ],
    }
