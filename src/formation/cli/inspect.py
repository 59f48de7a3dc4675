"""`formation inspect`: what an image consists of."""

import textwrap
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.lock_data import lock_data
from formation.cli.parser import WIDTH, Subparsers, add_command
from formation.cli.text import counted, printable, size_text

if TYPE_CHECKING:
    from formation.oci.image import Image


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "inspect",
        "show an image: its layers with their packages, its config, its lock",
        """
        Shows an image: digest, platform and size, what an engine applies when it runs it, and its layers, base layer
        first, with their packages. Sizes are those of the layers as they are stored, compressed.

        --check also reads every layer and compares digests, sizes and diffIDs; exit code 1 means that the image does
        not keep its own promises.
        """,
        """
        formation inspect formation/base:1.0.0
        formation inspect formation/base:1.0.0 --lock > formation.lock
        formation inspect docker-archive:base.tar --check
        formation inspect oci:build/layout:1.0.0 --json | jq '.layers[].packages[].name'
        """,
    )
    parser.add_argument(
        "image", metavar="IMAGE", help="formation/base:1.0.0, oci:DIR[:TAG], docker-archive:FILE[:REF], …"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--lock", action="store_true", help="print the lock that the image was built from")
    shown.add_argument("--check", action="store_true", help="verify every layer; print what is wrong")
    shown.add_argument(
        "--raw",
        choices=("manifest", "config"),
        metavar="PART",
        help="print the bytes of its `manifest` or `config`, unchanged",
    )
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="which image, where the name stands for several: linux/arm64"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.cli.image_source import chosen_platform
    from formation.oci.name import parse_name
    from formation.registry.platforms import require_platform
    from formation.store.open_image import open_image

    name = parse_name(arguments.image)
    platform = chosen_platform(arguments.platform, name, context)
    with open_image(
        name, context.store, directory=context.directory, environment=context.environment, platform=platform
    ) as image:
        if arguments.platform is not None and platform is not None:
            require_platform(image, platform, str(name))
        if arguments.check:
            return _check(image, arguments, context)
        if arguments.lock:
            _print_lock(image, str(name), arguments, context)
        elif arguments.raw:
            data = image.manifest_bytes if arguments.raw == "manifest" else image.config_bytes
            context.write(data.decode())
        elif arguments.json:
            context.write_json({"name": str(name), **_data(image)})
        else:
            context.write(_text(str(name), image))
    return 0


def _print_lock(image: "Image", name: str, arguments: Namespace, context: Context) -> None:
    """As the file, or as `formation lock --json` prints it."""
    from formation.lock.lockfile import as_file, parse_lock
    from formation.lock.stored import stored_lock_text

    text = stored_lock_text(image, name)
    if arguments.json:
        context.write_json(lock_data(parse_lock(text, f"the lock of {name}")))
    else:
        context.write(as_file(text))


def _check(image: "Image", arguments: Namespace, context: Context) -> int:
    from formation.oci.validate import validate

    with context.progress() as progress:
        progress.start("check layers", 0)
        problems = validate(image)
        progress.finish("check layers", counted(len(image.manifest.layers), "layer"))
    if arguments.json:
        context.write_json({"digest": image.digest, "problems": list(problems)})
    else:
        context.write("".join(f"{problem}\n" for problem in problems) or "every digest, size and diffID is right\n")
    return 1 if problems else 0


def _data(image: "Image") -> dict[str, Any]:
    from formation.oci.annotations import LAYER_KIND, LOCK_DIGEST, layer_packages
    from formation.oci.strict_json import parse_object

    return {
        "digest": image.digest,
        "media_type": image.manifest.media_type,
        "platform": str(image.config.platform),
        "size": image.size,
        "created": image.config.created,
        "lock": image.manifest.annotations.get(LOCK_DIGEST),
        "config": parse_object(image.config_bytes, "image config").value.get("config") or {},
        "annotations": dict(image.manifest.annotations),
        "layers": [
            {
                "digest": layer.descriptor.digest,
                "diff_id": layer.diff_id,
                "size": layer.descriptor.size,
                "media_type": layer.descriptor.media_type,
                "kind": layer.descriptor.annotations.get(LAYER_KIND),
                "packages": [{"name": name, "version": version} for name, version in layer_packages(layer.descriptor)],
            }
            for layer in image.layers
        ],
    }


def _text(name: str, image: "Image") -> str:
    from formation.oci.annotations import LOCK_DIGEST

    fields = [
        ("image", name),
        ("digest", image.digest),
        ("platform", str(image.config.platform)),
        ("size", f"{size_text(image.size)} in {counted(len(image.layers), 'layer')}"),
        ("created", image.config.created or ""),
        ("lock", image.manifest.annotations.get(LOCK_DIGEST, "")),
        *_execution(image),
    ]
    head = "".join(f"{key + ':':<13}{printable(value)}\n" for key, value in fields if value)
    return head + "\nlayers, base layer first:\n" + _layers(image)


def _execution(image: "Image") -> list[tuple[str, str]]:
    import shlex

    execution = image.config.execution
    return [
        ("user", execution.user or "root"),
        ("directory", execution.working_directory),
        ("entrypoint", shlex.join(execution.entrypoint or ())),
        ("command", shlex.join(execution.command or ())),
        ("stop signal", execution.stop_signal),
        *(("environment", variable) for variable in execution.environment),
        *(("volume", volume) for volume in execution.volumes),
        *(("port", port) for port in execution.exposed_ports),
        *(("label", f"{key}={value}") for key, value in sorted(execution.labels.items())),
    ]


def _layers(image: "Image") -> str:
    from formation.oci.annotations import LAYER_KIND, layer_packages

    lines = []
    for number, layer in enumerate(image.layers):
        packages = layer_packages(layer.descriptor)
        kind = layer.descriptor.annotations.get(LAYER_KIND, "")
        count = f"  {counted(len(packages), 'package')}" if packages else f"  {kind}" if kind else ""
        digest = layer.descriptor.digest.removeprefix("sha256:")[:12]
        lines.append(f"{number:>4}  {digest}  {size_text(layer.descriptor.size):>9}{printable(count)}\n")
        listed = printable(", ".join(f"{package} {version}" for package, version in packages))
        lines += [
            f"{line}\n" for line in textwrap.wrap(listed, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        ]
    return "".join(lines)
