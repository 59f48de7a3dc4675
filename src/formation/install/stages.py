"""In which order packages are configured: a chain of stages, each cached by what it and those before it contain.

The first stage holds the essential packages, which have no base to stand on. Of the others, those that run scripts
come next, with everything they depend on or recommend; last come the packages that only bring files. So a new libcurl
runs no script at all again, and a new openssl not those of the essential packages.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from formation.dataclass import dataclass, replace
from formation.debian.database import PackageName, interests
from formation.debian.deb822 import Stanza, parse_stanza
from formation.debian.relation import parse_relations
from formation.install.stage_format import STAGE_FORMAT

_SCRIPTS = ("preinst", "postinst")
_NAMED = 5
"""Packages that a message names."""
_HARD = ("Pre-Depends", "Depends")
_ANY = (*_HARD, "Recommends", "Suggests")


@dataclass(frozen=True, slots=True)
class StagePackage:
    """A package that is unpacked in the store."""

    name: PackageName
    version: str
    key: str
    """Key of its segment: equal keys, equal files and scripts."""
    kept: Path
    """Its files, read only; see `PackageFiles`."""
    control: Mapping[str, bytes]
    listed: tuple[str, ...]
    """Absolute paths of what it unpacks, `/.` first."""
    newest: int
    """The latest modification time among its files, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Packages that are unpacked together and then configured together."""

    packages: tuple[StagePackage, ...]
    """Sorted by name."""
    bootstrap: bool
    """True for the first stage: its preinst scripts need the files of the very packages they prepare."""
    key: str
    epoch: int
    """The clock of its scripts, and the latest time of any file they leave: the newest file of its packages and of
    the stages before. It does not depend on the lock, so that a new lock finds old stages."""


def early_names(installed: Iterable[StagePackage]) -> frozenset[str]:
    """What apt configures as soon as it is unpacked: essential packages, apt, and all that these may depend on.

    `installed` are all packages of the image so far and those to come. Every alternative counts, whether installed or
    not. Source: apt's apt-pkg/packagemanager.cc, pkgPackageManager::ImmediateAdd.
    """
    by_name = {package.name.name: package for package in installed}
    pending = [package for package in by_name.values() if _is_important(package)]
    found = {package.name.name for package in pending}
    while pending:
        for name in needed_names(pending.pop(), _HARD):
            if name not in found:
                found.add(name)
                if name in by_name:
                    pending.append(by_name[name])
    return frozenset(found)


def _is_important(package: StagePackage) -> bool:
    stanza = control_fields(package)
    flags = (stanza.get(field, "") for field in ("Essential", "Important", "Protected"))
    return package.name.name == "apt" or "yes" in flags


def plan_stages(
    packages: Sequence[StagePackage],
    essential: frozenset[str],
    *,
    before: Stage | None,
    epoch: int,
    early: frozenset[str] = frozenset(),
) -> tuple[Stage, ...]:
    """The stages that bring `packages` onto what `before` ends with, in order. No stage is empty.

    `essential` are the names for the first stage when there is nothing before, `early` those that `early_names` gave.
    `epoch` bounds every stage's clock.
    """
    stages: list[Stage] = []
    last = before

    def add(chosen: Sequence[StagePackage], bootstrap: bool) -> None:
        nonlocal last
        if chosen:
            last = _stage(chosen, bootstrap, last, epoch)
            stages.append(last)

    first = [p for p in packages if before is None and p.name.name in essential]
    if before is None and not first:
        # Without essential packages, as `essential: false` asks, nothing else can be the ground to stand on.
        first = list(packages)
    rest = [p for p in packages if p not in first]
    add(first, True)
    scripted = _with_what_they_need([p for p in rest if _runs_scripts(p)], rest)
    soon = _with_what_they_need([p for p in scripted if p.name.name in early], scripted, _HARD)
    for group in (soon, [p for p in scripted if p not in soon]):
        for batch in batches(group):
            add(batch, False)
    add([p for p in rest if p not in scripted], False)
    return tuple(stages)


def plan_renewal(packages: Sequence[StagePackage], names: Container[str], before: Stage, epoch: int) -> Stage:
    """The stage in which the image's own dpkg brings those of `packages` that are in `names`, and what these need.

    Of `names`, the image has other versions.
    """
    renewed = [package for package in packages if package.name.name in names]
    stage = _stage(_with_what_they_need(renewed, packages, _HARD), False, before, epoch)
    return replace(stage, key=hashlib.sha256(f"renewal 2 {stage.key}".encode()).hexdigest())


def _stage(packages: Sequence[StagePackage], bootstrap: bool, before: Stage | None, epoch: int) -> Stage:
    ordered = tuple(sorted(packages, key=lambda p: (p.name.name, p.name.architecture)))
    times = [p.newest for p in ordered] + ([before.epoch] if before else [])
    clock = min(max(times), epoch)
    digest = hashlib.sha256(f"stage {STAGE_FORMAT} {bootstrap} {clock} {before.key if before else ''}\n".encode())
    for package in ordered:
        digest.update(f"{package.name.in_files} {package.version} {package.key}\n".encode())
    return Stage(ordered, bootstrap, digest.hexdigest(), clock)


def _runs_scripts(package: StagePackage) -> bool:
    return any(script in package.control for script in _SCRIPTS) or bool(interests(package.control))


def _with_what_they_need(
    roots: Sequence[StagePackage], among: Sequence[StagePackage], fields: Sequence[str] = _ANY
) -> list[StagePackage]:
    """`roots` and everything `among` that they name in `fields`, at any depth.

    Recommended and suggested packages count because a script may use them where they are there: iputils-ping's
    postinst sets capabilities with libcap2-bin's setcap, and a setuid bit without.
    """
    by_name: dict[str, list[StagePackage]] = {}
    for package in among:
        for name in provided_names(package):
            by_name.setdefault(name, []).append(package)
    found = {package.name.in_files: package for package in roots}
    pending = list(roots)
    while pending:
        package = pending.pop()
        for name in needed_names(package, fields):
            for needed in by_name.get(name, ()):
                if needed.name.in_files not in found:
                    found[needed.name.in_files] = needed
                    pending.append(needed)
    return list(found.values())


def batches(packages: Sequence[StagePackage]) -> list[list[StagePackage]]:
    """`packages` split so that what a package pre-depends on is configured in an earlier batch than that package.

    Policy 7.2: a pre-dependency must be configured before the package is unpacked. Like apt, a batch holds only what
    somebody waits for; all the rest is configured in the last, in dpkg's own order. That order shows: who comes first
    gets the next free user id, and a daemon's unit is enabled by systemctl once systemd is there.
    """
    by_name: dict[str, list[StagePackage]] = {}
    for package in packages:
        for name in provided_names(package):
            by_name.setdefault(name, []).append(package)
    ahead = {package.name.in_files: 0 for package in packages}
    """How many batches must follow the one with this package."""
    needs = [
        (package, needed, strict)
        for package in packages
        for field, strict in (("Pre-Depends", 1), ("Depends", 0))
        for name in needed_names(package, (field,))
        for needed in by_name.get(name, ())
        if needed is not package
    ]
    for _ in packages:
        moved = False
        for package, needed, strict in needs:
            least = ahead[package.name.in_files] + strict
            if ahead[needed.name.in_files] < least:
                ahead[needed.name.in_files] = least
                moved = True
        if not moved:
            break
    found: dict[int, list[StagePackage]] = {}
    for package in packages:
        found.setdefault(ahead[package.name.in_files], []).append(package)
    return [found[number] for number in sorted(found, reverse=True)]


def named(packages: Sequence[StagePackage]) -> str:
    """Their names for a message: `a, b, c and 17 others`."""
    names = ", ".join(package.name.name for package in packages[:_NAMED])
    return names if len(packages) <= _NAMED else f"{names} and {len(packages) - _NAMED} others"


def provided_names(package: StagePackage) -> list[str]:
    """The package's own name and those it provides."""
    stanza = control_fields(package)
    provides = parse_relations(stanza.get("Provides", ""), package.name.architecture)
    return [package.name.name, *(relation.name for group in provides for relation in group)]


def needed_names(package: StagePackage, fields: Sequence[str]) -> list[str]:
    """The names in relations of `package`, every alternative counted."""
    stanza = control_fields(package)
    return [
        relation.name
        for field in fields
        for group in parse_relations(stanza.get(field, ""), package.name.architecture)
        for relation in group
    ]


def control_fields(package: StagePackage) -> Stanza:
    """The fields of the package's control file."""
    return _stanza(package.control["control"])


@lru_cache(maxsize=1 << 12)
def _stanza(control: bytes) -> Stanza:
    # Every stage is planned from the fields of all packages.
    return parse_stanza(control)
