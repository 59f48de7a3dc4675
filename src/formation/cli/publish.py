"""`formation publish`: versions into a registry."""

from argparse import Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, named_repository, open_registry
from formation.cli.text import counted, size_text, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.registry.publish import Publication, Published, Step
    from formation.registry.registry import Registry
    from formation.registry.tag_plan import VersionTag

_DONE = {"write": "written", "move": "moved", "there": "was there"}
_WOULD = {"write": "would write", "move": "would move", "there": "is there"}


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "publish",
        "publish a version to a registry, and move 1.0, 1 and latest forward",
        """
        Publishes images under the versions that they carry. The tag of a version is written once: other content under
        it is refused, the same content again changes nothing. Then `1.0`, `1` and `latest` move, forward only; those of
        a variant carry its suffix, as `1.0-dev` does. A pre-release moves nothing. Several images of one version, one
        for each platform, become one index; a version that lacks an architecture of its lock is refused, for it cannot
        be added later.

        Tags move last, when everything that they point to is there. Cut anywhere, nothing is wrong, and running the
        same command again finishes. Of several publishers at once one goes first, and the others wait.
        """,
        """
        formation publish formation/base:1.0.1 formation/base:1.0.1-dev docker://registry.example.com/formation/base
        formation publish oci:build/amd64 oci:build/arm64 docker://registry.example.com/formation/base --dry-run
        """,
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="images of one version or more, from anywhere")
    parser.add_argument("repository", metavar="REPO", help="docker://registry.example.com/formation/base")
    parser.add_argument(
        "--variant",
        metavar="NAME",
        help="the variant of all images, `runtime` for none (default: the end of the version: dev of 1.0.1-dev)",
    )
    add_registry_options(parser)
    parser.add_argument(
        "--incomplete", action="store_true", help="publish although architectures of the lock are missing"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which tags would be written and moved")
    parser.add_argument("--json", action="store_true", help="print what happened to each tag as JSON")
    parser.set_defaults(take_more=_take_more)


def _take_more(arguments: Namespace, words: "Sequence[str]") -> None:
    """Of all words the last is REPO, wherever options stand between them."""
    every = [*arguments.images, arguments.repository, *words]
    arguments.images, arguments.repository = every[:-1], every[-1]


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.cli.signals import ended_as_by_ctrl_c
    from formation.errors import UsageError
    from formation.oci.name import Transport, parse_name
    from formation.registry.publish import publications, publish

    if not arguments.repository.startswith(Transport.REGISTRY.value):
        hint = "it is the last argument: docker://registry.example.com/formation/base"
        raise UsageError(f"{arguments.repository!r} is no repository of a registry", hint=hint)
    repository = named_repository(arguments.repository)
    if repository.digest:
        raise UsageError(f"{repository} has a digest, and content decides that", hint="name the repository alone")
    if repository.tag:
        raise UsageError(f"{repository} has a tag, and versions decide those", hint="name the repository alone")
    names = [parse_name(text) for text in arguments.images]
    with context.progress() as progress, open_registry(arguments, context, progress) as registry, ExitStack() as stack:
        images = [pair for name in names for pair in _open(name, arguments, context, registry, stack)]
        wanted = publications(images)
        if not arguments.incomplete:
            _refuse_incomplete(wanted, context)
        with ended_as_by_ctrl_c():
            published = publish(wanted, repository, registry, store=context.store, dry_run=arguments.dry_run)
    if arguments.json:
        context.write_json(_as_data(str(repository), published, arguments.dry_run))
    else:
        context.write(_text(str(repository), published, arguments.dry_run))
    return 0


def _refuse_incomplete(wanted: "Sequence[Publication]", context: Context) -> None:
    from formation.errors import FormationError
    from formation.release.complete import missing_architectures

    for publication in wanted:
        if missing := missing_architectures(publication.images, context.store):
            raise FormationError(
                f"{publication.tag.text} lacks {', '.join(missing)}, which its lock is for, and a version gets no "
                "platform later",
                hint="build the rest first: formation build DIR --all-architectures (or publish without: --incomplete)",
            )


def _open(
    name: "ImageName", arguments: Namespace, context: Context, registry: "Registry", stack: ExitStack
) -> "list[tuple[VersionTag, Image]]":
    """The images that `name` stands for, open until `stack` closes, each with its version: at least one."""
    from formation.errors import UsageError
    from formation.registry.image_version import image_version
    from formation.registry.open_image import open_tree

    variant = "" if arguments.variant == "runtime" else arguments.variant
    opened = stack.enter_context(
        open_tree(name, context.store, registry, directory=context.directory, environment=context.environment)
    )
    tag = name.tag or (name.reference.tag if name.reference else None)
    images = opened.images()
    if not images:
        raise UsageError(f"{name} has no image: it is an index of none, or holds something else")
    return [(image_version(image, str(name), tag, variant), image) for image in images]


def _text(repository: str, published: "Published", dry_run: bool) -> str:
    from formation.registry.tag_plan import parse_version_tag

    rows = [(step.tag, _word(step, dry_run), (step.after or "")[7:19]) for step in published.steps]
    lines = table(("TAG", "", "DIGEST"), rows)
    lines += "".join(f"{line}\n" for line in _overwritten(repository, published.steps))
    lines += "".join(f"{step.problem}\n" for step in published.steps if step.problem)
    if published.unchanged:
        versions = ", ".join(step.tag for step in published.steps if parse_version_tag(step.tag))
        lines += f"nothing to publish: {repository} has {versions}\n"
    elif published.lacking:
        verb = "would send" if dry_run else "sent again"
        lines += f"{verb} what {repository} has lost of {', '.join(published.lacking)}\n"
    if not published.unchanged and not dry_run:
        sent = sum(each.sent_bytes for each in published.pushed)
        mounted = sum(each.mounted for each in published.pushed)
        lines += f"sent {size_text(sent)}; {counted(mounted, 'blob')} mounted\n"
    return lines


def _overwritten(repository: str, steps: "Sequence[Step]") -> tuple[str, ...]:
    """A line for each newer version whose tag holds another one."""
    found = {step.newer: step.newer_says for step in steps if step.newer and step.newer_says}
    return tuple(
        f"{repository}:{tag} holds an image that calls itself {says}: if somebody wrote over the tag, put back what it "
        f"was: formation copy --force IMAGE docker://{repository}:{tag}"
        for tag, says in found.items()
    )


def _word(step: "Step", dry_run: bool) -> str:
    if step.action == "stays":
        if step.problem is not None:
            return f"stays: it is for {step.newer}, and cannot be read"
        if step.after is None:
            return f"not there: for {step.newer} to write"
        return (
            f"stays: {step.newer} has it" if step.held else f"stays, though it is for {step.newer}: publish that again"
        )
    return (_WOULD if dry_run else _DONE)[step.action]


def _as_data(repository: str, published: "Published", dry_run: bool) -> dict[str, Any]:
    return {
        "repository": repository,
        "dry_run": dry_run,
        "unchanged": published.unchanged,
        "tags": [
            {
                "tag": step.tag,
                "action": step.action,
                "before": step.before,
                "digest": step.after,
                "newer": step.newer,
                "held": step.held if step.action == "stays" and step.problem is None else None,
                "newer_says": step.newer_says,
                "problem": step.problem,
            }
            for step in published.steps
        ],
        "lost": list(published.lacking),
        "sent": sum(each.sent_bytes for each in published.pushed),
        "mounted": sum(each.mounted for each in published.pushed),
    }
