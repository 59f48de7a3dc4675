"""Other versions of packages that an image has: its own dpkg unpacks and configures them, and the difference is kept.

Only dpkg knows all that replacing a package takes: the old version's scripts, its configuration files as somebody may
have changed them, what it had and the new one has not. Everything that dpkg does ends up in the effects.
"""

import errno
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from formation.dataclass import dataclass, replace
from formation.debian import database
from formation.debian.administration import INFO, KEEP_CHANGED
from formation.digest import check_file
from formation.errors import FormationError
from formation.install.configure import Captured
from formation.install.effects import capture, restore_links
from formation.install.effects_record import Effects, store_effects
from formation.install.inside import inside, read_file
from formation.install.job import PackageJob
from formation.install.key_store import settle_times
from formation.install.placement import listed_places
from formation.install.roots import Isolation, Root, RootBuilder
from formation.install.sandbox import Program
from formation.install.scripts import check_finished, failed_script, read_status, run_scripts
from formation.install.stages import Stage, StagePackage, batches, named, needed_names
from formation.store.locking import remove_tree
from formation.store.store import Store

_ARCHIVES: Final = ".formation-archives"
_DPKG: Final = ("/usr/bin/dpkg", f"--force-{','.join(KEEP_CHANGED)},unsafe-io", "--auto-deconfigure")
"""A configuration file that the image has changed stays as it is, as with unattended-upgrades."""
_NO_RENAME: Final = os.strerror(errno.EXDEV)
_FAILED: Final = re.compile(r"dpkg: error processing (?:archive|package) (?:\S*/)?([^\s_]+)\S* \(--\w+\):")


def renew(
    store: Store,
    stage: Stage,
    packages: Sequence[PackageJob],
    before: Sequence[Path],
    work: Path,
    isolation: Isolation,
) -> Effects:
    """Has the dpkg of the image install the packages of `stage`, and keeps what it changed in the store.

    `packages` are those of the stage, in their order, their .debs in the store; `before` the trees of the image, top
    first. Raises ScriptError when dpkg fails, FormationError when it removes a package, IntegrityError for a damaged
    .deb.
    """
    place = work / f"stage-{stage.key[:16]}"
    result, archives = place / "result", place / "archives"
    (result / "files").mkdir(parents=True)
    (archives / _ARCHIVES).mkdir(parents=True)
    for directory in (result / "files", archives, archives / _ARCHIVES):
        directory.chmod(0o755)
    names = {}
    for number, (staged, package) in enumerate(zip(stage.packages, packages, strict=True)):
        names[staged.name.in_files] = f"{package.name}_{number}.deb"
        _bring(store.download(package.digest), package, archives / _ARCHIVES / f"{package.name}_{number}.deb")
    kept = store.work / f"failed-{stage.key[:16]}"
    remove_tree(kept)
    run = _Run(stage, _programs(stage, names), (archives, *before), place / "log", kept)
    # Overlayfs does not rename directories of lower trees, as dpkg does where a file takes the place of one.
    ways = [isolation, replace(isolation, overlay=False)] if isolation.overlay else [isolation]
    for number, way in enumerate(ways):
        builder = RootBuilder(place / f"roots-{number}", way)
        try:
            if (captured := run.once(builder, is_last=way is ways[-1])) is not None:
                kept_at = store.effects / stage.key
                return store_effects(captured.changed, captured.removed, captured.source, kept_at, result)
        finally:
            builder.close()
    raise AssertionError("the last way raises")


@dataclass(frozen=True, slots=True)
class _Run:
    """What dpkg has to do, and where."""

    stage: Stage
    programs: Sequence[Program]
    trees: tuple[Path, ...]
    """The archives and the image, top first."""
    log: Path
    failed: Path
    """Where the tree is kept when dpkg fails."""

    def once(self, builder: RootBuilder, *, is_last: bool) -> Captured | None:
        """What dpkg has changed, to be read until `builder` is closed. None when it cannot be done this way, and this
        is not the last.
        """
        with builder.open(self.trees) as root:
            there = database.installed_names(read_status(root, "the base cannot be used"))
            owned = _owned(root, self.stage)
            outcome = run_scripts(root, self.programs, self.stage.epoch, builder.isolation, self.log)[-1]
            if outcome.status != 0 and _NO_RENAME in outcome.output and not is_last:
                return None
            if outcome.status != 0:
                failed = _FAILED.search(outcome.output)
                reason = f"the base's dpkg could not install {failed[1] if failed else 'a package'}"
                raise failed_script(reason, root, outcome, self.stage.epoch, builder.isolation, self.failed)
            what = f"after the base's dpkg installed {named(self.stage.packages)}"
            check_finished(root, what)
            if gone := there - database.installed_names(read_status(root, what)):
                raise FormationError(
                    f"the base's dpkg removed {', '.join(sorted(gone))}, whose files are all in other packages now, "
                    "and a service removes nothing from its base",
                    hint=f"take a base without {' and '.join(sorted(gone))}",
                )
            owned |= _owned(root, self.stage)
            settle_times(root, self.stage.epoch)
            by_scripts = [(path, status) for path, status in root.candidates() if path not in owned]
            restore_links(by_scripts, root.changes, root.path, root.lowers)
            changed, removed = capture(root.candidates(), root.changes, root.lowers, epoch=self.stage.epoch)
        return Captured(changed, removed, root.changes)


def _owned(root: Root, stage: Stage) -> frozenset[str]:
    """The files that the database says the packages of `stage` have: dpkg writes those, each under its own name."""
    stems = {stem for package in stage.packages for stem in (package.name.name, package.name.in_files)}
    lists = (read_file(inside(root.path, f"{INFO}/{stem}.list")) for stem in stems)
    return listed_places(listed for listed in lists if listed is not None)


def _programs(stage: Stage, archives: dict[str, str]) -> list[Program]:
    """Each batch is configured before the next one is unpacked, which pre-depends on it."""
    programs = []
    for batch in batches(stage.packages):
        names = [package.name.in_files for package in _in_order(batch)]
        files = [f"/{_ARCHIVES}/{archives[name]}" for name in names]
        programs.append(Program((*_DPKG, "--unpack", *files), what="dpkg --unpack"))
        programs.append(Program((*_DPKG, "--configure", *names), what="dpkg --configure"))
    programs.append(Program((*_DPKG, "--configure", "--pending"), what="dpkg --configure --pending"))
    return programs


def _in_order(packages: Sequence[StagePackage]) -> list[StagePackage]:
    """`packages` so that the new version of one comes before those that conflict with the old; in a circle as they are.

    dpkg looks at each archive as it comes to it.
    """
    by_name = {package.name.name: package for package in packages}
    found: dict[str, StagePackage] = {}
    seen: set[str] = set()

    def add(package: StagePackage) -> None:
        if package.name.in_files not in seen:
            seen.add(package.name.in_files)
            for name in needed_names(package, ("Conflicts", "Breaks")):
                if name in by_name:
                    add(by_name[name])
            found[package.name.in_files] = package

    for package in packages:
        add(package)
    return list(found.values())


def _bring(source: Path, package: PackageJob, target: Path) -> None:
    """Gives a .deb of the store another name, once it is known to be the right one."""
    check_file(source, package.digest)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
