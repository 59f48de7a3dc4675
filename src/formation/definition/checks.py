"""The rules between values of a definition: what refers to what, and what may be there only once.

Each check appends every Problem that it finds, with paths of the model.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import get_args

from formation.dataclass import dataclass
from formation.debian.request import PackageRequest
from formation.definition import grammar, owned
from formation.definition.accounts import STATIC_GROUPS, STATIC_USERS
from formation.definition.data_path import DataPath
from formation.definition.model import BaseDefinition, DirectoryEntry, FileEntry, Identity, VariantEntry
from formation.definition.model_parts import Architecture
from formation.definition.owned import instead_of
from formation.definition.problems import Problem, nearest
from formation.definition.sections import Part
from formation.definition.service_grammar import is_directory
from formation.definition.values import variant_tag
from formation.registry.tag_plan import parse_version_tag

# A user's groups are named, not numbered; a group that is declared and that a package creates is the package's.
_GROUP_OF_USER = "declare it under `groups:`, also if a package creates it"


@dataclass(frozen=True, slots=True)
class SetAside:
    """Names whose declaration is wrong in some way, which is reported already; references to them are not."""

    users: frozenset[str]
    groups: frozenset[str]


def check_not_empty(model: BaseDefinition, problems: list[Problem]) -> None:
    """The runtime variant, on which all others stand, has a package."""
    if not model.essential and all(line.startswith("-") for line in model.packages):
        reason = "the image would be empty: `essential: false`, and no package to install"
        problems.append(Problem(("essential",), reason, "name some under `packages:`, or leave `essential` out"))


def check_tags(model: BaseDefinition, problems: list[Problem]) -> None:
    """The version and each of the tags are short enough with the name of a variant behind them."""
    variant = max(model.variants, key=len, default=None)
    for path, tag in ((("version",), model.version), *((("tags", i), tag) for i, tag in enumerate(model.tags))):
        longest = tag if variant is None else variant_tag(tag, variant)
        if len(longest) > grammar.LONGEST_TAG:
            reason = f"with -{variant} behind it, {tag[:40]!r}… has {len(longest)} characters"
            problems.append(Problem(path, f"{reason}, and an image tag at most {grammar.LONGEST_TAG}"))


def check_variant_tags(model: BaseDefinition, problems: list[Problem]) -> None:
    """None of the `tags` is the tag of a variant, or reads as one: the image that is built last would have it."""
    for variant in model.variants:
        taken = {variant_tag(tag, variant): tag for tag in (model.version, *model.tags)}
        for index, tag in enumerate(model.tags):
            if tag in taken:
                reason = f"the tag {tag!r} is that of the variant {variant}, from {taken[tag]!r}"
                hint = "leave it out: variants take TAG-VARIANT of `version` and of each of `tags`"
                problems.append(Problem(("tags", index), reason, hint))
            elif parse_version_tag(tag, variant) is not None:
                reason = f"the tag {tag!r} reads as a version of the variant {variant}"
                problems.append(Problem(("tags", index), reason, "end it in another word"))


def check_accounts(part: Part, set_aside: SetAside, problems: list[Problem]) -> None:
    """Users and groups are declared once, under free names and ids, and their groups exist."""
    above = [each.section for each in part.lineage]
    groups = {group.name for section in above for group in section.groups}
    users = {user.name for section in above for user in section.users}
    gids = {group.gid: group.name for section in above for group in section.groups if group.gid is not None}
    uids = {user.uid: user.name for section in above for user in section.users if user.uid is not None}
    for index, group in enumerate(part.section.groups):
        path: DataPath = (*part.path, "groups", index)
        _declare("group", group.name, groups, STATIC_GROUPS, path, problems)
        _take("gid", group.gid, group.name, gids, STATIC_GROUPS, path, problems)
    known = groups_of(part) | set_aside.groups
    for index, user in enumerate(part.section.users):
        path = (*part.path, "users", index)
        _declare("user", user.name, users, STATIC_USERS, path, problems)
        _take("uid", user.uid, user.name, uids, STATIC_USERS, path, problems)
        if user.group is not None:
            _refer("group", user.group, known, (*path, "group"), problems, _GROUP_OF_USER)
        for place, name in enumerate(user.groups):
            _refer("group", name, known, (*path, "groups", place), problems, _GROUP_OF_USER)


def check_owners(part: Part, set_aside: SetAside, problems: list[Problem]) -> None:
    """Directories, files and the default user belong to users and groups that exist."""
    users, groups = users_of(part) | set_aside.users, groups_of(part) | set_aside.groups
    for path, entry in _placed(part):
        _refer("user", entry.owner, users, (*path, "owner"), problems)
        _refer("group", entry.group, groups, (*path, "group"), problems)
    if part.section.user:
        user, _, group = part.section.user.partition(":")
        _refer("user", user, users, (*part.path, "user"), problems)
        if group:
            _refer("group", group, groups, (*part.path, "user"), problems)


def users_of(part: Part) -> frozenset[str]:
    """The users that an image of `part` surely has."""
    sections = [each.section for each in (*part.lineage, part)]
    return frozenset(STATIC_USERS) | {user.name for section in sections for user in section.users}


def groups_of(part: Part) -> frozenset[str]:
    """The groups that an image of `part` surely has, those that users without `group` bring included."""
    sections = [each.section for each in (*part.lineage, part)]
    own = {user.name for section in sections for user in section.users if user.group is None}
    return frozenset(STATIC_GROUPS) | own | {group.name for section in sections for group in section.groups}


def check_paths(part: Part, problems: list[Problem]) -> None:
    """No path is given twice in a lineage, none is below a file, and none is what other keys decide."""
    taken = {entry.path: kind for each in part.lineage for _, entry in _placed(each) for kind in [_kind(entry)]}
    for path, entry in _placed(part):
        if entry.path in taken:
            problems.append(
                Problem((*path, "path"), f"the path {entry.path!r} is there already, as {taken[entry.path]}")
            )
        taken[entry.path] = _kind(entry)
        if instead := instead_of(entry.path):
            problems.append(
                Problem((*path, "path"), f"{entry.path!r} follows from the rest of the definition", instead)
            )
    for path, entry in _placed(part):
        for parent in PurePosixPath(entry.path).parents:
            if taken.get(str(parent)) == "a file":
                problems.append(Problem((*path, "path"), f"{entry.path!r} is below {str(parent)!r}, which is a file"))
        if isinstance(entry, FileEntry) and (entry.content is None) == (entry.source is None):
            reason = "has neither `content` nor `source`" if entry.content is None else "has `content` and `source`"
            problems.append(Problem(path, f"the file {entry.path!r} {reason}"))
    for index, volume in enumerate(part.section.volumes):
        if volume in part.section.volumes[:index]:
            problems.append(Problem((*part.path, "volumes", index), f"the volume {volume!r} is there already"))


def check_directories(part: Part, problems: list[Problem]) -> None:
    """Volumes, home directories and the working directory are no files, and not below one."""
    placed = (entry for each in (*part.lineage, part) for _, entry in _placed(each))
    files = owned.FILES | {entry.path for entry in placed if _kind(entry) == "a file"}
    section = part.section
    wanted: list[tuple[DataPath, str, str | None]] = [
        (("working_directory",), "the working directory", section.working_directory),
        *((("volumes", index), "the volume", volume) for index, volume in enumerate(section.volumes)),
        *((("users", index, "home"), "the home directory", user.home) for index, user in enumerate(section.users)),
    ]
    for path, what, directory in wanted:
        if directory in files:
            problems.append(Problem((*part.path, *path), f"{what} {directory!r} is a file"))
        for parent in PurePosixPath(directory or "/").parents:
            if str(parent) in files:
                reason = f"{what} {directory!r} is below {str(parent)!r}, which is a file"
                problems.append(Problem((*part.path, *path), reason))


def check_packages(part: Part, model: Identity, suites: tuple[str, ...], problems: list[Problem]) -> None:
    """No package is requested twice in a lineage, or both requested and left out; suites and architectures exist."""
    lines: dict[str, list[str]] = {}
    for line in (line for each in part.lineage for line in each.section.packages):
        lines.setdefault(_meant(line).name, []).append(line)
    for index, line in enumerate(part.section.packages):
        path: DataPath = (*part.path, "packages", index)
        request = _meant(line)
        others = lines.setdefault(request.name, [])
        if line in others:
            problems.append(Problem(path, f"the package {line.lstrip('-')!r} is there already"))
        elif earlier := next((each for each in others if _contradict(each, line)), None):
            problems.append(Problem(path, f"{line!r} contradicts {earlier!r}", "keep one of them"))
        others.append(line)
        if line.startswith("-"):
            continue
        if request.suite is not None and suites and request.suite not in suites:
            # All suites of a release begin alike: trixie-backports is no slip for trixie-updates.
            hint = nearest(request.suite, suites, likeness=0.8)
            hint = hint or f"suites are {', '.join(suites)}; name an archive with others under `archives:`"
            problems.append(Problem(path, f"no archive here has the suite {request.suite!r}", hint))
        if request.architecture is not None and request.architecture not in model.architectures:
            hint = nearest(request.architecture, model.architectures) or "see `architectures:`"
            if request.architecture in get_args(Architecture):
                hint = "add it to `architectures:`"
            problems.append(Problem(path, f"{line!r} is not for an architecture of this definition", hint))


def check_minimal(part: Part, problems: list[Problem]) -> None:
    """A variant with `only` asks for no package, and none extends it: it has no package manager."""
    if isinstance(part.section, VariantEntry) and part.section.only is not None and part.section.packages:
        reason = f"{part.name} has `only`, and takes packages of {part.extends} alone"
        problems.append(Problem((*part.path, "packages"), reason, f"ask for them in {part.extends}"))
    above = part.lineage[-1].section if part.lineage else None
    if isinstance(above, VariantEntry) and above.only is not None:
        reason = f"{part.name} extends {part.extends}, which has `only` and no package manager"
        problems.append(Problem((*part.path, "extends"), reason, "extend what that one extends"))


def _placed(part: Part) -> Iterator[tuple[DataPath, DirectoryEntry | FileEntry]]:
    for index, directory in enumerate(part.section.directories):
        yield (*part.path, "directories", index), directory
    for index, file in enumerate(part.section.files):
        yield (*part.path, "files", index), file


def _kind(entry: DirectoryEntry | FileEntry) -> str:
    return "a directory" if isinstance(entry, DirectoryEntry) or is_directory(entry.source) else "a file"


def _meant(line: str) -> PackageRequest:
    """What a line asks for, or leaves out."""
    return grammar.package_request(line.removeprefix("-"))


def _contradict(one: str, other: str) -> bool:
    """Whether two lines about one package mean different versions of it, or none, on the same architecture."""
    first, second = _meant(one), _meant(other)
    if len({first.architecture, second.architecture} - {None}) > 1:
        return False
    meant = [(each.version, each.suite) for each in (first, second)]
    return meant[0] != meant[1] or one.startswith("-") != other.startswith("-")


def _declare(
    kind: str, name: str, taken: set[str], static: Mapping[str, int], path: DataPath, problems: list[Problem]
) -> None:
    if name in static:
        problems.append(Problem((*path, "name"), f"the {kind} {name!r} is Debian's own, from base-passwd"))
    elif name in taken:
        problems.append(Problem((*path, "name"), f"the {kind} {name!r} is there already"))
    taken.add(name)


def _take(
    key: str,
    number: int | None,
    name: str,
    taken: dict[int, str],
    static: Mapping[str, int],
    path: DataPath,
    problems: list[Problem],
) -> None:
    if number is None:
        return
    holders = {**{fixed: holder for holder, fixed in static.items()}, **taken}
    if number in holders and holders[number] != name:
        problems.append(Problem((*path, key), f"the {key} {number} of {name!r} belongs to {holders[number]!r}"))
    taken[number] = name


def _refer(
    kind: str, name: str, known: Iterable[str], path: DataPath, problems: list[Problem], otherwise: str = ""
) -> None:
    if name.isdecimal() or name in known:
        return
    otherwise = otherwise or f"declare it under `{kind}s:`, or write its number if a package creates it"
    hint = nearest(name, known) or otherwise
    problems.append(Problem(path, f"the {kind} {name!r} is not declared here, and not one of Debian's own", hint))
