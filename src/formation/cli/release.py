"""`formation release`: the version that a change deserves, and writing it down."""

import difflib
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.compared import add_comparison_options
from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command

if TYPE_CHECKING:
    from formation.definition.service_values import ServiceDefinition
    from formation.definition.values import Definition
    from formation.release.review import Review
    from formation.release.taken import Taken


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "release",
        "tell which version a change deserves, and write it down",
        """
        Compares what the definition and its lock make now with the release before. A patch keeps the contract and has
        newer packages of the same suite; a minor version adds something; a major version takes away or changes
        something that a service may rely on: a package, library, command, user or group id, the owner or a tighter mode
        of a directory, an environment value, a volume, what runs and as whom, the C library or the suite.

        `release check` says which, and why, item by item. Exit code 1: the definition's version is too small.

        `release` alone writes the version into formation.yaml, only that line, and an entry into CHANGELOG.md beside
        it; --version chooses a larger one, and one that is too small, or below the definition's, is refused. Nothing is
        built under a tag or published.

        The release before is the highest version of that name in the store that is not above the definition's, or in
        the registry that --since names, which has to have that repository. With none before, any version will do.
        """,
        """
        formation release check docker/base
        formation release check docker/base --since docker://registry.example.com/formation/base
        formation release docker/base --dry-run
        formation release docker/base --version 2.0.0
        formation release check --old formation/base:1.0.0 --new docker-daemon:formation/base:latest
        """,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[check] DIR",
        help="directory of formation.yaml, or the file (default: the current directory); check: write nothing",
    )
    parser.add_argument("--version", metavar="X.Y.Z", help="the version to judge or to write (default: the smallest)")
    parser.add_argument(
        "--since", "--old", dest="old", metavar="IMAGE", help="the release before: an image, a lock, docker://REPO"
    )
    parser.add_argument("--new", metavar="IMAGE", help="check: judge this image or lock instead of the definition")
    parser.add_argument(
        "--no-build", action="store_true", help="build nothing: compare packages only, from the definition's lock"
    )
    add_comparison_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="write nothing; show the entry")
    parser.add_argument("--json", action="store_true", help="print level, versions and reasons as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.errors import UsageError
    from formation.release.versions import check_version

    words = list(arguments.words)
    check = words[:1] == ["check"]
    rest = words[1:] if check else words
    nearly = not check and rest and difflib.get_close_matches(rest[0], ["check"]) and not context.path(rest[0]).exists()
    if len(rest) > 1:
        hint = "did you mean check?" if nearly else "see --help"
        raise UsageError(f"one definition is released at a time, and these are {len(rest)}", hint=hint)
    if nearly:
        raise UsageError(f"there is no definition {context.path(rest[0])}", hint="did you mean check?")
    if arguments.version is not None:
        check_version(arguments.version)
    if arguments.new is not None:
        if not check or arguments.old is None or rest:
            raise UsageError("--new goes with `release check --old IMAGE`, and without a definition")
        return _check_named(arguments, context)
    return _of_definition(arguments, context, context.path(rest[0] if rest else "."), check)


def _check_named(arguments: Namespace, context: Context) -> int:
    from formation.cli.release_review import review_named

    with context.progress() as progress:
        found = review_named(arguments, context, progress, arguments.version)
    _print(arguments, context, found)
    return 0 if found.enough else 1


def _of_definition(arguments: Namespace, context: Context, path: Path, check: bool) -> int:
    from formation.cli.release_review import review_definition
    from formation.definition.load import load_any
    from formation.release.versions import check_version

    with context.progress() as progress:
        definition = load_any(path)
        check_version(arguments.version or definition.version)
        if not check:
            _refuse_older(arguments, definition)
        found = review_definition(definition, arguments, context, progress, arguments.version)
        if found.verdict is None:
            return _first(arguments, context, definition, found, check)
        if check:
            _print(arguments, context, found)
            return 0 if found.enough else 1
        return _write(arguments, context, definition, found)


def _first(
    arguments: Namespace,
    context: Context,
    definition: "Definition | ServiceDefinition",
    found: "Review",
    check: bool,
) -> int:
    """There is nothing before: any version will do, and it is the definition's, or the one that was asked for.

    But for one that is `found` to be taken: then it is the next.
    """
    from formation.cli.release_output import no_release_data, no_release_text
    from formation.definition.values import Definition
    from formation.oci.reference import parse_reference
    from formation.release.previous import release_in_store

    version = arguments.version or definition.version
    if found.taken is not None and not check:
        _refuse_taken(arguments, found.taken)
        version = found.taken.following
    notes = []
    built = f"{definition.name}:{version}"
    # Without a build nobody knows of a service whether its files are those of the image.
    known = isinstance(definition, Definition) or not arguments.no_build
    in_store = known and arguments.old is None and release_in_store(context.store, parse_reference(built)) is not None
    if in_store and found.taken is None:
        notes.append(
            f"{built} in the store is what the definition makes now; if it was released with other content, a build "
            "has taken its tag since, and nothing is left to compare with: name where it is published, "
            "--since docker://REPO"
        )
    taken = found.taken if check else None
    if arguments.json:
        context.write_json(no_release_data(version, taken, notes))
    else:
        where = f"{arguments.old or 'the store'} has no release of {definition.name}"
        context.write(no_release_text(where, version, taken, notes))
    if not check and version != definition.version:
        _write_version(arguments, context, definition, version)
    return 0 if taken is None else 1


def _refuse_older(arguments: Namespace, definition: "Definition | ServiceDefinition") -> None:
    """Raises AnswerIsNo when a version was asked for that is below the definition's: versions do not go back."""
    from formation.errors import AnswerIsNo
    from formation.release.versions import is_older

    if arguments.version is not None and is_older(arguments.version, definition.version):
        raise AnswerIsNo(
            f"{arguments.version} is too small: {definition.shown_path} has {definition.version}",
            hint=f"if {definition.version} was never released, lower `version:` in it first",
        )


def _refuse_taken(arguments: Namespace, taken: "Taken") -> None:
    """Raises AnswerIsNo when the version that is `taken` was asked for; the definition's gives way to the next."""
    from formation.errors import AnswerIsNo

    if arguments.version is not None:
        hint = f"formation release {_shown(arguments)}--version {taken.following}"
        raise AnswerIsNo(f"{taken.name} is there already, with other content", hint=hint)


def _write(
    arguments: Namespace, context: Context, definition: "Definition | ServiceDefinition", found: "Review"
) -> int:
    """Writes version and entry, or refuses. Running it again changes nothing more."""
    from formation.cli.release_output import as_data
    from formation.errors import AnswerIsNo
    from formation.release.definition_edit import with_version
    from formation.release.level import Level
    from formation.release.notes import entry
    from formation.release.notes_file import NAME, read_notes, with_entry, write_notes
    from formation.release.versions import judge_version

    verdict = found.verdict
    assert verdict is not None
    if not verdict.enough and arguments.version is not None:
        gravest = next(iter(found.reasons), None)
        why = f": {gravest.text}" if gravest is not None else ""
        message = f"{arguments.version} is too small after {verdict.previous} for a {verdict.level} change{why}"
        raise AnswerIsNo(message, hint=f"formation release {_shown(arguments)}--version {verdict.deserved}")
    taken = found.taken
    if taken is not None:
        _refuse_taken(arguments, taken)
    elif verdict.level is Level.NONE and arguments.version in (None, verdict.previous):
        _print(arguments, context, found)
        if arguments.version is not None or not verdict.enough:
            # It is released, with its entry; the definition may still have the version before.
            _write_version(arguments, context, definition, verdict.previous)
        return 0
    version = verdict.version if verdict.enough and verdict.version is not None else verdict.deserved
    version = version if taken is None else taken.following
    verdict = judge_version(verdict.previous, verdict.level, version)
    text = entry(verdict, version, found.differences, found.reasons, context.now)
    notes = definition.path.resolve().parent / NAME
    before = read_notes(notes)
    placed = with_entry(before, version, text)
    # A definition that cannot be changed is refused before anything is.
    with_version(definition.path, version)
    if placed.text != before and not arguments.dry_run:
        # The version last: a run that was cut between the two is finished by the next.
        write_notes(notes, placed.text)
    if arguments.json:
        changelog = "kept" if placed.kept else "unchanged" if placed.text == before else "written"
        more = {"written": not arguments.dry_run, "release": version, "changelog": changelog, "entry": text}
        context.write_json({**as_data(found), **more})
    else:
        context.write(text if arguments.dry_run else "")
        context.write(_on_entry(arguments, notes, version, placed.kept, changed=placed.text != before))
    _write_version(arguments, context, definition, version)
    return 0


def _on_entry(arguments: Namespace, notes: Path, version: str, kept: int | None, *, changed: bool) -> str:
    """What became of the entry."""
    if kept is not None:
        command = f"`formation release {_shown(arguments)}--dry-run`"
        new = "the one above would be new" if arguments.dry_run else f"{command} shows a new one"
        return f"note: {notes}:{kept}: the entry of {version} is not as formation wrote it, and stays; {new}\n"
    if arguments.dry_run:
        return ""
    return f"{notes}: {'wrote' if changed else 'has'} the entry of {version}\n"


def _shown(arguments: Namespace) -> str:
    from formation.errors import quoted

    return "".join(f"{quoted(word)} " for word in arguments.words)


def _write_version(
    arguments: Namespace, context: Context, definition: "Definition | ServiceDefinition", version: str
) -> None:
    from formation.release.definition_edit import with_version, write_version

    content = with_version(definition.path, version)
    changed = definition.version != version
    if changed and not arguments.dry_run:
        write_version(definition.path, content)
    if not arguments.json:
        verb = "is" if not changed else "would become" if arguments.dry_run else "is now"
        context.write(f"{definition.shown_path}: version {verb} {version}\n")


def _print(arguments: Namespace, context: Context, found: "Review") -> None:
    from formation.cli.release_output import as_data, as_text

    if arguments.json:
        context.write_json(as_data(found))
    else:
        context.write(as_text(found, colour=context.colour and context.stdout_is_terminal))
