"""`formation verify`: whether an image keeps its promises."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.image_source import add_image_options, opened_image
from formation.cli.parser import Subparsers, add_command
from formation.cli.text import counted, printable
from formation.errors import FormationError, UsageError

if TYPE_CHECKING:
    from formation.contract.checks import Runner
    from formation.contract.findings import Finding
    from formation.contract.promise import Contract
    from formation.contract.verify import Report
    from formation.definition.image_checks import Checks
    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.oci.reference import Reference

_HEADINGS = {
    "image": "image and specification",
    "layers": "layers",
    "base": "base image",
    "packages": "packages",
    "database": "dpkg database",
    "accounts": "users and groups",
    "directories": "directories",
    "files": "files",
    "configuration": "configuration",
    "commands": "commands",
    "libraries": "shared libraries",
    "checks": "checks of the definition",
}


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "verify",
        "tell whether an image keeps its promises",
        """
        Looks at an image without running it, and tells every promise that it breaks: OCI validity, digests and layers;
        the dpkg database and each file's checksum; libraries that programs need; the layers of the base under a
        service. With --contract also what a definition and its lock promise: packages and versions, users, directories,
        files, configuration, and its `checks`.

        Any builder's image will do. Exit code 1 means that a promise is broken. What a layer holds is remembered by
        its digest, so that a second look takes a moment.
        """,
        """
        formation verify formation/base:1.0.0 --contract docker/base
        formation verify docker-daemon:formation/base:latest --contract docker/base --run docker
        formation verify my/service:2.1.0 --contract docker/base --derived
        formation verify docker-archive:service.tar --json | jq '.findings[].message'
        """,
    )
    add_image_options(parser)
    parser.add_argument(
        "--contract",
        metavar="PATH",
        help="a formation.yaml or its directory (default: what the image says of itself)",
    )
    parser.add_argument("--variant", metavar="NAME", help="of the contract (default: as the image's version says)")
    parser.add_argument(
        "--derived", action="store_true", help="the image stands on that of the contract: it may run something else"
    )
    parser.add_argument(
        "--run", choices=("docker", "podman"), metavar="ENGINE", help="run the command checks in `docker` or `podman`"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    for option in ("variant", "derived", "run"):
        if arguments.contract is None and getattr(arguments, option) not in (None, False):
            raise UsageError(
                f"--{option} is about a contract, and none is given", hint="name the definition: --contract PATH"
            )
    from formation.contents.image import scan_image
    from formation.contract.verify import verify
    from formation.store.blobs import StoreBlobs

    with context.progress() as progress, opened_image(arguments, context, progress) as (name, image):
        contract, checks, promising = _contract(arguments, context, image)
        contents = scan_image(image, context.store, workers=context.workers, progress=progress)
        with _runner(arguments, context, name, image, checks) as runner:
            report = verify(
                contents,
                str(name),
                contract,
                checks=checks,
                derived=arguments.derived,
                stands_on=_stored(context, promising, image) if arguments.derived and promising else None,
                bases=(StoreBlobs(context.store),),
                runner=runner,
            )
    if arguments.json:
        context.write_json(_data(str(name), report))
    else:
        context.write(_text(str(name), report, colour=context.colour and context.stdout_is_terminal))
    return 0 if report.ok else 1


def _contract(
    arguments: Namespace, context: Context, image: "Image"
) -> "tuple[Contract | None, Checks | None, Reference | None]":
    """What to hold the image to, and the name of the image that promises it. Raises UsageError and DefinitionError."""
    if arguments.contract is None:
        return None, None, None
    from formation.contract.facts import debian_architecture
    from formation.contract.from_definition import base_contract, checks_of, service_contract, variant_of
    from formation.definition.load import load_any
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import RUNTIME
    from formation.lock.lockfile import lock_path, read_lock
    from formation.oci.reference import Reference

    definition = load_any(context.path(arguments.contract))
    path = lock_path(definition.path)
    lock = read_lock(path) if path.exists() else None
    architecture = debian_architecture(image)
    if isinstance(definition, ServiceDefinition):
        promising = Reference(definition.name, definition.version, None)
        return service_contract(definition, architecture, lock), checks_of(definition, RUNTIME), promising
    variant = arguments.variant if arguments.variant is not None else variant_of(image, definition)
    contract = base_contract(definition, variant, architecture, lock)
    return contract, checks_of(definition, variant), Reference(definition.name, definition.tag(variant), None)


def _stored(context: Context, reference: "Reference", image: "Image") -> "tuple[str, Image | None]":
    """The name `reference`, and what the store has under it for the platform of `image`; None when it has nothing."""
    from formation.store.images import open_stored

    try:
        return str(reference), open_stored(context.store, reference, image.config.platform)
    except FormationError:
        return str(reference), None


@contextmanager
def _runner(
    arguments: Namespace, context: Context, name: "ImageName", image: "Image", checks: "Checks | None"
) -> "Iterator[Runner | None]":
    """What runs the command checks; None when nobody asked, or there are none."""
    if arguments.run is None or checks is None or not checks.commands:
        yield None
        return
    from formation.engines.engine import Engine
    from formation.engines.load import load
    from formation.engines.run import remove_tag
    from formation.oci.name import Transport
    from formation.oci.reference import Reference

    engine = Engine(arguments.run, context.environment)
    if name.transport is Transport.DOCKER_DAEMON and arguments.run == "docker":
        yield _EngineRunner(engine, str(name.reference))
        return
    reference = Reference("localhost/formation-verify", image.digest.removeprefix("sha256:")[:32], None)
    load(image, reference, engine)
    try:
        yield _EngineRunner(engine, str(reference))
    finally:
        remove_tag(engine, str(reference))


class _EngineRunner:
    """Runs checks in containers of one image that an engine has."""

    def __init__(self, engine: Any, reference: str) -> None:
        self._engine = engine
        self._reference = reference

    def run(self, command: tuple[str, ...], user: str | None) -> Any:
        from formation.contract.checks import Ran
        from formation.engines.run import run_command

        return Ran(*run_command(self._engine, self._reference, command, user))


def _data(name: str, report: "Report") -> dict[str, Any]:
    image = report.facts.image
    return {
        "name": name,
        "digest": image.digest,
        "platform": str(image.config.platform),
        "contract": report.contract,
        "promises": report.promises,
        "ok": report.ok,
        "packages": sum(package.installed for package in report.facts.packages),
        "findings": [
            {
                "topic": finding.topic,
                "id": finding.id,
                "severity": finding.severity,
                "message": finding.message,
                "path": finding.path or None,
                "layer": finding.layer,
                "place": finding.place or None,
            }
            for finding in report.findings
        ],
    }


def _text(name: str, report: "Report", *, colour: bool) -> str:
    lines: list[str] = []
    topic = None
    for finding in report.findings:
        if finding.topic != topic:
            topic = finding.topic
            lines.append(("\n" if lines else "") + _bold(_HEADINGS[topic], colour))
        lines.append(_line(finding, colour))
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    if lines:
        lines.append("")
    packages = sum(package.installed for package in report.facts.packages)
    looked = f"{len(report.facts.files)} paths, {packages} packages, {report.promises} promises of {report.contract}"
    verdict = f"{name} keeps its promises" if report.ok else f"{name} breaks promises"
    found = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    lines.append(f"{verdict}: {found}; looked at {looked}")
    return "".join(f"{line}\n" for line in lines)


def _line(finding: "Finding", colour: bool) -> str:
    mark = {"error": "\x1b[31merror\x1b[0m", "warning": "\x1b[33mwarning\x1b[0m"}[finding.severity]
    shown = mark if colour else finding.severity
    place = f"  ({finding.place})" if finding.place else ""
    layer = f"  [layer {finding.layer}]" if finding.layer is not None and "layer" not in finding.message else ""
    return f"  {shown}: {printable(finding.message)}{printable(layer)}{printable(place)}"


def _bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text
