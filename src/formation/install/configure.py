"""One stage of configuring: preinst scripts, the database, then the image's own dpkg for the rest."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from formation.dataclass import dataclass
from formation.debian import database
from formation.debian.administration import ADMINISTRATION, KEEP_CHANGED, STATUS
from formation.debian.deb822 import parse_stanza
from formation.debian.diversions import FILE as DIVERSIONS
from formation.debian.diversions import Diversion, diverted, parse_diversions
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.effects import capture, restore_links
from formation.install.inside import inside
from formation.install.named_owners import Names, give
from formation.install.placement import USR_ALIASES
from formation.install.roots import Root, RootBuilder
from formation.install.sandbox import Outcome, Program
from formation.install.scripts import ScriptError, check_finished, failed_script, run_scripts
from formation.install.stages import Stage, StagePackage
from formation.install.view import TreesView
from formation.install.waiting import NEW

_FAILED = re.compile(r"dpkg: error processing package (\S+) \(--configure\):\n\s*(.+)")
_STATUS = re.compile(r"returned error exit status (\d+)")
_TRIGGERS = f"{ADMINISTRATION}/triggers"


@dataclass(frozen=True, slots=True)
class Captured:
    """What a stage changed; `source` holds the content until the work directory goes."""

    changed: list[Entry]
    removed: list[str]
    source: Path


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What is left to do for a stage whose files are in place."""

    waits: bool
    """Whether conffiles wait for dpkg."""
    owners: Mapping[str, Names]
    """The owners that the packages name, by path."""


@dataclass(frozen=True, slots=True)
class StageRun:
    """One stage on its way through the sandbox."""

    stage: Stage
    files: Path
    """Where the packages' files are merged."""
    unpack: Callable[[Sequence[Diversion], Sequence[Path]], Unpacked]
    """Puts them there, as the diversions demand and onto the trees that are there, top first."""
    before: tuple[Path, ...]
    """The trees below, top first."""
    builder: RootBuilder
    log: Path
    failed: Path
    """Where the tree is kept when a script fails, so that a person can look and run it again."""

    def run(self) -> Captured:
        """Configures the packages of the stage and returns the difference.

        Raises ScriptError for a failing script, FormationError when the sandbox or dpkg itself fails.
        """
        scripted = [package for package in self.stage.packages if "preinst" in package.control]
        upper = None
        if scripted and not self.stage.bootstrap:
            with self.builder.open(self.before) as root:
                self._run_preinsts(root, scripted)
                unpacked = self.unpack(_diversions(root), (root.path,))
                upper = root.changes
        else:
            unpacked = self.unpack(parse_diversions(TreesView(self.before).read(DIVERSIONS)), self.before)
        with self.builder.open((self.files, *self.before), upper=upper) as root:
            if self.stage.bootstrap:
                _merge_usr(root.path)
            self._write_database(root)
            if self.stage.bootstrap:
                # base-passwd makes /etc/passwd, which the others may read.
                self._run_preinsts(root, sorted(scripted, key=lambda p: (p.name.name != "base-passwd", p.name.name)))
            give(root.path, unpacked.owners, TreesView(self.before))
            self._configure(root, unpacked.waits)
            restore_links(root.candidates(), root.changes, root.path, root.lowers)
            changed, removed = capture(root.candidates(), root.changes, root.lowers, epoch=self.stage.epoch)
        return Captured(changed, removed, root.changes)

    def _run_preinsts(self, root: Root, packages: Sequence[StagePackage]) -> None:
        """Runs each preinst as dpkg does: from tmp.ci, with all control members beside it."""
        unpacked = inside(root.path, ADMINISTRATION) / "tmp.ci"
        for package in packages:
            unpacked.mkdir(parents=True)
            for member, data in package.control.items():
                (unpacked / member).write_bytes(data)
                (unpacked / member).chmod(0o755)
            script = Program(
                (f"/{ADMINISTRATION}/tmp.ci/preinst", "install"),
                self._script_environment(package, "preinst"),
                f"preinst of {package.name.name}",
            )
            outcome = self._run(root, [script])[-1]
            if outcome.status != 0:
                raise self._failure(root, package.name.name, "preinst", outcome, str(outcome.status))
            shutil.rmtree(unpacked)

    def _script_environment(self, package: StagePackage, script: str) -> tuple[tuple[str, str], ...]:
        """What dpkg tells a maintainer script. Source: dpkg's src/main/script.c."""
        return (
            ("DPKG_MAINTSCRIPT_PACKAGE", package.name.name),
            ("DPKG_MAINTSCRIPT_ARCH", package.name.architecture),
            ("DPKG_MAINTSCRIPT_NAME", script),
            ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_MAINTSCRIPT_DEBUG", "0"),
            ("DPKG_RUNNING_VERSION", self._dpkg_version()),
            ("DPKG_ADMINDIR", f"/{ADMINISTRATION}"),
            ("DPKG_ROOT", ""),
        )

    def _dpkg_version(self) -> str:
        for package in self.stage.packages:
            if package.name.name == "dpkg":
                return package.version
        for lower in self.before:
            try:
                status = inside(lower, STATUS).read_bytes()
            except FileNotFoundError:
                continue
            for stanza in status.split(b"\n\n"):
                if stanza.startswith(b"Package: dpkg\n"):
                    return parse_stanza(stanza)["Version"]
        return ""

    def _write_database(self, root: Root) -> None:
        """Adds the stage's packages as unpacked, with the interests they declare and the triggers they set off."""
        for name in ("updates", "triggers", "info", "alternatives", "parts"):
            inside(root.path, f"{ADMINISTRATION}/{name}").mkdir(parents=True, exist_ok=True)
        status = inside(root.path, STATUS)
        before = status.read_bytes() if status.exists() else b""
        stanzas = [before.rstrip(b"\n") + b"\n"] if before.strip() else []
        diversions = _diversions(root)
        stanzas.extend(
            database.unpacked_stanza(package.control["control"], self._conffiles(root, package, diversions))
            for package in self.stage.packages
        )
        status.write_bytes(b"\n".join(stanzas))
        for name, content in (("arch", f"{self._architecture()}\n"), ("info/format", "1\n")):
            file = inside(root.path, f"{ADMINISTRATION}/{name}")
            if not file.exists():
                file.write_text(content)
        self._write_triggers(inside(root.path, _TRIGGERS), root.path)

    def _architecture(self) -> str:
        """The architecture of the image; `all` when no package has one of its own."""
        own = (package.name.architecture for package in self.stage.packages)
        return next((architecture for architecture in own if architecture != "all"), "all")

    def _write_triggers(self, directory: Path, root: Path) -> None:
        names = {name for name in os.listdir(directory) if name not in ("Lock", "Unincorp")}
        files = {name: file for name in names if (file := inside(root, f"{_TRIGGERS}/{name}")).is_file()}
        present = {name: file.read_text("utf-8", "surrogateescape") for name, file in files.items()}
        declared = [(package.name, database.interests(package.control)) for package in self.stage.packages]
        after = database.interest_files(present, declared)
        for name, content in after.items():
            if present.get(name) != content:
                inside(root, f"{_TRIGGERS}/{name}").write_text(content, "utf-8", "surrogateescape")
        activated = [name for package in self.stage.packages for name in database.activations(package.control)]
        paths = (path for package in self.stage.packages for path in package.listed)
        unincorp = inside(root, f"{_TRIGGERS}/Unincorp")
        before = unincorp.read_text("utf-8", "surrogateescape") if unincorp.is_file() else ""
        deferred = database.deferred_triggers(before, after, activated, paths)
        unincorp.write_text(deferred, "utf-8", "surrogateescape")

    def _conffiles(self, root: Root, package: StagePackage, diversions: Sequence[Diversion]) -> list[tuple[str, str]]:
        found = []
        declared = database.conffiles(package.control)
        away = dict(diverted(package.name.name, [path for path, _ in declared], diversions))
        for path, flag in declared:
            directory, _, name = away.get(path.lstrip("/"), path).rpartition("/")
            file = inside(root.path, directory) / name
            # dpkg does not learn the MD5 of one that waits for it, or is not there: path filters keep it out, or it is
            # to be removed.
            digest = "newconffile"
            waits = os.path.lexists(f"{file}{NEW}")
            if not flag and not waits and file.is_file() and not file.is_symlink():
                digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
            found.append((path, f"{digest} {flag}".strip()))
        return found

    def _configure(self, root: Root, waits: bool) -> None:
        if not inside(root.path, "usr/bin/dpkg").exists():
            raise FormationError(
                "no dpkg is among the packages, and only dpkg can configure them",
                hint="add `dpkg` to packages:, leave `essential: true`, or stand on a base that has a package manager",
            )
        # Nobody is there to be asked. Scripts can see what is forced, so nothing is without need.
        force = (f"--force-{','.join(KEEP_CHANGED)}",) if waits else ()
        program = Program(("/usr/bin/dpkg", *force, "--configure", "--pending"), what="dpkg --configure --pending")
        outcome = self._run(root, [program])[-1]
        if outcome.status != 0:
            failed = _FAILED.search(outcome.output)
            # dpkg's own status says only that some package failed.
            status = _STATUS.search(failed.group(2)) if failed else None
            raise self._failure(
                root, failed.group(1) if failed else "", "postinst", outcome, status.group(1) if status else None
            )
        check_finished(root)

    def _run(self, root: Root, programs: Sequence[Program]) -> list[Outcome]:
        return run_scripts(root, programs, self.stage.epoch, self.builder.isolation, self.log)

    def _failure(self, root: Root, package: str, script: str, outcome: Outcome, status: str | None) -> ScriptError:
        """The error for a failed script. `status` is the script's own; None when it is not known."""
        with_status = "" if status is None else f" with status {status}"
        reason = f"the {script} script of {package or 'a package'} failed{with_status}"
        return failed_script(reason, root, outcome, self.stage.epoch, self.builder.isolation, self.failed)


def _diversions(root: Root) -> tuple[Diversion, ...]:
    """Those that are in force in the tree now."""
    file = inside(root.path, DIVERSIONS)
    return parse_diversions(file.read_bytes() if file.is_file() else b"")


def _merge_usr(root: Path) -> None:
    """Makes the symlinks of a merged /usr where no package ships them: base-files does since Debian 13, and before it
    debootstrap had to."""
    for name in sorted(USR_ALIASES):
        if inside(root, f"usr/{name}").is_dir() and not os.path.lexists(root / name):
            (root / name).symlink_to(f"usr/{name}")
