"""`formation pull`: an image from a registry into the local store."""

import os
from argparse import Namespace

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, open_registry
from formation.cli.text import counted, size_text


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "pull",
        "bring an image from a registry into the local store",
        """
        Brings an image from a registry into the local store, under the same reference: its tag, or its digest where it
        is named by that alone. Images that come one by one of the same index stand under it together. Every digest and
        size is verified, what the store has is not fetched again, and a transfer that is cut goes on where it was.

        Logins are those of `podman login` and `docker login`; mirrors those of registries.conf. Loopback may be spoken
        to without TLS.
        """,
        """
        formation pull registry.example.com/formation/base:1.0.1
        formation pull docker://localhost:5000/formation/base:1.0.1 --platform linux/arm64
        formation pull registry.example.com/formation/base@sha256:4f2e… --json | jq -r .digest
        """,
    )
    parser.add_argument("image", metavar="IMAGE", help="registry.example.com/formation/base:1.0.1, docker:// or not")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--platform", metavar="OS/ARCH", help="which image of several (default: this machine's)")
    chosen.add_argument("--all-platforms", action="store_true", help="the whole index, with every image in it")
    add_registry_options(parser)
    parser.add_argument("--json", action="store_true", help="print what came as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.oci.descriptor import parse_platform_name
    from formation.oci.name import Transport, parse_name
    from formation.registry.platforms import machine_platform
    from formation.registry.pull import pull_all, pull_image

    text = arguments.image
    name = parse_name(text if text.startswith(Transport.REGISTRY.value) else f"{Transport.REGISTRY.value}{text}")
    with context.progress() as progress, open_registry(arguments, context, progress) as registry:
        if arguments.all_platforms:
            descriptor = pull_all(name, context.store, registry)
            size, layers = None, None
        else:
            platform = parse_platform_name(arguments.platform) if arguments.platform else None
            machine = machine_platform(os.uname().machine)
            image = pull_image(name, context.store, registry, platform=platform, machine=machine)
            descriptor, size, layers = image.descriptor, image.size, len(image.manifest.layers)
    if arguments.json:
        found = {"reference": str(name.reference), "digest": descriptor.digest, "size": size, "layers": layers}
        context.write_json(found)
    else:
        more = "" if size is None or layers is None else f"  {size_text(size)} in {counted(layers, 'layer')}"
        context.write(f"{name.reference}  {descriptor.digest}{more}\n")
    return 0
