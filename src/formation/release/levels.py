"""The version that a change deserves. Pure: from a difference to a level, with the reason for each item.

docs/versions.md has the rules as a table. Source: Semantic Versioning 2.0.0, of the contract instead of an API.
"""

import re
from collections.abc import Iterable, Iterator

from formation.release.changes import BUILD_LABELS, Change, FileChange, LayerChange
from formation.release.file_levels import NAMES_SHOWN, NOT_PROMISED, content_reasons, file_reasons, is_tighter
from formation.release.level import Level, Reason
from formation.release.packages import PackageChange, suite_family

_EXECUTION = {"added": Level.MAJOR, "removed": Level.MAJOR, "changed": Level.MAJOR}
_ADDITION = {"added": Level.MINOR, "removed": Level.MAJOR, "changed": Level.MAJOR}
_CONTENT = {"added": Level.PATCH, "removed": Level.PATCH, "changed": Level.PATCH}
_RULES = {
    "platform": _ADDITION,
    "suite": _ADDITION,
    # What they bring is told by itself: these say only that the image is another.
    "archive": _CONTENT,
    "base": _CONTENT,
    "user": _ADDITION,
    "group": _ADDITION,
    "directory": _ADDITION,
    "file": _ADDITION,
    "environment": _ADDITION,
    "volume": _ADDITION,
    "port": _ADDITION,
    "label": _CONTENT,
    # What runs, as whom and where: even something where nothing was before changes what a service does.
    "configuration": _EXECUTION,
    "command": _ADDITION,
    "library": _ADDITION,
    "symbol version": _ADDITION,
    "content": _CONTENT,
}
_HEALTH = {"added": Level.MINOR, "removed": Level.MAJOR, "changed": Level.MINOR}
"""A health check may be waited for; what it looks at is the image's own business."""
_PACKAGES = {
    "added": Level.MINOR,
    "removed": Level.MAJOR,
    "upgraded": Level.PATCH,
    "downgraded": Level.MAJOR,
    "rebuilt": Level.PATCH,
    "moved": Level.PATCH,
}
_EXPLAINS = frozenset({"platform-removed", "platform-changed", "suite-removed", "libc", "package-suite"})
"""Rules that explain why much else changed."""
_LIBC = re.compile(r"(?:libc6(?:\.1)?|libc0\.[13]|musl)(?::[a-z0-9-]+)?")


def judge(
    packages: Iterable[PackageChange],
    changes: Iterable[Change],
    files: Iterable[FileChange] = (),
    layers: Iterable[LayerChange] = (),
) -> tuple[Reason, ...]:
    """The reasons, the gravest first, and those that explain the others before them. Nothing when nothing changed."""
    files = tuple(files)
    packages = tuple(packages)
    found = [*_foreign(packages), *(reason for package in packages for reason in _package(package))]
    found += [reason for change in changes for reason in _change(change)]
    found += [reason for file in files for reason in file_reasons(file)]
    if not found:
        found += content_reasons(files, layers)
    # Sorting is stable: within a level the order is that of the packages, then that of the topics.
    return tuple(sorted(dict.fromkeys(found), key=lambda reason: (-reason.level, reason.rule not in _EXPLAINS)))


def _package(change: PackageChange) -> Iterator[Reason]:
    old, new = change.old, change.new
    if old is None or new is None:
        verb = "is new" if old is None else "is gone"
        yield Reason(_PACKAGES[change.kind], f"package-{change.kind}", f"the package {change.either.name} {verb}")
        return
    names = f"{change.name} {old.version} → {new.version}"
    if change.kind != "moved":
        yield Reason(_PACKAGES[change.kind], f"package-{change.kind}", names)
    if _LIBC.fullmatch(change.name) and _upstream(old.version) != _upstream(new.version):
        yield Reason(Level.MAJOR, "libc", f"the C library is another: {names}")
    yield from _variants(change)


def _foreign(packages: Iterable[PackageChange]) -> Iterator[Reason]:
    """One reason for all packages that come from another suite than before in the same way."""
    ways: dict[tuple[str, str], list[str]] = {}
    for change in packages:
        if change.old is not None and change.new is not None:
            old, new = suite_family(change.old.suite), suite_family(change.new.suite)
            if old and new and old != new:
                ways.setdefault((old, new), []).append(change.name)
    for (old, new), names in ways.items():
        shown = ", ".join(names[:NAMES_SHOWN])
        more = len(names) - NAMES_SHOWN
        text = f"from {new}, not from {old}: {shown}{f' and {more} more packages' if more > 0 else ''}"
        yield Reason(Level.MAJOR, "package-suite", text)


def _variants(change: PackageChange) -> Iterator[Reason]:
    """A package that other variants add than before. All variants stand on the runtime variant."""
    assert change.old is not None and change.new is not None
    before, after = set(change.old.variants), set(change.new.variants)
    if before == after or not before or not after:
        return
    if lost := sorted(before - after) if "runtime" not in after else []:
        text = f"{change.name} is no longer in {', '.join(lost)}"
        yield Reason(Level.MAJOR, "package-variant-removed", text)
    if gained := sorted(after - before) if "runtime" not in before else []:
        text = f"{change.name} is now in {', '.join(gained)}"
        yield Reason(Level.MINOR, "package-variant-added", text)


def _upstream(version: str) -> str:
    return version.rpartition("-")[0] or version


def _change(change: Change) -> Iterator[Reason]:
    if change.topic == "label" and change.name in BUILD_LABELS:
        return
    if change.topic == "content":
        yield Reason(Level.PATCH, "content", f"the image is another one: {change.name}")
        return
    topic = change.topic.replace(" ", "-")
    rule = f"{topic}-{change.attribute or change.kind}".replace(" ", "-")
    level = _RULES[change.topic][change.kind]
    if change.topic == "suite" and change.name != suite_family(change.name):
        # trixie-security beside trixie: what it brings are newer packages within the suite.
        level = Level.PATCH
    elif change.attribute == "mode" and not is_tighter(change.old, change.new):
        level, rule = Level.MINOR, f"{topic}-loosened"
    elif (change.topic, change.name) == ("configuration", "health check"):
        level, rule = _HEALTH[change.kind], f"health-check-{change.kind}"
    elif (change.topic, change.attribute) == ("file", "content") or _joins(change):
        level = Level.MINOR
    elif change.topic == "environment" and change.kind == "changed" and extends_path(change):
        level, rule = Level.MINOR, "environment-extended"
    elif change.topic == "directory" and change.kind != "changed" and NOT_PROMISED.match(change.name):
        level, rule = Level.PATCH, "directory-unpromised"
    yield Reason(level, rule, str(change))


def _joins(change: Change) -> bool:
    """Whether a user is in all the groups as before, and in more."""
    is_membership = (change.topic, change.attribute) == ("user", "groups")
    return is_membership and set(change.old.split()) <= set(change.new.split())


def extends_path(change: Change) -> bool:
    """Whether a search path finds all that it found before, first."""
    if not change.name.endswith("PATH"):
        return False
    before, after = change.old.split(":"), change.new.split(":")
    return after[: len(before)] == before
