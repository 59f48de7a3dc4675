"""From a formation.yaml to a checked Definition or ServiceDefinition.

text ──source──▶ plain data ──validate──▶ model ──sections──▶ parts ──checks, interpret──▶ Definition,
                                               ╰──service_load──▶ ServiceDefinition.
Problems of every stage after the first are collected, and reported together.
"""

import difflib
from pathlib import Path

from formation.debian.archive import Archive
from formation.definition import checks, leave_out
from formation.definition.archives import archives_from
from formation.definition.beside import leads_nowhere
from formation.definition.hardening_model import hardening_from
from formation.definition.identity import lock_digest
from formation.definition.interpret import Place, variant_from
from formation.definition.model import BaseDefinition
from formation.definition.problems import Problem, definition_error, nearest
from formation.definition.schema import KINDS
from formation.definition.sections import Part, package_lines, parts_of
from formation.definition.service_load import service_from
from formation.definition.service_values import ServiceDefinition
from formation.definition.source import LIMIT, Source, read_source
from formation.definition.validate import Validated
from formation.definition.values import Definition, Variant
from formation.errors import UsageError

FILE_NAME = "formation.yaml"


def load_definition(path: Path) -> Definition:
    """The definition of a base in `path`, a YAML file or a directory with a formation.yaml.

    Raises UsageError when there is none, and DefinitionError, which tells everything that is wrong with it, each with
    file and line; a service is wrong here.
    """
    file, source = _read(path)
    if _kind(source) == "service":
        hint = "name the directory of a base, such as docker/base"
        raise definition_error(source, [Problem(("kind",), "this is a service, and a base belongs here", hint)])
    return _base(file, source)


def load_service(path: Path) -> ServiceDefinition:
    """The service in `path`, as `load_definition` does for a base. No source of a file needs to be there yet."""
    file, source = _read(path)
    if _kind(source) == "base":
        hint = "name the directory of a service, such as services/form-dns"
        raise definition_error(source, [Problem(("kind",), "this is a base, and a service belongs here", hint)])
    return service_from(file, source)


def load_any(path: Path) -> Definition | ServiceDefinition:
    """The base or service in `path`, with the errors of `load_definition`."""
    file, source = _read(path)
    return service_from(file, source) if _likely_kind(source) == "service" else _base(file, source)


def _read(path: Path) -> tuple[Path, Source]:
    file = path / FILE_NAME if path.is_dir() else path
    return file, read_source(str(file), _content(file))


def _kind(source: Source) -> str | None:
    """The kind that the document says; None when it says none, or none that there is."""
    kind = source.data.get("kind") if isinstance(source.data, dict) else None
    return kind if isinstance(kind, str) and kind in KINDS else None


def _likely_kind(source: Source) -> str:
    """The kind to check a document by: what it says, nearly says, or looks like."""
    if not isinstance(source.data, dict):
        return "base"
    if kind := _kind(source):
        return kind
    said = str(source.data.get("kind"))
    service = nearest(said, KINDS) == nearest("service", KINDS) or ("base" in source.data and not nearest(said, KINDS))
    return "service" if service else "base"


def _base(file: Path, source: Source) -> Definition:
    validated = Validated(source, BaseDefinition)
    problems: list[Problem] = []
    parts = parts_of(validated.model, problems)
    if "distribution" not in source.data and not source.data.get("archives"):
        problems.append(Problem((), "no archive to install from", "write `distribution: debian/trixie`, or archives"))
    archives = archives_from(validated.model, file.parent, problems)
    _check(parts, validated.model, archives, _set_aside(source, parts), problems)
    variants = _variants(parts, validated.model, file.parent, problems, validated.place)
    if problems or validated.problems:
        located = [Problem(validated.original(each.path), each.reason, each.hint) for each in problems]
        raise definition_error(source, [*validated.problems, *located])
    return _definition(validated.model, archives, variants, file, source, package_lines(parts, source))


def _content(file: Path) -> bytes:
    if why := leads_nowhere(file):
        raise UsageError(f"the definition {file} {why}")
    if not file.exists():
        hint = _elsewhere(file) or f"name a directory that has a {FILE_NAME}, such as docker/base"
        raise UsageError(f"there is no definition {file}", hint=hint)
    if not file.is_file():
        raise UsageError(f"the definition {file} is not a regular file")
    try:
        with file.open("rb") as opened:
            return opened.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read the definition {file}: {error.strerror}") from None


def _elsewhere(file: Path) -> str | None:
    """A hint that names the definitions below the directory of `file`, which is not there, or the one that is meant."""
    if file.name == FILE_NAME and file.parent.is_dir():
        if near := difflib.get_close_matches(FILE_NAME, [each.name for each in file.parent.glob("*")], n=1, cutoff=0.9):
            return f"did you mean {file.with_name(near[0])}?"
        below = sorted(str(each.parent) for each in file.parent.glob(f"*/{FILE_NAME}"))
        return f"name one of those below it: {', '.join(below[:10])}" if below else None
    place = Path(file.anchor)
    for part in file.parts[len(place.parts) :]:
        if not (place / part).exists():
            try:
                near = difflib.get_close_matches(part, [each.name for each in place.iterdir()], n=1)
            except OSError:
                near = []
            part = next(iter(near), part)
        place /= part
    return f"did you mean {place}?" if place.is_file() or (place / FILE_NAME).is_file() else None


def _check(
    parts: tuple[Part, ...],
    model: BaseDefinition,
    archives: tuple[Archive, ...],
    set_aside: checks.SetAside,
    problems: list[Problem],
) -> None:
    suites = tuple(suite for archive in archives for suite in archive.suites)
    checks.check_not_empty(model, problems)
    checks.check_tags(model, problems)
    checks.check_variant_tags(model, problems)
    for part in parts:
        checks.check_accounts(part, set_aside, problems)
        checks.check_owners(part, set_aside, problems)
        checks.check_paths(part, problems)
        checks.check_directories(part, problems)
        checks.check_packages(part, model, suites, problems)
        checks.check_minimal(part, problems)


def _set_aside(source: Source, parts: tuple[Part, ...]) -> checks.SetAside:
    """The users and groups that the document declares and the model lost."""
    variants = source.data.get("variants") if isinstance(source.data, dict) else None
    sections = [source.data, *(variants.values() if isinstance(variants, dict) else ())]
    users, groups = (
        {
            entry["name"]
            for section in sections
            if isinstance(section, dict) and isinstance(section.get(key), list)
            for entry in section[key]
            if isinstance(entry, dict) and isinstance(entry.get("name"), str)
        }
        for key in ("users", "groups")
    )
    sound_users = {user.name for part in parts for user in part.section.users}
    sound_groups = {group.name for part in parts for group in part.section.groups}
    lost_users = frozenset(users - sound_users)
    return checks.SetAside(lost_users, frozenset(groups - sound_groups) | lost_users)


def _variants(
    parts: tuple[Part, ...], model: BaseDefinition, directory: Path, problems: list[Problem], place: Place
) -> tuple[Variant, ...]:
    variants: dict[str, Variant] = {}
    for part in parts:
        above = variants[part.extends].config if part.extends is not None else None
        variants[part.name] = variant_from(part, above, model, directory, problems, place)
    return tuple(variants.values())


def _definition(
    model: BaseDefinition,
    archives: tuple[Archive, ...],
    variants: tuple[Variant, ...],
    file: Path,
    source: Source,
    lines: dict[str, int],
) -> Definition:
    out = model.leave_out
    excludes, includes = leave_out.patterns(
        documentation=out.documentation,
        manual_pages=out.manual_pages,
        locales=out.locales,
        paths=tuple(out.paths),
        keep=tuple(out.keep),
    )
    return Definition(
        path=file.absolute(),
        name=model.name,
        version=model.version,
        description=model.description,
        architectures=tuple(model.architectures),
        archives=archives,
        recommends=model.recommends,
        essential=model.essential,
        path_excludes=excludes,
        path_includes=includes,
        layer_budget=model.layers.budget,
        compression=model.layers.compression,
        hardening=hardening_from(model.hardening),
        variants=variants,
        digest=lock_digest(
            file.parent,
            archives,
            model.architectures,
            variants,
            recommends=model.recommends,
            essential=model.essential,
        ),
        tags=tuple(model.tags),
        shown_path=str(file),
        package_lines=lines,
        lines={key: source.position((key,)).line for key in source.data},
        archive_lines={each.name: source.position(("archives", i)).line for i, each in enumerate(model.archives)},
    )
