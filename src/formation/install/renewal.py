"""Other versions of packages that an image has: its own dpkg unpacks and configures them, and the difference is kept.

Only dpkg knows all that replacing a package takes: the old version's scripts, its configuration files as somebody may
have changed them, what it had and the new one has not. Everything that dpkg does ends up in the effects.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from formation.digest import sha256_file
from formation.errors import FormationError, IntegrityError
from formation.install.effects import capture
from formation.install.effects_record import Effects, store_effects
from formation.install.inside import inside
from formation.install.job import PackageJob
from formation.install.roots import Isolation, RootBuilder
from formation.install.sandbox import Program
from formation.install.scripts import check_finished, failed_script, run_scripts
from formation.install.stages import Stage, batches
from formation.store.locking import remove_tree
from formation.store.store import Store

_ARCHIVES: Final = ".formation-archives"
_DPKG: Final = ("/usr/bin/dpkg", "--force-confdef,confold,unsafe-io", "--auto-deconfigure")
"""A configuration file that the image has changed stays as it is, as with unattended-upgrades."""
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
    first. Raises ScriptError when dpkg fails, FormationError when there is none, IntegrityError for a damaged .deb.
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
    builder = RootBuilder(place, isolation)
    kept = store.work / f"failed-{stage.key[:16]}"
    remove_tree(kept)
    try:
        with builder.open((archives, *before)) as root:
            if not inside(root.path, "usr/bin/dpkg").exists():
                raise FormationError(
                    "the base has no dpkg, and only dpkg can bring another version of what it has",
                    hint="stand on a base that has a package manager",
                )
            outcome = run_scripts(root, _programs(stage, names), stage.epoch, isolation, place / "log")[-1]
            if outcome.status != 0:
                failed = _FAILED.search(outcome.output)
                reason = f"the base's dpkg could not install {failed[1] if failed else 'a package'}"
                raise failed_script(reason, root, outcome, stage.epoch, isolation, kept)
            check_finished(root)
            changed, removed = capture(root.candidates(), root.changes, root.lowers, epoch=stage.epoch)
        return store_effects(changed, removed, root.changes, store.effects / stage.key, result)
    finally:
        builder.close()


def _programs(stage: Stage, archives: dict[str, str]) -> list[Program]:
    """Each batch is configured before the next one is unpacked, which pre-depends on it."""
    programs = []
    for batch in batches(stage.packages):
        names = [package.name.in_files for package in batch]
        files = [f"/{_ARCHIVES}/{archives[name]}" for name in names]
        programs.append(Program((*_DPKG, "--unpack", *files), what="dpkg --unpack"))
        programs.append(Program((*_DPKG, "--configure", *names), what="dpkg --configure"))
    programs.append(Program((*_DPKG, "--configure", "--pending"), what="dpkg --configure --pending"))
    return programs


def _bring(source: Path, package: PackageJob, target: Path) -> None:
    """Gives a .deb of the store another name, once it is known to be the right one."""
    if sha256_file(source) != package.digest:
        raise IntegrityError(f"{source} does not have the digest {package.digest}", hint=f"remove {source}")
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
