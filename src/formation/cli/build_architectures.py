"""`formation build` for several architectures: an image for each, and one name for all of them."""

import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context

if TYPE_CHECKING:
    from formation.build.recall import BuiltImage
    from formation.oci.descriptor import Descriptor
    from formation.progress import Progress

Build = Callable[[Namespace, Context, "Progress"], "BuiltImage"]
"""Builds the image of one architecture, that of the arguments, and gives it its tags."""


def chosen_architectures(arguments: Namespace, context: Context, *, service: bool) -> tuple[str | None, ...]:
    """What the arguments ask for, in the definition's order; None stands for its first, and nothing was read.

    Raises UsageError for an architecture that the definition is not for, and an output that holds one image only.
    """
    asked: str | None = arguments.arch
    if not arguments.all_architectures and "," not in (asked or ""):
        return (asked,)
    from formation.cli.build_steps import require_architecture
    from formation.definition.load import load_definition, load_service
    from formation.errors import UsageError

    path = context.path(arguments.directory)
    definition = load_service(path) if service else load_definition(path)
    known = definition.architectures
    wanted = set(known if asked is None else asked.split(","))
    for name in sorted(wanted):
        require_architecture(definition, name)
    for output in arguments.output if len(wanted) > 1 else ():
        if output.startswith("docker-archive:"):
            raise UsageError(f"{output} holds one image, and {len(wanted)} are asked for", hint="write them to oci:DIR")
    return tuple(name for name in known if name in wanted)


def run_several(
    names: Sequence[str | None], arguments: Namespace, context: Context, build: Build, *, service: bool
) -> int:
    """Builds the images for the architectures `names`, in order; the tags then stand for an index of all.

    When one cannot be built, the tags stand for what is there until then, which is complete.
    """
    from formation.build.recall import tag
    from formation.oci.reference import parse_reference
    from formation.store.images import find_image
    from formation.store.locking import in_use

    began = time.monotonic()
    built: list[BuiltImage] = []
    with context.progress() as progress:
        for name in names:
            progress.note(f"{name}, {len(built) + 1} of {len(names)}")
            built.append(build(_for_one(arguments, name), context, progress))
        with in_use(context.store):
            if service:
                # Its base is a part of what names a service's build, so no build knows those for other architectures.
                tag(context.store, built[0].references, [each.image for each in built])
            root = find_image(context.store, parse_reference(built[0].references[0])).descriptor
            places = _deliver(arguments, context, built, root, progress)
    seconds = time.monotonic() - began
    if arguments.json:
        context.write_json(_as_data(names, built, root, seconds))
    else:
        context.write(_text(names, built, root, seconds, context, places))
    return 0


def plan_several(
    names: Sequence[str | None], arguments: Namespace, context: Context, plan: Callable[[Namespace, Context], int]
) -> int:
    """Says of one architecture after the other what would be built."""
    for name in names:
        plan(_for_one(arguments, name), context)
    return 0


def _for_one(arguments: Namespace, architecture: str | None) -> Namespace:
    return Namespace(**{**vars(arguments), "arch": architecture})


def _deliver(
    arguments: Namespace, context: Context, built: "Sequence[BuiltImage]", root: "Descriptor", progress: "Progress"
) -> list[str]:
    """Writes the index where --output says, and loads the image of this machine; gives a line for each place."""
    from formation.cli.build_output import deliver

    places = []
    for output in arguments.output:
        _write_index(context, output, built[0].references[0], root)
        places.append(f"written to {output}")
    if arguments.load:
        alone = Namespace(**{**vars(arguments), "output": []})
        places += deliver(alone, context, _of_this_machine(built), progress)
    return places


def _write_index(context: Context, output: str, reference: str, root: "Descriptor") -> None:
    from formation.oci.layout import add_to_layout
    from formation.oci.name import parse_name
    from formation.oci.reference import parse_reference
    from formation.registry.tree import tree_at
    from formation.store.blobs import StoreBlobs

    wanted, source = parse_name(output), StoreBlobs(context.store)
    tree = tree_at(source, root)
    path = context.path(str(wanted.path))
    add_to_layout(path, source, tree.blobs, tree.documents, root, wanted.tag or parse_reference(reference).tag)


def _of_this_machine(built: "Sequence[BuiltImage]") -> "BuiltImage":
    """The one that an engine here runs. Raises UsageError when none was built."""
    from formation.errors import UsageError
    from formation.registry.platforms import machine_platform

    machine = machine_platform(os.uname().machine)
    for each in built:
        if each.image.config.platform.architecture == machine.architecture:
            return each
    raise UsageError(f"none of the images is for {machine}, which engines here run", hint="leave --load away")


def _as_data(
    names: Sequence[str | None], built: "Sequence[BuiltImage]", root: "Descriptor", seconds: float
) -> dict[str, Any]:
    from formation.cli.build_output import lock_data

    return {
        "reference": built[0].references[0],
        "references": list(built[0].references),
        "digest": root.digest,
        "images": [
            {
                "architecture": name,
                "digest": each.image.digest,
                "size": each.image.size,
                "layers": len(each.image.manifest.layers),
                "packages": each.packages,
                "reused": each.reused,
                **lock_data(each),
            }
            for name, each in zip(names, built, strict=True)
        ],
        "seconds": round(seconds, 3),
    }


def _text(
    names: Sequence[str | None],
    built: "Sequence[BuiltImage]",
    root: "Descriptor",
    seconds: float,
    context: Context,
    places: Sequence[str],
) -> str:
    from formation.cli.text import counted, size_text

    reference = built[0].references[0]
    rows = [("images", ", ".join(built[0].references)), ("digest", root.digest)]
    for name, each in zip(names, built, strict=True):
        layers = len(each.image.manifest.layers)
        size = f"{size_text(each.image.size)} in {counted(layers, 'layer')}, {counted(each.packages, 'package')}"
        rows.append((str(name), f"{each.image.digest}  {size}"))
    rows += [("time", f"{seconds:.1f} s"), ("store", str(context.store.root)), *(("also", place) for place in places)]
    rows.append(("look", f"{context.program} inspect {reference} --platform {built[-1].image.config.platform}"))
    return "".join(f"{name:<10}{text}\n" for name, text in rows)
