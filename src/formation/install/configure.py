"""One stage of configuring: preinst scripts, the database, then the image's own dpkg for the rest."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from formation.dataclass import dataclass
from formation.debian import database
from formation.debian.administration import ADMINISTRATION, KEEP_CHANGED, STATUS
from formation.debian.deb822 import parse_stanza
from formation.debian.diversions import FILE as DIVERSIONS
from formation.debian.diversions import Diversion, diverted, parse_diversions
from formation.entry import Entry, encode_path
from formation.errors import FormationError
from formation.install.bootstrap import bring_what_no_package_does
from formation.install.effects import capture, restore_links
from formation.install.inside import inside, read_file, write_file
from formation.install.key_store import settle_times
from formation.install.landing import NOWHERE_ELSE, Landings
from formation.install.making_way import give_back
from formation.install.named_owners import Names, give
from formation.install.roots import Root, RootBuilder
from formation.install.sandbox import Outcome, Program
from formation.install.scripts import ScriptError, check_finished, failed_script, read_status, run_scripts, said_of
from formation.install.stages import Stage, StagePackage, named
from formation.install.view import TreesView
from formation.install.waiting import NEW
from formation.store.locking import remove_tree

_FAILED = re.compile(r"dpkg: error processing package (\S+) \(--configure\):\n\s*(.+)")
_SUM = rb"[0-9a-f]{32}|newconffile"
"""What dpkg's status has of a conffile. A description may have lines that are alike but for it."""
_STATUS = re.compile(r"returned error exit status (\d+)")
_TRIGGERS = f"{ADMINISTRATION}/triggers"


@dataclass(frozen=True, slots=True)
class Captured:
    """What a stage changed; `source` holds the content until the work directory goes."""

    changed: list[Entry]
    removed: list[str]
    source: Path
    landings: Landings = NOWHERE_ELSE
    """Where the stage's files are."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What is left to do for a stage whose files are in place."""

    landings: Landings
    """Where they are."""
    owners: Mapping[str, Names]
    """The owners that the packages name, by path."""
    again: Mapping[str, Entry]
    """The directories that preinst scripts have removed and the packages bring back, by path."""
    bring: Callable[[Path], None] | None = None
    """Puts the conffiles that wait for dpkg, which may change them, into a tree; None when none does."""


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
                for package in scripted:
                    self._run_preinst(root, package)
                unpacked = self.unpack(_diversions(root), (root.path,))
                upper = root.changes
        else:
            unpacked = self.unpack(parse_diversions(TreesView(self.before).read(DIVERSIONS)), self.before)
        with self.builder.open((self.files, *self.before), upper=upper) as root:
            if self.stage.bootstrap:
                bring_what_no_package_does(root.path, self.stage.packages)
            if unpacked.bring is not None:
                unpacked.bring(root.path)
            with said_of(f"dpkg's database cannot take {named(self.stage.packages)}", root):
                self._write_database(root)
            if self.stage.bootstrap:
                # base-passwd makes /etc/passwd, which the others may read.
                for package in sorted(scripted, key=lambda p: (p.name.name != "base-passwd", p.name.name)):
                    self._run_preinst(root, package)
            give_back(root.path, unpacked.again)
            give(root.path, unpacked.owners)
            self._configure(root, waits=unpacked.bring is not None)
            settle_times(root, self.stage.epoch)
            restore_links(root.candidates(), root.changes, root.path, root.lowers)
            changed, removed = capture(root.candidates(), root.changes, root.lowers, epoch=self.stage.epoch)
        return Captured(changed, removed, root.changes, unpacked.landings)

    def _run_preinst(self, root: Root, package: StagePackage) -> None:
        """Runs a preinst as dpkg does: from tmp.ci, with all control members beside it."""
        unpacked = _control_directory(root)
        with said_of(f"the preinst script of {package.name.name} cannot be run", root):
            remove_tree(unpacked)
            unpacked.mkdir(parents=True)
            for member, data in package.control.items():
                (unpacked / member).write_bytes(data)
                (unpacked / member).chmod(0o755)
        script = Program(
            (f"/{ADMINISTRATION}/tmp.ci/preinst", "install"),
            self._script_environment(root, package, "preinst"),
            f"preinst of {package.name.name}",
        )
        there = os.path.lexists(inside(root.path, STATUS))
        outcome = self._run(root, [script])[-1]
        if outcome.status != 0:
            reason = f"the preinst script of {package.name.name} failed with status {outcome.status}"
            raise self._failure(root, reason, outcome)
        what = f"the preinst script of {package.name.name} has broken dpkg's database"
        # It may have put something else in the place of any directory.
        unpacked = _control_directory(root)
        if unpacked.is_symlink() or not unpacked.is_dir():
            raise FormationError(f"{what}: /{ADMINISTRATION}/tmp.ci is no directory, or not there")
        remove_tree(unpacked)
        if there:
            read_status(root, what)

    def _script_environment(self, root: Root, package: StagePackage, script: str) -> tuple[tuple[str, str], ...]:
        """What dpkg tells a maintainer script. Source: dpkg's src/main/script.c."""
        return (
            ("DPKG_MAINTSCRIPT_PACKAGE", package.name.name),
            ("DPKG_MAINTSCRIPT_ARCH", package.name.architecture),
            ("DPKG_MAINTSCRIPT_NAME", script),
            ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
            ("DPKG_MAINTSCRIPT_DEBUG", "0"),
            ("DPKG_RUNNING_VERSION", self._dpkg_version(root)),
            ("DPKG_ADMINDIR", f"/{ADMINISTRATION}"),
            ("DPKG_ROOT", ""),
        )

    def _dpkg_version(self, root: Root) -> str:
        for package in self.stage.packages:
            if package.name.name == "dpkg":
                return package.version
        for stanza in (read_file(inside(root.path, STATUS)) or b"").split(b"\n\n"):
            if stanza.startswith(b"Package: dpkg\n"):
                return parse_stanza(stanza)["Version"]
        return ""

    def _write_database(self, root: Root) -> None:
        """Adds the stage's packages as unpacked, with the interests they declare and the triggers they set off."""
        for name in ("updates", "triggers", "info", "alternatives", "parts"):
            inside(root.path, f"{ADMINISTRATION}/{name}").mkdir(parents=True, exist_ok=True)
        status = inside(root.path, STATUS)
        diversions = _diversions(root)
        before = without_taken(read_file(status) or b"", self.stage.packages, diversions)
        stanzas = [before.rstrip(b"\n") + b"\n"] if before.strip() else []
        stanzas.extend(
            database.unpacked_stanza(package.control["control"], self._conffiles(root, package, diversions, before))
            for package in self.stage.packages
        )
        write_file(status, b"\n".join(stanzas))
        for name, content in (("arch", f"{self._architecture()}\n"), ("info/format", "1\n")):
            file = inside(root.path, f"{ADMINISTRATION}/{name}")
            if not file.exists():
                write_file(file, content.encode())
        self._write_triggers(inside(root.path, _TRIGGERS), root.path)

    def _architecture(self) -> str:
        """The architecture of the image; `all` when no package has one of its own."""
        own = (package.name.architecture for package in self.stage.packages)
        return next((architecture for architecture in own if architecture != "all"), "all")

    def _write_triggers(self, directory: Path, root: Path) -> None:
        names = {name for name in os.listdir(directory) if name not in ("Lock", "Unincorp")}
        found = {name: read_file(inside(root, f"{_TRIGGERS}/{name}")) for name in names}
        present = {name: data.decode("utf-8", "surrogateescape") for name, data in found.items() if data is not None}
        declared = [(package.name, database.interests(package.control)) for package in self.stage.packages]
        after = database.interest_files(present, declared)
        for name, content in after.items():
            if present.get(name) != content:
                write_file(inside(root, f"{_TRIGGERS}/{name}"), content.encode("utf-8", "surrogateescape"))
        activated = [name for package in self.stage.packages for name in database.activations(package.control)]
        paths = (path for package in self.stage.packages for path in package.listed)
        unincorp = inside(root, f"{_TRIGGERS}/Unincorp")
        before = (read_file(unincorp) or b"").decode("utf-8", "surrogateescape")
        deferred = database.deferred_triggers(before, after, activated, paths)
        write_file(unincorp, deferred.encode("utf-8", "surrogateescape"))

    def _conffiles(
        self, root: Root, package: StagePackage, diversions: Sequence[Diversion], before: bytes
    ) -> list[tuple[str, str]]:
        """The conffiles of `package` with what dpkg's status says of each; `before` is the status without the stage."""
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
            if not flag and not waits and (content := read_file(file)) is not None:
                if path in package.listed:
                    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
                elif self._is_declared(path, package, before):
                    # Another package has it, which must not lose it when somebody purges this one.
                    flag = "obsolete"
            found.append((path, f"{digest} {flag}".strip()))
        return found

    def _is_declared(self, path: str, package: StagePackage, before: bytes) -> bool:
        """Whether another one than `package` declares `path` as a conffile."""
        others = (database.conffiles(other.control) for other in self.stage.packages if other is not package)
        return b"\n %b " % encode_path(path) in before or any(path == their for them in others for their, _ in them)

    def _configure(self, root: Root, *, waits: bool) -> None:
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
            raise self._failure(root, failed_configuration(outcome.output), outcome)
        check_finished(root, f"after the configuration of {named(self.stage.packages)}")

    def _run(self, root: Root, programs: Sequence[Program]) -> list[Outcome]:
        return run_scripts(root, programs, self.stage.epoch, self.builder.isolation, self.log)

    def _failure(self, root: Root, reason: str, outcome: Outcome) -> ScriptError:
        return failed_script(reason, root, outcome, self.stage.epoch, self.builder.isolation, self.failed)


def without_taken(status: bytes, packages: Iterable[StagePackage], diversions: Iterable[Diversion]) -> bytes:
    """dpkg's `status`, with conffiles obsolete in their packages that `packages` bring in their place."""
    away = {diversion.path for diversion in diversions}
    for package in packages:
        for path, flag in database.conffiles(package.control):
            name = encode_path(path)
            if not flag and b"\n %b " % name in status and path in package.listed and path[1:] not in away:
                status = re.sub(rb"(?m)^( %b (?:%b))$" % (re.escape(name), _SUM), rb"\1 obsolete", status)
    return status


def failed_configuration(output: str) -> str:
    """What failed, from the `output` of a `dpkg --configure`: a script, with its own status where it ended with one, or
    dpkg itself, such as for a dependency that is not there."""
    failed = _FAILED.search(output)
    if failed is None or "script" not in failed[2]:
        return f"dpkg could not configure {failed[1] if failed else 'the packages'}"
    status = _STATUS.search(failed[2])
    return f"the postinst script of {failed[1]} failed{f' with status {status[1]}' if status else ''}"


def _diversions(root: Root) -> tuple[Diversion, ...]:
    """Those that are in force in the tree now."""
    return parse_diversions(read_file(inside(root.path, DIVERSIONS)) or b"")


def _control_directory(root: Root) -> Path:
    """Where dpkg unpacks the control members of a package before it runs the preinst."""
    return inside(root.path, ADMINISTRATION) / "tmp.ci"
