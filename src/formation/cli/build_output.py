"""What `formation build` gives: the image where it is wanted, and what it tells about it."""

import os
import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.text import counted, size_text

if TYPE_CHECKING:
    from formation.build.recall import BuiltImage
    from formation.build.service import ServicePlan
    from formation.definition.values import Definition
    from formation.lock.model import Lock
    from formation.progress import Progress


def check_output(arguments: Namespace, context: Context) -> Context:
    """Raises UsageError for an output that cannot be. Gives the context for what is told of the build: an archive may
    go to stdout."""
    if not arguments.output:
        # Most builds: what follows imports more than recalling an image does.
        return context
    from formation.errors import UsageError
    from formation.oci.layout import holds_other_things
    from formation.oci.name import check_layout_tag, parse_name

    for output in arguments.output:
        if not output.startswith(("oci:", "docker-archive:")):
            raise UsageError(
                f"--output: images cannot be written to {output!r}", hint="write oci:DIR[:TAG] or docker-archive:FILE"
            )
        if (tag := parse_name(output).tag) is not None:
            check_layout_tag(tag)
        place = _place(context, output)
        context.store.refuse_as_output(place)
        if not place.parent.is_dir():
            hint = f"mkdir -p {shlex.quote(str(place.parent))}"
            raise UsageError(f"--output: there is no directory {place.parent}", hint=hint)
        is_layout = output.startswith("oci:")
        if place.exists() and place.is_dir() != is_layout:
            wanted = "a directory, as oci: wants" if is_layout else "a file, as docker-archive: wants"
            raise UsageError(f"--output: {place} is not {wanted}", hint="name another one, or remove it")
        if is_layout and place.exists() and holds_other_things(place):
            raise UsageError(f"--output: {place} is not empty, and no OCI layout", hint="name a new directory")
        # An archive takes the place of a file, that at the end of a link, in one step, which its directory must permit.
        in_place = place.exists() and (is_layout or not place.is_file())
        written = place if in_place else Path(os.path.realpath(place)).parent
        if not os.access(written, os.W_OK):
            raise UsageError(f"--output: {written} cannot be written to", hint="name another place")
        if not arguments.dry_run:
            context = context.beside(place)
    return context


def deliver(arguments: Namespace, context: Context, built: "BuiltImage", progress: "Progress") -> list[str]:
    """Writes the image where --output and --load say; gives a line for each place."""
    from formation.oci.reference import parse_reference

    places = []
    for output in arguments.output:
        progress.start("output", 0)
        _write(context, output, built)
        progress.finish("output", output)
        places.append(f"written to {output}")
    for engine in dict.fromkeys(arguments.load):
        from formation.engines.engine import Engine
        from formation.engines.load import load

        progress.start("load", 0)
        for reference in built.references:
            load(built.image, parse_reference(reference), Engine(engine, context.environment))
        progress.finish("load", engine)
        places.append(f"loaded into {engine}")
    return places


def _place(context: Context, name: str) -> Path:
    """The path of a layout or archive."""
    from formation.oci.name import parse_name

    return context.directory / (parse_name(name).path or Path())


def _write(context: Context, name: str, built: "BuiltImage") -> None:
    from formation.oci.archive import save_archive
    from formation.oci.layout import write_layout
    from formation.oci.name import Transport, parse_name
    from formation.oci.reference import parse_reference

    wanted, path = parse_name(name), _place(context, name)
    own = parse_reference(built.references[0])
    if wanted.transport is Transport.LAYOUT:
        write_layout(path, built.image, wanted.tag or own.tag)
    else:
        save_archive(path, built.image, [wanted.reference or own])


def say_plan(arguments: Namespace, context: Context, definition: "Definition", lock: "Lock") -> None:
    """Tells what a build would do."""
    names = frozenset(variant.name for variant in definition.lineage(arguments.variant))
    packages = lock.of(arguments.arch, names)
    missing = [p for p in packages if not context.store.download(p.sha256).exists()]
    reference = f"{definition.name}:{definition.tag(arguments.variant)}"
    size = sum(package.size for package in missing)
    if arguments.json:
        context.write_json({"reference": reference, "packages": len(packages), "download": size})
    else:
        context.write(
            f"would build {reference} for {arguments.arch} from {counted(len(packages), 'package')}, "
            f"{size_text(size)} to download\n"
        )


def say_service_plan(arguments: Namespace, context: Context, plan: "ServicePlan") -> None:
    """Tells what a build of a service would do."""
    missing = [each for each in plan.packages if not context.store.download(each.sha256).exists()]
    size = sum(package.size for package in missing)
    reference = f"{plan.service.name}:{plan.service.version}"
    if arguments.json:
        data = {"reference": reference, "base": plan.base.digest, "packages": len(plan.packages), "download": size}
        context.write_json(data)
    else:
        what = f"{counted(len(plan.packages), 'more package')}, {size_text(size)} to download, and "
        context.write(
            f"would build {reference} for {plan.architecture} on {plan.service.base} with {what}"
            f"{counted(len(plan.files), 'file')}\n"
        )


def say_built(
    arguments: Namespace, context: Context, built: "BuiltImage", seconds: float, places: Sequence[str]
) -> None:
    """Tells what was built, and how long it took."""
    if arguments.json:
        context.write_json(as_data(built, seconds))
    else:
        context.write(told(built, seconds, context, places, _run_line(arguments, context, built)))


def as_data(built: "BuiltImage", seconds: float) -> dict[str, Any]:
    """What was built, for programs."""
    return {
        "reference": built.references[0],
        "references": list(built.references),
        "digest": built.image.digest,
        "size": built.image.size,
        "layers": len(built.image.manifest.layers),
        "packages": built.packages,
        **({"base_layers": built.base_layers} if built.base_layers else {}),
        "seconds": round(seconds, 3),
        "reused": built.reused,
        **lock_data(built),
    }


def lock_data(built: "BuiltImage") -> dict[str, Any]:
    """Which lock an image is of, for programs."""
    from formation.oci.annotations import LOCK_DIGEST

    return {"lock": built.image.manifest.annotations.get(LOCK_DIGEST), "relocked": built.relocked}


def told(built: "BuiltImage", seconds: float, context: Context, places: Sequence[str], run: str) -> str:
    """What was built, for people; `run` is what to type to run it."""
    reference = built.references[0]
    rows = [
        ("image", ", ".join(built.references)),
        ("digest", built.image.digest),
        *_shown_size(built),
        ("time", f"{seconds:.1f} s{', nothing had changed' if built.reused else ''}"),
        ("store", str(context.store.root)),
        *(("also", place) for place in places),
        ("look", f"{context.program} inspect {reference}"),
    ]
    rows.append(("run", run))
    return "".join(f"{name:<10}{text}\n" for name, text in rows)


def _run_line(arguments: Namespace, context: Context, built: "BuiltImage") -> str:
    """What to type to run the image, loading it first unless an engine has it already."""
    engine = next(iter(arguments.load), "docker")
    run = f"{engine} run --rm {built.references[0]}"
    if arguments.load:
        return run
    variant = [] if arguments.variant == "runtime" else ["--variant", arguments.variant]
    architecture = ["--arch", arguments.arch] if arguments.arch else []
    words = shlex.join(["build", arguments.directory, *variant, *architecture, "--load", engine])
    return f"{context.program} {words} && {run}"


def _shown_size(built: "BuiltImage") -> Iterator[tuple[str, str]]:
    """Size and packages, of a service apart from those of its base."""
    layers = built.image.manifest.layers
    yield "size", f"{size_text(built.image.size)} in {counted(len(layers), 'layer')}"
    if not built.base_layers:
        yield "packages", str(built.packages)
        return
    own = layers[built.base_layers :]
    yield (
        "its own",
        f"{size_text(sum(layer.size for layer in own))} in {counted(len(own), 'layer')}, above those of the base",
    )
    yield "packages", f"{built.packages} of its own"
