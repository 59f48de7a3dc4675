"""The side of a build that stays an ordinary process: starts the installer, feeds it, and hears what it says."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from formation import errors
from formation.errors import FormationError
from formation.install.channel import Channel
from formation.install.job import (
    OUT_OF_MEMORY_HINT,
    Arrived,
    BuiltVariant,
    Done,
    Failed,
    Job,
    MapMe,
    Mapped,
    Remove,
    Step,
    Stop,
    Wanted,
)
from formation.progress import Progress

_TABLES = (Path("/etc/subuid"), Path("/etc/subgid"))
_FIRST, _COUNT = 100_000, 65_536
"""The first subordinate id that useradd gives, and how many (login.defs(5))."""
_PATIENCE = 20
"""Seconds that the installer process has for tidying up."""


class Installer:
    """An installer process for one job. Leaving the block ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # utf8: names of files are the same bytes in every locale.
            [sys.executable, "-X", "utf8", "-P", "-m", "formation.install.agent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is for the process that people see; it tells this one.
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._channel = Channel(self._process.stdout, self._process.stdin)

    def __enter__(self) -> "Installer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        for stream in (self._process.stdin, self._process.stdout):
            try:
                stream.close()
            except OSError:
                pass
        try:
            # It ends when it finds nobody at the other end, after it has ended its workers and tidied up.
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def arrived(self, digest: str, checked: bool) -> None:
        """Tells that a .deb is in the store, and whether it was verified as it came. May be called from any thread."""
        self._send(Arrived(digest, checked))

    def stop(self) -> None:
        """Asks the installer to end; `run` then raises."""
        self._send(Stop())

    def run(
        self, job: Job | Remove, progress: Progress, wanted: Callable[[Sequence[str]], None]
    ) -> tuple[BuiltVariant, ...]:
        """Has `job` done. `wanted` is called with the digests of the .debs that must still arrive: early with all that
        are not unpacked, and again for those of which more than that turns out to be needed.

        Raises what the installer raised, FormationError when it died or cannot become root.
        """
        if os.geteuid() == 0:
            self._send(job)
        while True:
            try:
                message = self._channel.receive()
            except EOFError:
                raise _ended(self._process.wait()) from None
            match message:
                case MapMe(process):
                    map_ids(process)
                    self._send(Mapped())
                    self._send(job)
                case Wanted(digests):
                    wanted(digests)
                case Step():
                    _report(message, progress)
                case Done(variants):
                    return variants
                case Failed():
                    raise _error(message)

    def _send(self, message: object) -> None:
        try:
            self._channel.send(message)
        except OSError:
            # It has died; `run` finds out why.
            pass


def remove_trees(paths: Sequence[Path], progress: Progress) -> None:
    """Removes trees that builds made, whoever owns what is in them."""
    with Installer() as installer:
        installer.run(Remove(tuple(paths)), progress, lambda _: None)


def map_ids(process: int) -> None:
    """Maps the ids of `process`, in its new user namespace: root there is this user, the rest subordinate ids.

    Raises FormationError with the remedy when the user has no subordinate ids or the setuid tools are missing.
    Source: newuidmap(1), subuid(5).
    """
    user = _user_name()
    for tool, table, own in zip(("newuidmap", "newgidmap"), _TABLES, (os.getuid(), os.getgid()), strict=True):
        program = shutil.which(tool)
        if program is None:
            raise FormationError(
                f"{tool} is missing, which an ordinary user needs to build", hint="sudo apt-get install uidmap"
            )
        first, count = _subordinate(table, user)
        command = [program, str(process), "0", str(own), "1", "1", str(first), str(min(count, 65535))]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise FormationError(f"{' '.join(command)} failed: {result.stderr.strip()}")


def _subordinate(table: Path, user: str) -> tuple[int, int]:
    """First id and number of the largest range that `table` gives to `user`."""
    names = {user, str(os.getuid())}
    ranges = [(count, first) for name, first, count in _ranges(table) if name in names]
    if not ranges or max(ranges)[0] < 65534:
        raise FormationError(
            f"the user {user} has no 65536 subordinate ids in {table}, which an ordinary user needs to build",
            hint=_how_to_get_ids(user),
        )
    count, first = max(ranges)
    return first, count


def _ranges(table: Path) -> list[tuple[str, int, int]]:
    """Name, first id and number of all ranges in `table`; nothing where it cannot be read. Source: subuid(5)."""
    try:
        lines = [line.split(":") for line in table.read_text(errors="replace").splitlines()]
    except OSError:
        return []
    return [
        (fields[0], int(fields[1]), int(fields[2]))
        for fields in lines
        if len(fields) == 3 and fields[1].isdecimal() and fields[2].isdecimal()
    ]


def _how_to_get_ids(user: str) -> str:
    """For `user`, who has too few: ids that nobody else has, lest one reads and changes what is another's."""
    if user.isdecimal():
        return f"the user id {user} has no account, and so no subordinate ids: run as root, or as a user with both"
    first = max([_FIRST, *(first + count for table in _TABLES for _, first, count in _ranges(table))])
    ids = f"{first}-{first + _COUNT - 1}"
    return f"sudo usermod --add-subuids {ids} --add-subgids {ids} {user}"


def _user_name() -> str:
    """As newuidmap(1) finds it: not from the environment."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _report(step: Step, progress: Progress) -> None:
    if step.total is not None:
        progress.start(step.stage, step.total)
    if step.amount:
        progress.advance(step.stage, step.amount)
    if step.result is not None:
        progress.finish(step.stage, step.result)


def _ended(status: int) -> FormationError:
    """The error for an installer process that ended without a word."""
    if status == -signal.SIGKILL:
        return FormationError("the installer process was killed", hint=OUT_OF_MEMORY_HINT)
    return FormationError(f"the installer process ended with status {status}")


def _error(failed: Failed) -> Exception:
    if failed.trace:
        # A mistake of the program, not of the user: shown as one by the place that prints errors.
        return RuntimeError(f"{failed.message}\n{failed.trace}")
    kind: type[FormationError] = getattr(errors, failed.kind)
    return kind(failed.message, hint=failed.hint)
