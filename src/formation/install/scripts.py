"""Running the programs of packages in a tree, and what is said and kept when one fails."""

import errno
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from formation.debian import database
from formation.debian.administration import STATUS
from formation.errors import FormationError
from formation.install.inside import inside, read_file
from formation.install.roots import Isolation, Root, copy_over
from formation.install.sandbox import Outcome, Program, make_devices, pinned_environment, remove_devices, run_programs
from formation.store.locking import remove_tree

_SHOWN_LINES = 20
_IN_THE_WAY = (errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ELOOP)
"""What the system says when there is something else than was to be read or written. All else is no fault of scripts."""


class ScriptError(FormationError):
    """A maintainer script failed."""


def run_scripts(root: Root, programs: Sequence[Program], epoch: int, isolation: Isolation, log: Path) -> list[Outcome]:
    """Runs `programs` in order and stops after the first that fails; the last outcome tells.

    Raises FormationError when the sandbox itself cannot be set up.
    """
    try:
        return run_programs(root.path, programs, epoch=epoch, isolated=isolation.namespaces, log=log)
    finally:
        if not isolation.namespaces:
            remove_devices(root.path)


@contextmanager
def said_of(what: str, root: Root) -> Iterator[None]:
    """Something in the way of the block, at a path of `root`, is a FormationError that begins with `what`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        place = os.fsdecode(error.filename or "").removeprefix(str(root.path))
        raise FormationError(f"{what}: {place}: {error.strerror}") from None


def read_status(root: Root, what: str) -> bytes:
    """dpkg's status file in `root`. Raises FormationError, which begins with `what`, when no file is in its place."""
    status = read_file(inside(root.path, STATUS))
    if status is None:
        raise FormationError(f"{what}: /{STATUS} is no file, or not there")
    return status


def check_finished(root: Root, what: str) -> None:
    """Raises FormationError when the dpkg of `root` says of a package that it is not installed as a whole.

    `what` is for `read_status`.
    """
    if unfinished := database.unfinished(read_status(root, what)):
        raise FormationError(f"dpkg left packages unfinished: {', '.join(unfinished)}")


def failed_script(
    reason: str, root: Root, outcome: Outcome, epoch: int, isolation: Isolation, kept: Path
) -> ScriptError:
    """The error for a program that failed for `reason`; keeps the tree, and says how to run it there by hand.

    `kept` is where: a person can look there, and run it again. Where it cannot be kept, the error says so.
    """
    told = "".join(f"\n  {line}" for line in outcome.output.strip().splitlines()[-_SHOWN_LINES:])
    what = f"{reason}; its last output:{told}"
    try:
        kept.mkdir(parents=True, exist_ok=True)
        kept.chmod(0o755)
        copy_over(root.path, kept)
        make_devices(kept)
    except OSError as error:
        # The disk may be full, and the program have failed for that.
        remove_tree(kept)
        return ScriptError(what, hint=f"the tree in which it failed cannot be kept: {error.strerror}")
    enter = ["unshare", "--net"] if isolation.namespaces else []
    if isolation.user_namespace:
        enter += ["--map-auto", "--map-root-user"]
    variables = {**pinned_environment(epoch), **dict(outcome.program.environment)}
    settings = [f"{name}={value}" for name, value in variables.items()]
    again = [*enter, "chroot", str(kept), "env", "-i", *settings, *outcome.program.arguments]
    return ScriptError(what, hint=f"run it again by hand: {shlex.join(again)}")
