"""`formation audit`: whether an image is safe to run, layer by layer."""

from argparse import Namespace
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.image_source import add_image_options, opened_image
from formation.cli.parser import Parser, Subparsers, add_command
from formation.cli.registry_options import open_registry
from formation.errors import UsageError

if TYPE_CHECKING:
    from formation.definition.audit_exceptions import AuditException
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.oci.image import Image
    from formation.oci.name import ImageName
    from formation.registry.registry import Registry
    from formation.security.audit import Report
    from formation.security.findings import Finding

_DOCUMENTATION = "https://github.com/formation/formation/blob/main/docs/audit.md"
_FAILING = ("critical", "high", "medium", "low")


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "audit",
        "tell what is unsafe in an image",
        """
        Looks at every layer of an image without running it, and tells what is unsafe, where, why, and what to do:
        users, passwords, setuid programs, secrets in any layer, package sources, what building left behind, and more.
        The checks are those of CIS, DISA, OpenSCAP, Lynis, dockle and Docker that layers can answer; docs/audit.md
        lists them.

        A definition may accept findings for a while, with a reason; what it accepts is always shown. Exit code 1 means
        that there is a finding as bad as --fail-on, or worse.
        """,
        """
        formation audit formation/base:1.0.0
        formation audit my/service:2.1.0 --profile service --fail-on medium
        formation audit docker-daemon:my/service:latest --definition services/my --sarif audit.sarif
        formation audit docker-archive:service.tar --json | jq '.findings[] | select(.severity == "critical")'
        """,
    )
    add_image_options(parser)
    _add_options(parser)


def _add_options(parser: Parser) -> None:
    parser.add_argument(
        "--profile",
        choices=("base", "service", "strict"),
        help="what to hold it to: base, service, or strict (default: base for a base of Formation, else service)",
    )
    parser.add_argument(
        "--fail-on",
        choices=_FAILING,
        default="high",
        metavar="SEVERITY",
        help="critical, high, medium or low (default: high)",
    )
    parser.add_argument(
        "--definition",
        metavar="PATH",
        action="append",
        default=[],
        help="a formation.yaml or its directory: exceptions, archives and lock (again for that of the base)",
    )
    parser.add_argument("--variant", metavar="NAME", help="of the base's definition (default: as the image says)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--sarif", metavar="FILE", help="write them as SARIF 2.1.0 too; -: to stdout, and no text")
    parser.add_argument("--junit", metavar="FILE", help="write them as JUnit XML too; -: the same")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.contents.image import scan_image
    from formation.contract.facts import debian_architecture, facts_of
    from formation.security.audit import audit
    from formation.security.subject import Subject, kind_of

    _check_files(arguments, context)
    definitions = _definitions(arguments, context)
    with ExitStack() as stack:
        progress = stack.enter_context(context.progress())
        in_registry = arguments.image.startswith("docker://")
        registry = stack.enter_context(open_registry(arguments, context, progress)) if in_registry else None
        name, image = stack.enter_context(opened_image(arguments, context, progress, registry))
        contents = scan_image(image, context.store, workers=context.workers, progress=progress)
        kind, declared = kind_of(image), None
        if definitions:
            from formation.security.base_packages import base_packages
            from formation.security.from_definition import declared_by, kind_by

            installed = partial(
                base_packages, image=image, store=context.store, workers=context.workers, progress=progress
            )
            kind, declared = kind_by(definitions), declared_by(definitions, debian_architecture(image), installed)
        if arguments.profile in ("base", "service"):
            kind = arguments.profile
        profile = arguments.profile or kind
        subject = Subject(
            facts_of(contents),
            kind,
            profile,
            now=context.now,
            name=str(name),
            declared=declared,
            referrers=_referrers(registry, name, image),
        )
        report = audit(subject, _exceptions(arguments, definitions, image))
    _write_files(arguments, context, str(name), report)
    if arguments.json:
        context.write_json(_data(str(name), report, arguments.fail_on))
    elif "-" not in (arguments.sarif, arguments.junit):
        _print(context, str(name), report, arguments.fail_on)
    return 1 if report.fails(arguments.fail_on) else 0


def _referrers(registry: "Registry | None", name: "ImageName", image: "Image") -> tuple[str, ...] | None:
    """What a registry has beside the image; None when it is in none."""
    if registry is None or name.reference is None:
        return None
    from formation.registry.referrers import artifact_types

    return artifact_types(name.reference, image.digest, registry)


def _definitions(arguments: Namespace, context: Context) -> "list[Definition | ServiceDefinition]":
    if not arguments.definition:
        return []
    from formation.definition.load import load_any

    return [load_any(context.path(path)) for path in arguments.definition]


def _exceptions(
    arguments: Namespace, definitions: "list[Definition | ServiceDefinition]", image: "Image"
) -> "list[AuditException]":
    """What the definitions accept. Raises UsageError for an unknown variant."""
    if not definitions:
        return []
    from formation.contract.from_definition import variant_of
    from formation.definition.values import RUNTIME, Definition
    from formation.security.from_definition import exceptions_by

    found: list[AuditException] = []
    for definition in definitions:
        variant = arguments.variant
        if variant is None:
            variant = variant_of(image, definition) if isinstance(definition, Definition) else RUNTIME
        found += exceptions_by(definition, variant or RUNTIME)
    return found


def _check_files(arguments: Namespace, context: Context) -> None:
    """Raises UsageError for files that could not be written: better before the image is looked at than after."""
    if [arguments.sarif, arguments.junit, "-" if arguments.json else None].count("-") > 1:
        raise UsageError("of --json, --sarif - and --junit - only one can have stdout", hint="name a file")
    for option, name in (("--sarif", arguments.sarif), ("--junit", arguments.junit)):
        if name is None or name == "-":
            continue
        if not name or name.endswith("/") or context.path(name).is_dir():
            raise UsageError(f"{option}: {name!r} is a directory, and a file is to be written", hint=f"{option} FILE")
        if not context.path(name).parent.is_dir():
            raise UsageError(f"{option} {name}: there is no directory {context.path(name).parent}")


def _write_files(arguments: Namespace, context: Context, name: str, report: "Report") -> None:
    if arguments.sarif:
        from formation.security.sarif import sarif_text

        _write(arguments.sarif, context, sarif_text(name, report, _DOCUMENTATION))
    if arguments.junit:
        from formation.security.junit import junit_text

        _write(arguments.junit, context, junit_text(name, report, arguments.fail_on))


def _write(file: str, context: Context, text: str) -> None:
    if file == "-":
        context.write(text)
        return
    from formation.files import output_file

    with output_file(context.path(file)) as written:
        written.write(text.encode())


def _print(context: Context, name: str, report: "Report", limit: Any) -> None:
    import shutil

    from formation.cli.audit_text import audit_text

    width = shutil.get_terminal_size((100, 24)).columns if context.stdout_is_terminal else 100
    colour = context.colour and context.stdout_is_terminal
    context.write(audit_text(name, report, limit, width=width, colour=colour))


def _data(name: str, report: "Report", limit: Any) -> dict[str, Any]:
    image = report.facts.image
    return {
        "name": name,
        "digest": image.digest,
        "platform": str(image.config.platform),
        "kind": report.kind,
        "profile": report.profile,
        "ok": not report.fails(limit),
        "findings": [_finding(finding) for finding in report.findings],
        "excepted": [
            {**_finding(each.finding), "reason": each.exception.reason, "until": str(each.exception.until)}
            for each in report.excepted
        ],
        "expired_exceptions": [_exception(each) for each in report.expired],
        "unused_exceptions": [_exception(each) for each in report.unused],
        "not_checked": [{"check": check.id, "reason": reason} for check, reason in report.left_out],
        "left_out_findings": {check.id: count for check, count in report.more},
    }


def _finding(finding: "Finding") -> dict[str, Any]:
    return {
        "check": finding.check.id,
        "severity": finding.severity,
        "message": finding.message,
        "path": finding.path or None,
        "line": finding.line or None,
        "layer": finding.layer,
        "layer_digest": finding.digest or None,
        "why": finding.check.why,
        "source": finding.check.source,
        "fix": finding.check.fix,
    }


def _exception(exception: "AuditException") -> dict[str, Any]:
    return {
        "check": exception.check,
        "path": exception.path,
        "reason": exception.reason,
        "until": str(exception.until),
        "place": exception.place,
    }
